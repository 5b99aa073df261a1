"""Fixtures of these tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from tests.voip_portal.people import *  # noqa: F403
from voip_portal.changes.models import Change


@pytest.fixture
def shell(transactional_db: Any) -> Callable[[str], None]:
    """Runs SQL in the database's own shell, as somebody outside the portal would."""

    def run(sql: str) -> None:
        settings = connection.settings_dict
        if connection.vendor == "sqlite":
            command = ["sqlite3", str(settings["NAME"]), sql]
        else:
            host = ["-h", settings["HOST"], "-p", settings["PORT"], "-U", settings["USER"]]
            command = ["psql", "-qX", *host, "-v", "ON_ERROR_STOP=1", "-c", sql, settings["NAME"]]
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603

    return run


@pytest.fixture
def changes_since() -> Callable[[], list[Change]]:
    """The rows written since this fixture was asked for, in order."""
    last = Change.objects.order_by("-id").values_list("id", flat=True).first() or 0
    return lambda: list(Change.objects.filter(id__gt=last).order_by("id"))
