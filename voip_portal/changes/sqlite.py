"""Row triggers for SQLite. It has one writer at a time, so a row's version is its own id.

The actor is put in by one more trigger, a temporary one that only the portal's own connections
have: any other program, the sqlite3 shell too, writes rows without an actor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from voip_portal.changes.registry import REGISTRY, RELOAD, SECRET_CHANGED, Watched

PREFIX = "changes_on_"
_INSERT = (
    "INSERT INTO changes_change (table_name, row_key, op, before, after, actor, at) VALUES"
    " ('{table}', {key}, '{op}', {before}, {after}, '', strftime('%Y-%m-%d %H:%M:%f', 'now'));"
    " UPDATE changes_change SET version = id WHERE id = last_insert_rowid();"
)
RELOAD_ALL = _INSERT.format(table="", key="''", op=RELOAD, before="NULL", after="NULL")


def triggers(watched: Watched) -> dict[str, str]:
    """Names and statements of a table's triggers."""
    old, new = _row(watched, "OLD"), _row(watched, "NEW")
    made = {}
    for op, key, before, after, when in (
        ("insert", "NEW.id", "NULL", new, ""),
        ("update", "NEW.id", old, _with_secret(watched, new), _differs(watched)),
        ("delete", "OLD.id", old, "NULL", ""),
    ):
        name = f"{PREFIX}{watched.table}_{op}"
        body = _INSERT.format(table=watched.table, key=key, op=op, before=before, after=after)
        made[name] = (
            f'CREATE TRIGGER "{name}" AFTER {op.upper()} ON "{watched.table}"'
            f" FOR EACH ROW {when}BEGIN {body} END"
        )
    return made


def _row(watched: Watched, which: str) -> str:
    """The watched columns of a row as a JSON object."""
    parts = ", ".join(f"'{name}', {_value(watched, name, which)}" for name in watched.columns)
    return f"json_object({parts})"


def _value(watched: Watched, name: str, which: str) -> str:
    column = f'{which}."{name}"'
    if name not in watched.booleans:
        return column
    return f"json(CASE WHEN {column} THEN 'true' ELSE 'false' END)"


def _with_secret(watched: Watched, row: str) -> str:
    if not watched.secret:
        return row
    changed = _any_differs(watched.secret)
    return (
        f"CASE WHEN {changed} THEN json_set({row}, '$.{SECRET_CHANGED}', json('true'))"
        f" ELSE {row} END"
    )


def _differs(watched: Watched) -> str:
    return f"WHEN {_any_differs((*watched.columns, *watched.secret))} "


def _any_differs(names: Iterable[str]) -> str:
    return " OR ".join(f'OLD."{name}" IS NOT NEW."{name}"' for name in names)


def expected() -> dict[str, str]:
    """All triggers, as `sqlite_master` should show them."""
    return {name: sql for watched in REGISTRY for name, sql in triggers(watched).items()}


def present(cursor: Any) -> dict[str, str]:
    """Our triggers as they are."""
    cursor.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, %s) = %s",
        [len(PREFIX), PREFIX],
    )
    return dict(cursor.fetchall())


def drop(cursor: Any, names: Iterable[str]) -> None:
    """Remove triggers."""
    for name in names:
        cursor.execute(f'DROP TRIGGER IF EXISTS "{name}"')


def install(cursor: Any, tables: Iterable[str]) -> None:
    """Put the triggers of these tables as they should be; remove those of no watched table."""
    there, wanted = present(cursor), expected()
    drop(cursor, [name for name, sql in there.items() if wanted.get(name) != sql])
    kept = set(tables)
    for watched in REGISTRY:
        if watched.table not in kept:
            continue
        for name, sql in triggers(watched).items():
            if there.get(name) != sql:
                cursor.execute(sql)


def reload_all(cursor: Any) -> None:
    """Write the row that makes every node read everything again."""
    for statement in RELOAD_ALL.split(";")[:-1]:
        cursor.execute(statement)


_NOBODY: Final = ("", "", "")
_acting: ContextVar[tuple[str, str, str]] = ContextVar("acting", default=_NOBODY)
_ACTOR_TRIGGER = (
    "CREATE TEMP TRIGGER IF NOT EXISTS changes_actor AFTER INSERT ON main.changes_change"
    " BEGIN UPDATE changes_change SET actor = voip_acting(0), source = voip_acting(1),"
    " reason = voip_acting(2) WHERE id = NEW.id; END"
)


def add_actor_function(connection: Any) -> None:
    """Let the temporary trigger of this driver connection ask who acts, from where, and why."""
    connection.create_function("voip_acting", 1, lambda part: _acting.get()[part])


@contextmanager
def as_actor(cursor: Any, acting: tuple[str, str, str]) -> Iterator[None]:
    """Changes within are this actor's (name, source, reason)."""
    cursor.execute(_ACTOR_TRIGGER)  # a table's rebuilding or a rollback may have taken it away
    token = _acting.set(acting)
    try:
        yield
    finally:
        _acting.reset(token)
