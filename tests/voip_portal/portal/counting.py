"""Counting queries over all databases: SQLite keeps bindings in a file of their own."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.db import connections
from django.test.utils import CaptureQueriesContext


def count_queries(get: Callable[[], Any]) -> int:
    """How many queries a page costs; it has to be there."""
    with ExitStack() as stack:
        captured = [stack.enter_context(CaptureQueriesContext(c)) for c in connections.all()]
        assert get().status_code == 200
    return sum(len(queries) for queries in captured)


def pinned_queries(whose: str) -> dict[str, int]:
    """What is written down in queries.json."""
    found: dict[str, int] = json.loads(Path(__file__).with_name("queries.json").read_text())[whose]
    return found
