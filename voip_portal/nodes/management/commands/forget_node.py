"""Give the number of a node that is gone to the next new one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from voip_portal.nodes.models import Node
from voip_portal.nodes.services import is_alive


class Command(BaseCommand):
    """`manage.py forget_node NAME`: only a node that is silent can be forgotten."""

    help = "Forget a SIP node that is gone for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        node = Node.objects.filter(name=options["name"]).first()
        if node is None:
            raise CommandError(f"There is no node {options['name']}.")
        if is_alive(node):
            raise CommandError(f"{node} is alive: stop it first.")
        node.delete()
