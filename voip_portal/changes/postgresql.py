"""The triggers as PostgreSQL wants them.

Each watched table has a function that writes the `changes` row. Versions are given at commit by two
deferred constraint triggers on `changes_change`: the first is queued behind the foreign key checks
of the statement that caused it and passes for all but the transaction's last change; it queues the
second behind everything else that is deferred. So the lock on the version row is the last lock a
transaction takes: versions come in commit order, and nobody who holds it waits for anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voip_portal.changes.registry import Watched

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

CHANNEL = "voip_changes"

_LOG = """
DECLARE
    change_id bigint;
BEGIN
    IF TG_OP = 'UPDATE' AND ({old_all}) IS NOT DISTINCT FROM ({new_all}) THEN
        RETURN NULL;
    END IF;
    INSERT INTO changes_change (table_name, row_key, op, before, after, actor, at)
    VALUES (
        '{table}',
        CASE TG_OP WHEN 'TRUNCATE' THEN '' WHEN 'DELETE' THEN OLD."{key}"::text
        ELSE NEW."{key}"::text END,
        lower(TG_OP),
        CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN {old} END,
        CASE WHEN TG_OP IN ('UPDATE', 'INSERT') THEN {new} END,
        coalesce(current_setting('voip.actor', true), ''),
        now()
    )
    RETURNING id INTO change_id;
    PERFORM set_config('voip.last_change', change_id::text, true);
    RETURN NULL;
END
"""
_WANT_VERSION = """
BEGIN
    IF current_setting('voip.last_change', true) = NEW.id::text THEN
        UPDATE changes_change SET version = 0 WHERE id = NEW.id;
    END IF;
    RETURN NULL;
END
"""
_ASSIGN_VERSION = f"""
DECLARE
    latest bigint;
BEGIN
    INSERT INTO changes_state (id, version, actor) VALUES (1, 1, '')
    ON CONFLICT (id) DO UPDATE SET version = changes_state.version + 1
    RETURNING version INTO latest;
    -- Rows of transactions that have not ended are invisible here: these are our own.
    UPDATE changes_change SET version = latest WHERE version IS NULL OR version = 0;
    PERFORM pg_notify('{CHANNEL}', latest::text);
    RETURN NULL;
END
"""
_VERSION_FUNCTIONS = {
    "changes_want_version": _WANT_VERSION,
    "changes_assign_version": _ASSIGN_VERSION,
}
_VERSION_TRIGGERS = {
    "changes_want_version": (
        "CREATE CONSTRAINT TRIGGER changes_want_version AFTER INSERT ON changes_change"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION changes_want_version()"
    ),
    "changes_assign_version": (
        "CREATE CONSTRAINT TRIGGER changes_assign_version AFTER UPDATE OF version ON changes_change"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.version = 0)"
        " EXECUTE FUNCTION changes_assign_version()"
    ),
}


def _function(watched: Watched) -> tuple[str, str]:
    every = (*watched.columns, *watched.hidden)
    body = _LOG.format(
        table=watched.table,
        key=watched.columns[0],
        old=_row("OLD", watched),
        new=_row("NEW", watched),
        old_all=", ".join(f'OLD."{c}"' for c in every),
        new_all=", ".join(f'NEW."{c}"' for c in every),
    )
    return f"changes_log_{watched.table}", body


def _row(which: str, watched: Watched) -> str:
    pairs = ", ".join(f"'{c}', {which}.\"{c}\"" for c in watched.columns)
    return f"jsonb_build_object({pairs})"


def _triggers(watched: Watched) -> dict[str, str]:
    """Definitions in the words of `pg_get_triggerdef`, so that they can be compared."""
    table, function = watched.table, _function(watched)[0]
    return {
        "changes_log": (
            f"CREATE TRIGGER changes_log AFTER INSERT OR DELETE OR UPDATE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION {function}()"
        ),
        "changes_log_truncate": (
            f"CREATE TRIGGER changes_log_truncate AFTER TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        ),
    }


def faults(connection: BaseDatabaseWrapper, watched: Watched) -> dict[str, str]:
    """What is missing or differs, of a table's function and triggers: name → what is wrong."""
    return _compare(connection, watched.table, dict([_function(watched)]), _triggers(watched))


def install(connection: BaseDatabaseWrapper, watched: Watched, names: dict[str, str]) -> None:
    """Make function and triggers of a table as they should be."""
    _make(connection, watched.table, dict([_function(watched)]), _triggers(watched), names)


def faults_of_versions(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """As `faults`, of what gives versions."""
    return _compare(connection, "changes_change", _VERSION_FUNCTIONS, _VERSION_TRIGGERS)


def install_versions(connection: BaseDatabaseWrapper) -> None:
    """Make what gives versions as it should be."""
    wrong = faults_of_versions(connection)
    _make(connection, "changes_change", _VERSION_FUNCTIONS, _VERSION_TRIGGERS, wrong)


def _compare(
    connection: BaseDatabaseWrapper,
    table: str,
    functions: dict[str, str],
    triggers: dict[str, str],
) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname || '()', prosrc FROM pg_proc"
            " WHERE proname = ANY(%s) AND pronamespace = current_schema()::regnamespace",
            [list(functions)],
        )
        present = dict(cursor.fetchall())
        cursor.execute(
            "SELECT tgname, pg_get_triggerdef(oid, true), tgenabled FROM pg_trigger"
            " WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal",
            [table],
        )
        for name, definition, enabled in cursor.fetchall():
            present[name] = definition if enabled in ("O", "A") else "disabled"
    wanted = {f"{name}()": body for name, body in functions.items()} | triggers
    return {
        name: "differs" if name in present else "missing"
        for name, definition in wanted.items()
        if present.get(name) != definition
    }


def _make(
    connection: BaseDatabaseWrapper,
    table: str,
    functions: dict[str, str],
    triggers: dict[str, str],
    names: dict[str, str],
) -> None:
    with connection.cursor() as cursor:
        for name, body in functions.items():
            if f"{name}()" in names:
                cursor.execute(
                    f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger"
                    f" LANGUAGE plpgsql AS $changes${body}$changes$"
                )
        for name, definition in triggers.items():
            if name in names:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
                cursor.execute(definition)
