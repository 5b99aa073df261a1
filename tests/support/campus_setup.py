"""Run as a process of its own: make the databases of a test deployment and its lines.

Reads `{"migrate": bool, "lines": [user name, …]}` and prints
`[{"id", "username", "number", "device", "secret"}, …]`, each as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import transaction


def main() -> None:
    wanted = json.load(sys.stdin)
    django.setup()
    if wanted["migrate"]:
        call_command("migrate", verbosity=0)
        if "bindings" in settings.DATABASES:  # on SQLite
            call_command("migrate", database="bindings", verbosity=0)
        call_command("first_start", stdout=sys.stderr)
    with transaction.atomic():
        made = [line(username) for username in wanted["lines"]]
    json.dump(made, sys.stdout)


def line(username: str) -> dict[str, Any]:
    from voip_portal.lines.services import add_device
    from voip_portal.nodes.models import Deployment
    from voip_portal.numbers.services import number_of, open_line

    opened = open_line(None, username)
    device, secret = add_device(opened, "Phone", Deployment.objects.get(id=1).realm)
    return {
        "id": opened.pk,
        "username": username,
        "number": number_of(opened),
        "device": device.pk,
        "secret": secret,
    }


if __name__ == "__main__":
    main()
