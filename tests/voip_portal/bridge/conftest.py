"""Fixtures of these tests: the daemon's own way to the test database, and a real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.voip_portal.bridge.daemon import Deployment
from tests.voip_portal.people import *  # noqa: F403
from voip_portal.bridge.database import Database
from voip_portal.bridge.management.commands.sipd import driver_settings


@pytest.fixture
def driver(transactional_db: Any) -> dict[str, Any]:
    """The test database as the daemon's configuration names it."""
    return driver_settings(connection.settings_dict)


@pytest.fixture
def database(driver: dict[str, Any]) -> Iterator[Database]:
    opened = Database(driver)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A database of its own, migrated and started once, for real daemons."""
    made = Deployment(Path(tmp_path_factory.mktemp("deployment")))
    yield made
    made.close()
