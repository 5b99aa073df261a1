"""`manage.py refold`: make all calls again out of their records."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from voip_portal.calls.services import refold_all


class Command(BaseCommand):
    """For after a change of how calls are folded. Safe at any time."""

    help = "Fold all calls again from their records."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{refold_all()} calls")
