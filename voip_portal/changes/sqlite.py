"""The triggers as SQLite wants them: three for each watched table.

SQLite has one writer at a time, so numbering rows as they come is numbering them in commit order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voip_portal.changes.registry import Watched

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_BODY = """BEGIN
INSERT INTO changes_state (id, version, actor)
SELECT 1, 0, '' WHERE NOT EXISTS (SELECT 1 FROM changes_state);
UPDATE changes_state SET version = version + 1;
INSERT INTO changes_change (version, table_name, row_key, op, before, after, actor, at)
SELECT version, '{table}', {key}, '{op}', {before}, {after}, actor, strftime('%Y-%m-%d %H:%M:%f', 'now')
FROM changes_state;
END"""


def expected(watched: Watched) -> dict[str, str]:
    """Name → definition of a table's triggers."""
    key = watched.columns[0]
    old, new = _row("OLD", watched), _row("NEW", watched)
    every = (*watched.columns, *watched.hidden)
    differs = " OR ".join(f'OLD."{c}" IS NOT NEW."{c}"' for c in every)
    return dict(
        (
            _trigger(watched, "insert", f'NEW."{key}"', "NULL", new),
            _trigger(watched, "update", f'NEW."{key}"', old, new, f" WHEN {differs}"),
            _trigger(watched, "delete", f'OLD."{key}"', old, "NULL"),
        )
    )


def _trigger(
    watched: Watched, op: str, key: str, before: str, after: str, when: str = ""
) -> tuple[str, str]:
    name = f"changes_{watched.table}_{op}"
    body = _BODY.format(table=watched.table, key=key, op=op, before=before, after=after)
    return name, f'CREATE TRIGGER {name} AFTER {op.upper()} ON "{watched.table}"{when} {body}'


def _row(which: str, watched: Watched) -> str:
    pairs = ", ".join(f"'{c}', {which}.\"{c}\"" for c in watched.columns)
    return f"json_object({pairs})"


def faults(connection: BaseDatabaseWrapper, watched: Watched) -> dict[str, str]:
    """The triggers of a table that are missing or differ: name → what is wrong."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        present = dict(cursor.fetchall())
    return {
        name: "differs" if name in present else "missing"
        for name, definition in expected(watched).items()
        if present.get(name) != definition
    }


def install(connection: BaseDatabaseWrapper, watched: Watched, names: dict[str, str]) -> None:
    """Make these triggers as they should be."""
    with connection.cursor() as cursor:
        for name, definition in expected(watched).items():
            if name in names:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
                cursor.execute(definition)


def faults_of_versions(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """SQLite needs no triggers for versions."""
    return {}


def install_versions(connection: BaseDatabaseWrapper) -> None:
    """As `faults_of_versions`."""
