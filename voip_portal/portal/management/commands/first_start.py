"""Make what an empty database lacks: deployment, first domain, pool, rows, administrator."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from voip_portal.accounts.services import ensure_administrator
from voip_portal.changes.actor import acting_as
from voip_portal.nodes.services import ensure_deployment
from voip_portal.numbers.services import ensure_numbering_plan
from voip_portal.peers.variables import read_start_values


class Command(BaseCommand):
    """`manage.py first_start`: may be run at every start, and changes nothing the second time."""

    help = "Make the deployment, the first domain, a number pool and an administrator, if missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--domain", default="campus.example", help="first SIP domain")
        parser.add_argument("--first", default="20000", help="first number of the pool")
        parser.add_argument("--last", default="29999", help="last number of the pool")
        parser.add_argument("--admin", default="", help="e-mail address of the administrator")

    def handle(self, *args: Any, **options: Any) -> None:
        with acting_as("first start"):
            ensure_deployment()
            ensure_numbering_plan(options["domain"], options["first"], options["last"])
        read_start_values()
        email = options["admin"] or f"admin@{settings.VOIP_CAMPUS_DOMAINS[0]}"
        password = ensure_administrator(email)
        if password is not None:
            self.stdout.write("Administrator, shown only this once:")
            self.stdout.write(f"  e-mail address  {email}")
            self.stdout.write(f"  password        {password}")
