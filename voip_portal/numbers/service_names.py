"""Services of the SIP server whose name somebody has: those are not loaded."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.db import DatabaseError

from voip_portal.numbers.models import Address, AddressState


def loaded() -> set[str]:
    """The names of VOIP_APPLICATIONS, in lower case. What cannot be imported sipd refuses by itself."""
    names = set()
    for application in settings.VOIP_APPLICATIONS:
        module, _, kind = application.partition(":")
        try:
            names.add(str(getattr(import_module(module), kind).name).lower())
        except (ImportError, AttributeError, ValueError):
            continue
    return names


def held() -> list[tuple[str, str]]:
    """The service and whose name it is, for each service that is not loaded because of that."""
    found = Address.objects.filter(value__in=loaded(), state=AddressState.HELD)
    found = found.select_related("line__owner", "domain").order_by("value", "domain__name")
    return [(address.value, _holder(address)) for address in found]


def _holder(address: Address) -> str:
    line = address.line
    owner = line.owner.email if line is not None and line.owner is not None else ""
    whose = "nobody's line" if line is None else f"line {line.pk}"
    return f"{address.value}@{address.domain.name}, {whose}{f' of {owner}' if owner else ''}"


def check_service_names(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Whoever has the name of a service is called by it; the service is called by nobody."""
    try:
        names = held()
    except DatabaseError:
        return []  # none yet, or away: others say so
    return [
        Warning(
            f"The service {name!r} is not loaded: its name is taken ({holder}).",
            hint="Give that line another name, or take the service out of VOIP_APPLICATIONS.",
            id="bridge.W001",
        )
        for name, holder in names
    ]
