"""Rows from before a migration: the tables as they were, then the migration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from django.apps import apps
from django.core.management import call_command
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from voip_portal.changes import triggers


@contextmanager
def before_migration(
    app: str, name: str, model: str, constraint: str
) -> Iterator[Callable[[], None]]:
    """Take the constraint away; what comes with it runs the migration's operations as `migrate` does.

    It has to be called, and to succeed, before the end: the next tests need the constraint.
    """
    today = MigrationLoader(connection).project_state()
    earlier = _run(app, [migrations.RemoveConstraint(model, constraint)], today)
    operations = import_module(f"voip_portal.{app}.migrations.{name}").Migration.operations

    def migrate() -> None:
        _run(app, operations, earlier)

    yield migrate


@contextmanager
def taken_back_to(app: str, name: str) -> Iterator[None]:
    """Take an app's later migrations back, as an operator would; afterwards run them again."""
    call_command("migrate", app, name, verbosity=0)
    try:
        yield
    finally:
        call_command("migrate", app, verbosity=0)


def _run(app: str, operations: Sequence[Operation], state: ProjectState) -> ProjectState:
    """Run operations in one transaction, with the signals before and after; the state they lead to."""
    config = apps.get_app_config("changes")
    triggers.before_migrate(config, "default", plan=operations)
    try:
        with connection.schema_editor(atomic=True) as editor:
            for operation in operations:
                after = state.clone()
                operation.state_forwards(app, after)
                operation.database_forwards(app, editor, state, after)
                state = after
    finally:
        triggers.after_migrate(config, "default")
    return state
