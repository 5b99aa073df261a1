"""Row triggers for PostgreSQL: one version for a whole transaction, given at its commit.

A row trigger writes the `changes` row without a version. Two deferred steps follow at commit. The
first only marks one row, whereby the second is queued behind every other deferred check of the
transaction (foreign keys take row locks, too). The second takes the lock of the version's row,
the last lock of the transaction: versions are in commit order, and nothing deadlocks.

The functions name no column of a watched table, so that a migration may rename or drop one.
"""

# ruff: noqa: S608 - statements are made of our own constants

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

from voip_portal.changes.registry import REGISTRY, RELOAD, SECRET_CHANGED, Watched

CHANNEL: Final = "voip_changes"
ACTOR: Final = "voip.actor"
SOURCE: Final = "voip.source"
REASON: Final = "voip.reason"
_ACTING: Final = ", ".join(
    f"coalesce(current_setting('{name}', true), '')" for name in (ACTOR, SOURCE, REASON)
)
_PICK = "(SELECT jsonb_object_agg(key, value) FROM jsonb_each({row}) WHERE key = ANY({names}))"
_FUNCTIONS: Final = {
    "changes_on_row": f"""
DECLARE
  columns text[] := string_to_array(TG_ARGV[0], ',');
  secrets text[] := string_to_array(TG_ARGV[1], ',');
  old_row jsonb; new_row jsonb; shown_old jsonb; shown_new jsonb;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    old_row := to_jsonb(OLD);
    shown_old := {_PICK.format(row="old_row", names="columns")};
  END IF;
  IF TG_OP <> 'DELETE' THEN
    new_row := to_jsonb(NEW);
    shown_new := {_PICK.format(row="new_row", names="columns")};
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF {_PICK.format(row="old_row", names="secrets")}
       IS DISTINCT FROM {_PICK.format(row="new_row", names="secrets")} THEN
      shown_new := shown_new || '{{"{SECRET_CHANGED}": true}}';
    ELSIF shown_old = shown_new THEN
      RETURN NULL;
    END IF;
  END IF;
  INSERT INTO changes_change (table_name, row_key, op, before, after, actor, source, reason, at)
  VALUES (TG_TABLE_NAME, coalesce(new_row, old_row) ->> 'id', lower(TG_OP), shown_old, shown_new,
          {_ACTING}, now());
  RETURN NULL;
END""",
    "changes_on_truncate": f"""
BEGIN
  INSERT INTO changes_change (table_name, row_key, op, actor, source, reason, at)
  VALUES (TG_TABLE_NAME, '', '{RELOAD}', {_ACTING}, now());
  RETURN NULL;
END""",
    "changes_at_commit": """
BEGIN
  IF NOT EXISTS (SELECT FROM changes_change WHERE version = 0) THEN
    UPDATE changes_change SET version = 0 WHERE id = NEW.id AND version IS NULL;
  END IF;
  RETURN NULL;
END""",
    "changes_give_version": f"""
DECLARE given bigint;
BEGIN
  INSERT INTO changes_version (id, version)
  VALUES (1, (SELECT coalesce(max(version), 0) + 1 FROM changes_change))
  ON CONFLICT (id) DO UPDATE SET version = changes_version.version + 1
  RETURNING version INTO given;
  UPDATE changes_change SET version = given WHERE version = 0;
  UPDATE changes_change SET version = given WHERE version IS NULL;
  PERFORM pg_notify('{CHANNEL}', given::text);
  RETURN NULL;
END""",
}
_VERSION_TRIGGERS: Final = {
    "changes_1_at_commit": (
        "CREATE CONSTRAINT TRIGGER changes_1_at_commit AFTER INSERT ON changes_change"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION changes_at_commit()"
    ),
    "changes_2_give_version": (
        "CREATE CONSTRAINT TRIGGER changes_2_give_version AFTER UPDATE ON changes_change"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.version = 0)"
        " EXECUTE FUNCTION changes_give_version()"
    ),
}


