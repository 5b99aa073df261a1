"""Which tables are watched, and which of their columns: the one place that says it.

Columns are listed, not excluded: a column that is added later is not written to `changes` rows
until somebody puts it here, so no secret gets in by accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Watched:
    """A table with triggers."""

    table: str
    columns: tuple[str, ...]
    """Written to `before` and `after`. The first is the primary key."""
    hidden: tuple[str, ...] = ()
    """A change of these is a change too, but their values are written nowhere."""


WATCHED: Final = (
    Watched(
        "accounts_user",
        ("id", "is_active", "is_staff", "is_superuser", "closed_at"),
    ),
    Watched(
        "lines_line",
        ("id", "username", "owner_id", "label", "class_of_service", "state", "end_calls"),
    ),
    Watched(
        "lines_device",
        ("id", "line_id", "label", "revoked_at"),
        hidden=("ha1_md5", "ha1_sha256"),
    ),
    Watched("numbers_domain", ("id", "name", "is_default", "algorithms")),
    Watched("numbers_numberrange", ("id", "domain_id", "first", "last", "is_pool")),
    Watched(
        "numbers_address",
        ("id", "domain_id", "kind", "value", "line_id", "state", "until"),
    ),
    Watched("nodes_deployment", ("id", "realm"), hidden=("cluster_key", "previous_cluster_key")),
)
TABLES: Final = frozenset(watched.table for watched in WATCHED)
