"""`manage.py check`: whether phones that know our domain alone find this server."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db import DatabaseError

from voip_portal.nodes import domain_records
from voip_portal.nodes.services import served
from voip_portal.numbers.models import Domain
from voip_portal.numbers.services import default_domain


def check_domain_records(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What phones are told as their domain has to lead to us."""
    try:
        domain = default_domain().name
    except (DatabaseError, Domain.DoesNotExist):
        return []  # none yet: there is nothing to show
    try:
        found = domain_records.look(domain, domain_records.by_dns())
    except (OSError, ValueError) as error:
        return [
            _warning(f"The DNS does not say whether {domain} leads to this server: {error}", "")
        ]
    if found.leads_here:
        return []
    return [
        _warning(
            f"The domain {domain} does not lead to this server ({served().host}): "
            "pages show that address in its place, and other systems cannot call here.",
            "Add to the DNS (docs/dns.md): " + " · ".join(found.missing),
        )
    ]


def _warning(message: str, hint: str) -> Warning:
    return Warning(message, hint=hint or None, id="bridge.W002")