def triggers(watched: Watched) -> dict[str, str]:
    """Names and statements of a table's triggers."""
    table = watched.table
    arguments = f"'{','.join(watched.columns)}', '{','.join(watched.secret)}'"
    row, truncate = f"changes_on_{table}_row", f"changes_on_{table}_truncate"
    return {
        row: (
            f'CREATE TRIGGER "{row}" AFTER INSERT OR UPDATE OR DELETE ON "{table}"'
            f" FOR EACH ROW EXECUTE FUNCTION changes_on_row({arguments})"
        ),
        truncate: (
            f'CREATE TRIGGER "{truncate}" AFTER TRUNCATE ON "{table}"'
            f" FOR EACH STATEMENT EXECUTE FUNCTION changes_on_truncate()"
        ),
    }


def expected() -> dict[str, str]:
    """Every function and trigger by name, with a fingerprint of its text as its comment."""
    found = {name: fingerprint(body) for name, body in _FUNCTIONS.items()}
    for table_triggers in (_VERSION_TRIGGERS, *map(triggers, REGISTRY)):
        found |= {name: fingerprint(sql) for name, sql in table_triggers.items()}
    return found


def fingerprint(text: str) -> str:
    """What stands for a text in a comment of the database."""
    return sha256(text.encode()).hexdigest()[:32]


def present(cursor: Any) -> dict[str, str]:
    """Our functions and triggers as they are: those that are switched on, by their fingerprint.

    A function's is made from its source; a trigger's is its comment, which goes when it is
    dropped, and is not believed when the trigger is disabled or calls another function.
    """
    cursor.execute(
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
        " AND proname = ANY(%s)",
        [list(_FUNCTIONS)],
    )
    found = {name: fingerprint(source) for name, source in cursor.fetchall()}
    cursor.execute(
        "SELECT t.tgname, coalesce(obj_description(t.oid, 'pg_trigger'), '') FROM pg_trigger t"
        " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid"
        " WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgname LIKE 'changes\\_%%'"
        " AND p.proname = ANY(%s) AND c.relnamespace = current_schema()::regnamespace",
        [list(_FUNCTIONS)],
    )
    return found | dict(cursor.fetchall())


def install(cursor: Any, tables: Iterable[str]) -> None:
    """Put functions and the triggers of these tables as they should be."""
    kept = set(tables)
    there, wanted = present(cursor), expected()
    for name, body in _FUNCTIONS.items():
        if there.get(name) != wanted[name]:
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $changes${body}$changes$"
            )
    _put(cursor, "changes_change", _VERSION_TRIGGERS, there, wanted)
    for watched in REGISTRY:
        if watched.table in kept:
            _put(cursor, watched.table, triggers(watched), there, wanted)


def _put(
    cursor: Any, table: str, made: dict[str, str], there: dict[str, str], wanted: dict[str, str]
) -> None:
    for name, sql in made.items():
        if there.get(name) == wanted[name]:
            continue
        cursor.execute(f'DROP TRIGGER IF EXISTS "{name}" ON "{table}"')
        cursor.execute(sql)
        cursor.execute(f'COMMENT ON TRIGGER "{name}" ON "{table}" IS \'{wanted[name]}\'')


def reload_all(cursor: Any) -> None:
    """Write the row that makes every node read everything again."""
    cursor.execute(
        "INSERT INTO changes_change (table_name, row_key, op, actor, at)"
        f" VALUES ('', '', '{RELOAD}', '', now())"
    )


@contextmanager
def as_actor(cursor: Any, acting: tuple[str, str, str]) -> Iterator[None]:
    """Changes within are this actor's (name, source, reason); there must be a transaction."""
    statement = "SELECT " + ", ".join(
        f"set_config('{name}', %s, true)" for name in (ACTOR, SOURCE, REASON)
    )
    cursor.execute(statement, list(acting))
    yield
    # Not after an error: the transaction, or the savepoint, takes the settings back itself.
    cursor.execute(statement, ["", "", ""])
