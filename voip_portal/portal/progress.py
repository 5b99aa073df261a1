"""How far a device is: waiting, refused, registered, tested."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from allauth.account.adapter import get_adapter
from django.http import HttpRequest

from voip_portal.calls.models import Call
from voip_portal.calls.services import connected_at, recent_refusals
from voip_portal.lines.models import Device, State
from voip_portal.portal.guard import or_none
from voip_portal.portal.history import plain_address
from voip_portal.portal.registrations import Registration, as_told, registrations

ECHO = "echo"


@dataclass(frozen=True, slots=True)
class Progress:
    """What the light shows.

    `state` is one of waiting, wrong_secret, unknown_name, registered, blocked, and unknown, while
    registrations cannot be read: what is around the light may be a secret that is shown only once.
    """

    state: str
    registration: Registration | None = None
    refused_at: datetime | None = None
    refused_name: str = ""
    echo: str = ""
    """The test call: empty, "going-on" or "done"."""


def progress(request: HttpRequest, device: Device, at: float | None = None) -> Progress:
    """The device's state, by its registration, else by what the registrar refused lately."""
    now = time.time() if at is None else at
    if device.revoked_at is not None or device.line.state != State.ACTIVE:
        return Progress("blocked")
    found = or_none(lambda: registrations([device.line_id], now))
    if found is None:
        return Progress("unknown")
    mine = [r for r in found if r.device_id == device.pk]
    if mine:
        return Progress("registered", as_told(mine, now)[0], echo=_echo_call(device))
    return _refused(request, device)


def _refused(request: HttpRequest, device: Device) -> Progress:
    """Wrong secret for this name, else an unknown name tried from where the browser is."""
    name = device.line.username
    refusals = recent_refusals(name, get_adapter().get_client_ip(request))
    if refusals:
        # A device has one secret as long as it lives. Who was connected since has mended it.
        since = max(device.created_at.timestamp(), connected_at(device.pk))
        refusals = [refusal for refusal in refusals if refusal["at"] >= since]
    for refusal in refusals:
        if refusal["username"] == name:
            return _told("wrong_secret", refusal)
    for refusal in refusals:
        if not refusal["known"] and refusal["username"]:
            return _told("unknown_name", refusal)
    return Progress("waiting")


def _told(state: str, refusal: dict[str, Any]) -> Progress:
    at = datetime.fromtimestamp(refusal["at"], UTC)
    return Progress(state, refused_at=at, refused_name=refusal["username"])


def _echo_call(device: Device) -> str:
    """How far the line's latest test call is, of those since the device has its secret."""
    calls = Call.objects.filter(
        caller_line=device.line_id, answered_at__isnull=False, started_at__gte=device.created_at
    )
    recent = calls.order_by("-started_at", "-pk").values_list("to_uri", "dialled", "open")[:5]
    for to_uri, dialled, is_open in recent:
        if _is_echo(dialled or to_uri):
            return "going-on" if is_open else "done"
    return ""


def _is_echo(uri: str) -> bool:
    return plain_address(uri).partition("@")[0].lower() == ECHO
