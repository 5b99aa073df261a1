"""The one registry of watched tables: the directory's parts, and what only the audit is about."""

from __future__ import annotations

from typing import Final

from voip_portal.directory.discovery import TABLES as OF_THE_DIRECTORY
from voip_portal.directory.watched import Watched

SECRET_CHANGED: Final = "secret_changed"  # noqa: S105 - a word, not a secret
"""Key in `after` of an update that changed a secret column."""
RELOAD: Final = "reload"
"""Operation of a row that says: read everything again."""

OF_NO_USE_TO_A_NODE: Final = (
    # People and their rights: not to be lost from the audit.
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
        "numbers_numberrange",
        ("id", "domain_id", "first", "last", "is_pool"),
        booleans=frozenset({"is_pool"}),
    ),
)
REGISTRY: Final = (*OF_NO_USE_TO_A_NODE, *OF_THE_DIRECTORY)
TABLES: Final = frozenset(watched.table for watched in REGISTRY)
TIMES: Final = {watched.table: watched.times for watched in REGISTRY}

__all__ = ["REGISTRY", "RELOAD", "SECRET_CHANGED", "TABLES", "TIMES", "Watched"]
