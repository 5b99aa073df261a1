"""For all tests: the markers `sql` and `rfc`, and which sipcore they are of.

`SIPCORE=compiled pytest -o pythonpath="build/compiled ."` tests the one that `make compile` made.

The marker is given to every test that asks for a database, so that `pytest -m sql` with another
DATABASE_URL runs exactly those once more (see `tests/support/postgresql.py`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import settings

from sipcore.message import scan
from tests.support import conformance

if os.environ.get("SIPCORE") == "compiled" and scan.__file__.endswith(".py"):
    # Django's set-up imports sipcore before anything here runs: the path must be known by then.
    raise pytest.UsageError('sipcore is the source: pytest -o pythonpath="build/compiled ."')

# No deadline: how long one example takes says more about the machine's neighbours than about us.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

_DATABASE_FIXTURES = frozenset({"db", "transactional_db", "live_server", "sql_database"})


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sql: touches SQL; runs on SQLite and on PostgreSQL")
    config.addinivalue_line(
        "markers", "source: reaches into a module or inherits from its classes; for the source only"
    )
    config.addinivalue_line("markers", conformance.MARKER)
    conformance.register(config)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    conformance.note_ids(items)
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & _DATABASE_FIXTURES or item.get_closest_marker("django_db"):
            item.add_marker("sql")
