"""For all tests: the marker `sql`.

It is given to every test that asks for a database, so that `pytest -m sql` with another
DATABASE_URL runs exactly those once more (see `tests/support/postgresql.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import settings

# No deadline: how long one example takes says more about the machine's neighbours than about us.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

_DATABASE_FIXTURES = frozenset({"db", "transactional_db", "live_server", "sql_database"})


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sql: touches SQL; runs on SQLite and on PostgreSQL")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & _DATABASE_FIXTURES or item.get_closest_marker("django_db"):
            item.add_marker("sql")
