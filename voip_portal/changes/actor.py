"""Who is acting: set per transaction, around each statement that writes to a watched table.

The triggers read it from the session (PostgreSQL) or from the state row (SQLite). It is reset
before anybody else can see it, so a change from elsewhere never bears somebody's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from voip_portal.changes.registry import TABLES

Name = str | Callable[[], str]

_actor: ContextVar[Name] = ContextVar("actor", default="")
_READS = ("SELECT", "SAVEPO", "RELEAS", "ROLLBA", "PRAGMA", "BEGIN", "COMMIT")
_SET = {
    "postgresql": "SELECT set_config('voip.actor', %s, true)",
    "sqlite": "UPDATE changes_state SET actor = %s",
}


def person(pk: Any) -> str:
    """How a person stands in `changes` rows: by id, so that a closed account leaves no name."""
    return f"person {pk}"


@contextmanager
def acting_as(name: Name) -> Iterator[None]:
    """Attribute changes made in this block to `name`; a callable is asked when one is made."""
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)


def current_actor() -> str:
    """Who is acting now; empty for nobody."""
    name = _actor.get()
    return name() if callable(name) else name


def attribute(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Execute wrapper of Django's connections."""
    if _actor.get() == "" or not _writes_watched(sql):
        return execute(sql, params, many, context)
    connection: BaseDatabaseWrapper = context["connection"]
    if connection.in_atomic_block:
        return _attributed(connection, execute, sql, params, many, context)
    with transaction.atomic(using=connection.alias):
        return _attributed(connection, execute, sql, params, many, context)


def _writes_watched(sql: Any) -> bool:
    text = sql if isinstance(sql, str) else str(sql)
    return not text.startswith(_READS) and any(table in text for table in TABLES)


def _attributed(
    connection: BaseDatabaseWrapper,
    execute: Callable[..., Any],
    sql: Any,
    params: Any,
    many: bool,
    context: dict[str, Any],
) -> Any:
    name = current_actor()
    _set(connection, name)
    try:
        result = execute(sql, params, many, context)
    except Exception:
        if connection.vendor == "sqlite":
            _set(connection, "")  # PostgreSQL takes no statement after an error, and forgets it
        raise
    _set(connection, "")
    return result


def _set(connection: BaseDatabaseWrapper, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SET[connection.vendor], [name[:200]])


def watch_connection(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """`connection_created` receiver."""
    if connection.alias == DEFAULT_DB_ALIAS and attribute not in connection.execute_wrappers:
        connection.execute_wrappers.append(attribute)
