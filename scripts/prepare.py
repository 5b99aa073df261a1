"""Bring every database up to date and make what a new one lacks. Changes nothing the second time.

`prepare.py --wait SECONDS`: how long a database server that does not answer yet is waited for.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voip_portal.settings")

import django
from django.conf import settings
from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connections

from voip_portal.faults import in_a_sentence, said_plainly

WAIT_S = 60.0
"""A first start of PostgreSQL takes some ten seconds, one after a crash may take longer."""
LOOK_EVERY_S = 0.5


def wait_for_server(alias: str, wait_s: float) -> None:
    """Return when the database answers; say once what is waited for, and at the end what was wrong.

    A database that is a file is there or is not: its faults are told by who uses it.
    """
    connection = connections[alias]
    if connection.vendor == "sqlite":
        return
    deadline = time.monotonic() + wait_s
    told = ""
    while True:
        try:
            connection.ensure_connection()
        except (OperationalError, InterfaceError) as error:
            connection.close()
            sentence = in_a_sentence(error)
        else:
            return
        if time.monotonic() >= deadline:
            sys.exit(f"{sentence} Waited {wait_s:.0f} seconds for it.")
        if sentence != told:
            print(f"Waiting {wait_s:.0f} seconds at most. {sentence}", file=sys.stderr, flush=True)
            told = sentence
        time.sleep(LOOK_EVERY_S)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Bring every database up to date.")
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="SECONDS")
    options = parser.parse_args()
    django.setup()
    for alias in settings.DATABASES:
        wait_for_server(alias, options.wait)
        call_command("migrate", database=alias, interactive=False, verbosity=0)
    call_command("collect")
    call_command("first_start")


if __name__ == "__main__":
    with said_plainly():
        main()
