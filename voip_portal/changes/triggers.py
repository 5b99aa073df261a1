"""Putting the triggers in place, and saying which are not."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.timezone import now

from voip_portal.changes import postgresql, sqlite
from voip_portal.changes.models import Change
from voip_portal.changes.registry import WATCHED, Watched


def dialect(connection: BaseDatabaseWrapper) -> ModuleType:
    """How triggers are written for this database."""
    return postgresql if connection.vendor == "postgresql" else sqlite


def faults(using: str = DEFAULT_DB_ALIAS) -> list[tuple[str, str, str]]:
    """What is missing or differs: (table, trigger, what is wrong)."""
    connection = connections[using]
    found = _table_faults(connection)
    if Change._meta.db_table in connection.introspection.table_names():
        wrong = dialect(connection).faults_of_versions(connection)
        found += [("changes_change", name, what) for name, what in wrong.items()]
    return found


def _table_faults(connection: BaseDatabaseWrapper) -> list[tuple[str, str, str]]:
    speak = dialect(connection)
    return [
        (watched.table, name, what)
        for watched in _installable(connection)
        for name, what in speak.faults(connection, watched).items()
    ]


def put_back(using: str = DEFAULT_DB_ALIAS) -> None:
    """Make all triggers as they should be.

    What was changed while a trigger was missing nobody knows, so nodes are told to read all.
    """
    connection = connections[using]
    if Change._meta.db_table not in connection.introspection.table_names():
        return
    speak = dialect(connection)
    with transaction.atomic(using=using):
        speak.install_versions(connection)
        for watched in _installable(connection):
            wrong = speak.faults(connection, watched)
            if wrong:
                speak.install(connection, watched, wrong)
                _tell_nodes_to_read_all(connection, watched)


def _tell_nodes_to_read_all(connection: BaseDatabaseWrapper, watched: Watched) -> None:
    change = Change(table_name=watched.table, op="triggers", actor="migrate", at=now())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            change.save(using=connection.alias)
            cursor.execute("SELECT set_config('voip.last_change', %s, true)", [str(change.pk)])
            return
        cursor.execute(
            "INSERT INTO changes_state (id, version, actor)"
            " SELECT 1, 0, '' WHERE NOT EXISTS (SELECT 1 FROM changes_state)"
        )
        cursor.execute("UPDATE changes_state SET version = version + 1")
        cursor.execute("SELECT version FROM changes_state")
        change.version = cursor.fetchone()[0]
        change.save(using=connection.alias)


def _installable(connection: BaseDatabaseWrapper) -> list[Watched]:
    """Watched tables that exist with all their columns: others wait for their migrations."""
    tables = set(connection.introspection.table_names())
    return [w for w in WATCHED if w.table in tables and _has_columns(connection, w)]


def _has_columns(connection: BaseDatabaseWrapper, watched: Watched) -> bool:
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, watched.table)
    return {*watched.columns, *watched.hidden} <= {column.name for column in described}


def after_migrate(using: str = DEFAULT_DB_ALIAS, **kwargs: Any) -> None:
    """`post_migrate` receiver: SQLite drops triggers when a migration rebuilds a table."""
    if using == DEFAULT_DB_ALIAS:
        put_back(using)
