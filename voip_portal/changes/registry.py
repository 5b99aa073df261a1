"""The one registry of watched tables: what feeds the directory and the audit.

`columns` are written into `changes` rows as they were before and after. A change of a `secret`
column writes a row too, which says that the secret changed and nothing more: HA1 equals a password.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SECRET_CHANGED: Final = "secret_changed"  # noqa: S105 - a word, not a secret
"""Key in `after` of an update that changed a secret column."""
RELOAD: Final = "reload"
"""Operation of a row that says: read everything again."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One table whose rows are watched. Its primary key is `id`."""

    table: str
    columns: tuple[str, ...]
    secret: tuple[str, ...] = ()
    booleans: frozenset[str] = frozenset()
    """Columns that SQLite keeps as 0 and 1."""
    times: frozenset[str] = frozenset()
    """Columns that hold a moment: UTC in the rows, the reader's zone where they are shown."""


REGISTRY: Final = (
    # People and their rights: of no use to a node, and not to be lost from the audit.
    Watched(
        "accounts_user",
        ("id", "email", "name", "listed", "is_active", "is_staff", "is_superuser", "closed_at"),
        secret=("password",),
        booleans=frozenset({"listed", "is_active", "is_staff", "is_superuser"}),
        times=frozenset({"closed_at"}),
    ),
    Watched("accounts_user_groups", ("id", "user_id", "group_id")),
    Watched("accounts_user_user_permissions", ("id", "user_id", "permission_id")),
    Watched("auth_group", ("id", "name")),
    Watched("auth_group_permissions", ("id", "group_id", "permission_id")),
    Watched(
        "lines_line",
        ("id", "username", "owner_id", "label", "class_of_service", "state", "end_calls"),
        booleans=frozenset({"end_calls"}),
    ),
    Watched(
        "lines_device",
        ("id", "line_id", "label", "created_at", "revoked_at"),
        times=frozenset({"created_at", "revoked_at"}),
    ),
    Watched(
        "lines_devicesecret",
        ("id",),  # the device's
        secret=("ha1_md5", "ha1_sha256"),
    ),
    Watched(
        "numbers_domain",
        ("id", "name", "is_default", "algorithms"),
        booleans=frozenset({"is_default"}),
    ),
    Watched(
        "numbers_numberrange",
        ("id", "domain_id", "first", "last", "is_pool"),
        booleans=frozenset({"is_pool"}),
    ),
    Watched(
        "numbers_address",
        ("id", "domain_id", "kind", "value", "line_id", "state", "until"),
        times=frozenset({"until"}),
    ),
    Watched(
        "nodes_deployment",
        ("id", "realm"),
        secret=("cluster_key", "previous_cluster_key"),
    ),
)
TABLES: Final = frozenset(watched.table for watched in REGISTRY)
TIMES: Final = {watched.table: watched.times for watched in REGISTRY}
