"""Putting the triggers where they belong, and looking whether they are there."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Warning
from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from voip_portal.changes import postgresql, sqlite
from voip_portal.changes.registry import REGISTRY

_dropped: set[str] = set()
"""Databases whose triggers are away while their tables are migrated."""


def dialect(connection: BaseDatabaseWrapper) -> ModuleType:
    """The module that speaks this database's SQL."""
    return postgresql if connection.vendor == "postgresql" else sqlite


def prepare_connection(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Every new connection of the portal to SQLite can tell who acts."""
    if connection.vendor == "sqlite":
        sqlite.add_actor_function(connection.connection)


def is_watched(using: str) -> bool:
    """Whether the watched tables are in this database."""
    return bool(router.allow_migrate(using, "changes", model_name="change"))


def watched_tables(connection: BaseDatabaseWrapper) -> list[str]:
    """The tables of the registry that exist with all their columns."""
    with connection.cursor() as cursor:
        existing = set(connection.introspection.table_names(cursor))
        if not {"changes_change", "changes_version"} <= existing:
            return []
        found = []
        for watched in REGISTRY:
            if watched.table in existing:
                rows = connection.introspection.get_table_description(cursor, watched.table)
                if {*watched.columns, *watched.secret} <= {row.name for row in rows}:
                    found.append(watched.table)
    return found


def install(using: str = "default") -> None:
    """Make all triggers what the registry says."""
    connection = connections[using]
    tables = watched_tables(connection)
    if not tables:
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        dialect(connection).install(cursor, tables)
        if using in _dropped:
            dialect(connection).reload_all(cursor)
    _dropped.discard(using)


def after_migrate(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Put the triggers back: SQLite drops them when a migration rebuilds their table."""
    if is_watched(using):
        install(using)


def before_migrate(sender: AppConfig, using: str, plan: Any = (), **kwargs: Any) -> None:
    """On SQLite, take the triggers away while tables are rebuilt.

    It refuses to rename a table that any trigger names. What is written meanwhile is made up for
    by reading all again.
    """
    connection = connections[using]
    if not plan or connection.vendor != "sqlite" or not is_watched(using):
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        there = sqlite.present(cursor)
        sqlite.drop(cursor, there)
    if there:
        _dropped.add(using)


def problems(using: str = "default") -> list[str]:
    """Triggers and functions that are missing or differ, by name."""
    connection = connections[using]
    with connection.cursor() as cursor:
        there = dialect(connection).present(cursor)
    wanted = dialect(connection).expected()
    missing = [f"{name} is missing" for name in wanted if name not in there]
    differing = [f"{n} differs" for n, text in wanted.items() if there.get(n, text) != text]
    return missing + differing


def check_triggers(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """System check: all triggers are in place.

    `migrate`, which repairs it, must not be stopped by it, so this is a warning; `manage.py sipd`
    does not start with it.
    """
    found: list[CheckMessage] = []
    for using in databases or ():
        if is_watched(using) and watched_tables(connections[using]):
            found += [
                Warning(
                    f"Trigger {problem} in database {using!r}.",
                    hint="Run manage.py migrate: it puts the triggers of changes.registry back.",
                    id="changes.W001",
                )
                for problem in problems(using)
            ]
    return found
