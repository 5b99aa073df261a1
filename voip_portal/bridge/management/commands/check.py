"""Django's own `check`, and what is asked of this command alone: it reads the database and the DNS."""

from __future__ import annotations

from typing import Any, Final

from django.core.checks.registry import registry
from django.core.management.commands import check

from voip_portal.bridge.domain_check import check_domain_records
from voip_portal.bridge.room_check import check_receive_buffers
from voip_portal.numbers.service_names import check_service_names

ASKED_FOR: Final = (check_service_names, check_domain_records, check_receive_buffers)
"""Every other command runs the checks, too, and has to start where neither is there."""


class Command(check.Command):
    """As Django's, for a service that is to run here."""

    def handle(self, *labels: Any, **options: Any) -> None:
        for each in ASKED_FOR:
            registry.register(each, "service")
        try:
            super().handle(*labels, **options)
        finally:
            registry.registered_checks.difference_update(ASKED_FOR)
