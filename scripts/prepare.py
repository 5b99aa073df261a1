"""Bring every database up to date and make what a new one lacks. Changes nothing the second time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voip_portal.settings")

import django
from django.conf import settings
from django.core.management import call_command

if __name__ == "__main__":
    django.setup()
    for alias in settings.DATABASES:
        call_command("migrate", database=alias, interactive=False, verbosity=0)
    call_command("collect")
    call_command("first_start")
