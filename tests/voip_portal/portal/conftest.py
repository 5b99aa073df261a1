"""Fixtures of these tests."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.voip_portal.browsing import *  # noqa: F403
from tests.voip_portal.people import *  # noqa: F403
from voip_portal.calls.models import Call
from voip_portal.lines.models import Device
from voip_portal.location.models import Binding

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def call() -> Callable[..., Call]:
    """Makes calls, each a minute after the one before, unless told otherwise."""
    count = 0

    def make(**fields: Any) -> Call:
        nonlocal count
        count += 1
        defaults: dict[str, Any] = {
            "context": f"context{count:08}",
            "from_uri": "sip:anna@campus.example",
            "to_uri": "sip:boris@campus.example",
            "dialled": "sip:boris@campus.example",
            "started_at": NOON + timedelta(minutes=count),
            "cause": "completed",
            "ended_by": "caller",
            "status": 200,
            "duration_s": 61.0,
            "open": False,
        }
        fields = defaults | fields
        if fields["cause"] == "completed":
            fields.setdefault("answered_at", fields["started_at"])
        return Call.objects.create(**fields)

    return make


@pytest.fixture
def register() -> Callable[..., Binding]:
    """Registers a device now."""

    def bind(device: Device, **fields: Any) -> Binding:
        now = time.time()
        defaults: dict[str, Any] = {
            "line_id": device.line_id,
            "device_id": device.pk,
            "key": f"key{device.pk}",
            "contact": "<sip:anna@192.0.2.7:5062;transport=tcp>",
            "call_id": "c",
            "cseq": 1,
            "expires_at": now + 300,
            "registered_at": now,
            "user_agent": "Linphone/5.2",
            "node": "one",
        }
        return Binding.objects.create(**(defaults | fields))

    return bind
