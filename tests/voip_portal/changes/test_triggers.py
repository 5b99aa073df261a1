"""Whatever hand changes a watched row, there is a `changes` row of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.apps import apps
from django.core import checks
from django.core.management import call_command
from django.db import connection, migrations, models, transaction
from django.db.migrations.state import ProjectState
from django.test import Client

from tests.voip_portal.people import kept_of
from voip_portal.accounts.models import User
from voip_portal.changes import triggers
from voip_portal.changes.actor import acting_as
from voip_portal.changes.models import Change
from voip_portal.changes.registry import REGISTRY
from voip_portal.lines import services as lines
from voip_portal.lines.models import Device, DeviceSecret, Line
from voip_portal.numbers.models import Address, Domain, NumberRange

Since = Callable[[], list[Change]]
SECRETS = {"ha1_md5", "ha1_sha256", "cluster_key", "previous_cluster_key"}


def said(change: Change) -> tuple[str, str, str]:
    return change.table_name, change.op, change.row_key


def test_registry_names_columns_that_exist_and_no_secret_among_the_shown() -> None:
    models_by_table = {
        model._meta.db_table: model for model in apps.get_models(include_auto_created=True)
    }
    for watched in REGISTRY:
        columns = {field.column for field in models_by_table[watched.table]._meta.concrete_fields}
        assert {*watched.columns, *watched.secret} <= columns
        assert not SECRETS & set(watched.columns)


def test_registry_names_every_boolean_shown() -> None:
    models_by_table = {
        model._meta.db_table: model for model in apps.get_models(include_auto_created=True)
    }
    for watched in REGISTRY:
        fields = models_by_table[watched.table]._meta.concrete_fields
        found = {f.column for f in fields if isinstance(f, models.BooleanField)}
        assert found & set(watched.columns) == watched.booleans


def test_registry_names_every_time_shown() -> None:
    models_by_table = {
        model._meta.db_table: model for model in apps.get_models(include_auto_created=True)
    }
    for watched in REGISTRY:
        fields = models_by_table[watched.table]._meta.concrete_fields
        found = {f.column for f in fields if isinstance(f, models.DateTimeField)}
        assert found & set(watched.columns) == watched.times


def test_new_row_is_written_with_what_it_holds(domain: Domain, changes_since: Since) -> None:
    line = Line.objects.create(username="anna", label="Anna's", state="active")
    (change,) = changes_since()
    assert said(change) == ("lines_line", "insert", str(line.pk))
    assert change.before is None
    assert change.after["username"] == "anna"
    assert change.after["end_calls"] is False


def test_queryset_update_writes_one_row_for_each_row_changed(
    domain: Domain, annas_line: Line, changes_since: Since
) -> None:
    Line.objects.create(username="boris", skeleton="boris")
    before = len(changes_since())
    Line.objects.update(state="suspended")
    written = changes_since()[before:]
    assert [(c.op, c.before["state"], c.after["state"]) for c in written] == [
        ("update", "active", "suspended")
    ] * 2


def test_update_that_changes_nothing_writes_nothing(annas_line: Line, changes_since: Since) -> None:
    annas_line.save()
    Line.objects.update(state="active")
    assert changes_since() == []


def test_bulk_create_writes_rows(domain: Domain, changes_since: Since) -> None:
    values = ("21000", "21001", "21002")
    Address.objects.bulk_create(
        Address(domain=domain, kind="number", value=value, state="reserved") for value in values
    )
    assert [c.after["value"] for c in changes_since()] == list(values)


def test_deleted_row_is_kept_as_it_was(domain: Domain, changes_since: Since) -> None:
    plan = NumberRange.objects.create(domain=domain, first="30000", last="30999")
    key = str(plan.pk)
    plan.delete()
    change = changes_since()[-1]
    assert said(change) == ("numbers_numberrange", "delete", key)
    assert change.before["first"] == "30000"
    assert change.after is None


def test_another_secret_is_told_without_the_secret(annas_line: Line, changes_since: Since) -> None:
    device, _ = lines.add_device(annas_line, "Laptop", "campus")
    old = kept_of(device)
    DeviceSecret.objects.update(ha1_md5="1" * 32, ha1_sha256="2" * 64)
    added, inserted, renewed = changes_since()
    key = str(device.pk)
    assert said(added) == ("lines_device", "insert", key)
    assert said(inserted) == ("lines_devicesecret", "insert", key)
    assert said(renewed) == ("lines_devicesecret", "update", key)
    assert "secret_changed" not in inserted.after
    assert renewed.after["secret_changed"] is True
    new = kept_of(device)
    assert new.ha1_md5 != old.ha1_md5
    text = json.dumps([[c.before, c.after] for c in (added, inserted, renewed)])
    for secret in (old.ha1_md5, old.ha1_sha256, new.ha1_md5, new.ha1_sha256):
        assert secret not in text
    assert not any(name in text for name in SECRETS)


def test_rename_of_a_device_tells_of_no_new_secret(
    annas_device: Device, changes_since: Since
) -> None:
    lines.rename_device(annas_device, "Desk")
    (change,) = changes_since()
    assert change.after["label"] == "Desk"
    assert "secret_changed" not in change.after


def test_versions_rise_with_commits(domain: Domain, changes_since: Since) -> None:
    Line.objects.create(username="first", skeleton="first")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # what a commit does; these tests roll back
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    Line.objects.create(username="second", skeleton="second")
    versions = [c.version for c in changes_since()]
    if connection.vendor == "postgresql":
        assert versions[0] is not None
        assert versions[1] is None  # not committed yet
    else:
        assert versions == sorted(set(versions))


@pytest.mark.django_db(transaction=True)
def test_transaction_has_one_version_on_postgresql(domain: Domain, changes_since: Since) -> None:
    with transaction.atomic():
        for name in ("one", "two", "three"):
            Line.objects.create(username=name, skeleton=name)
    Line.objects.create(username="four", skeleton="four")
    *together, alone = [c.version for c in changes_since()]
    if connection.vendor == "postgresql":
        assert together == [together[0]] * 3
        assert alone == together[0] + 1
    else:
        assert [*together, alone] == [c.id for c in changes_since()]


@pytest.mark.django_db(transaction=True)
def test_change_from_a_shell_is_written_without_an_actor(
    domain: Domain, shell: Callable[[str], None], changes_since: Since
) -> None:
    with acting_as("anna@campus.example"):
        line = Line.objects.create(username="anna", skeleton="anna")
    shell(f"UPDATE lines_line SET state = 'suspended' WHERE id = {line.pk}")  # noqa: S608
    mine, theirs = changes_since()
    assert (mine.actor, theirs.actor) == ("anna@campus.example", "")
    assert theirs.after["state"] == "suspended"
    assert theirs.version is not None
    assert mine.version is not None
    assert theirs.version > mine.version


@pytest.mark.django_db(transaction=True)
def test_truncate_asks_for_everything_to_be_read_again(
    domain: Domain, shell: Callable[[str], None], changes_since: Since
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no TRUNCATE; DELETE fires the row triggers there")
    shell("TRUNCATE numbers_numberrange")
    (change,) = changes_since()
    assert said(change) == ("numbers_numberrange", "reload", "")


def test_actor_of_an_admin_page_is_who_is_logged_in(
    domain: Domain, as_user: Callable[[User], Client], changes_since: Since
) -> None:
    root = User.objects.create_superuser("root@campus.example", "x")
    as_user(root).post(
        "/admin/numbers/domain/add/", {"name": "second.example", "algorithms": "SHA-256"}
    )
    _person, change, *reserved = changes_since()
    assert said(change)[:2] == ("numbers_domain", "insert")
    assert {said(row)[:2] for row in reserved} == {("numbers_address", "insert")}
    assert {row.actor for row in (change, *reserved)} == {"root@campus.example"}


def test_actor_ends_with_its_block(domain: Domain, changes_since: Since) -> None:
    with acting_as("one"):
        Line.objects.create(username="a1", skeleton="a1")
        with acting_as("two"):
            Line.objects.create(username="a2", skeleton="a2")
        Line.objects.create(username="a3", skeleton="a3")
    Line.objects.create(username="a4", skeleton="a4")
    assert [c.actor for c in changes_since()] == ["one", "two", "one", ""]


def test_actor_survives_a_refused_statement(domain: Domain, changes_since: Since) -> None:
    with acting_as("one"):
        with pytest.raises(Exception, match=r"(?i)unique"), transaction.atomic():
            Domain.objects.create(name=domain.name)
        Line.objects.create(username="a1", skeleton="a1")
    Line.objects.create(username="a2", skeleton="a2")
    assert [c.actor for c in changes_since()] == ["one", ""]


def warnings() -> list[str]:
    found = checks.run_checks(tags=[checks.Tags.database], databases=["default"])
    return [message.msg for message in found if message.id == "changes.W001"]


@pytest.mark.django_db(transaction=True)
def test_check_finds_a_dropped_trigger_and_migrate_puts_it_back(domain: Domain) -> None:
    assert warnings() == []
    name = next(n for n in sorted(triggers.dialect(connection).expected()) if "lines_line" in n)
    on = " ON lines_line" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TRIGGER "{name}"{on}')
    assert warnings() == [f"Trigger {name} is missing in database 'default'."]
    call_command("migrate", verbosity=0)
    assert warnings() == []


@pytest.mark.django_db(transaction=True)
def test_check_finds_a_trigger_that_differs(domain: Domain) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE lines_line DISABLE TRIGGER changes_on_lines_line_row")
        else:
            cursor.execute("DROP TRIGGER changes_on_lines_line_insert")
            cursor.execute(
                "CREATE TRIGGER changes_on_lines_line_insert AFTER INSERT ON lines_line"
                " BEGIN SELECT 1; END"
            )
    assert len(warnings()) == 1
    triggers.install()
    assert warnings() == []


@pytest.mark.django_db(transaction=True)
def test_migration_that_rebuilds_a_watched_table_keeps_its_changes_watched(
    domain: Domain, changes_since: Since
) -> None:
    line = Line.objects.create(username="anna", skeleton="anna")
    wider = migrations.AlterField(
        "line", "label", models.CharField(max_length=120, blank=True, default="", null=True)
    )
    narrow = migrations.AlterField("line", "label", Line._meta.get_field("label").clone())
    state = project_state()
    for operation in (wider, narrow):
        migrate(state, operation)
        assert warnings() == []
    Line.objects.filter(pk=line.pk).update(state="suspended")
    written = changes_since()
    assert written[-1].after["state"] == "suspended"
    if connection.vendor == "sqlite":  # what was written during the rebuild is not known
        assert {c.op for c in written} >= {"reload"}


def project_state() -> ProjectState:
    from django.db.migrations.loader import MigrationLoader

    return MigrationLoader(connection).project_state()


def migrate(state: ProjectState, operation: migrations.AlterField) -> None:
    """One operation, as `migrate` runs it: with its signals before and after."""
    config = apps.get_app_config("changes")
    after = state.clone()
    operation.state_forwards("lines", after)
    triggers.before_migrate(config, "default", plan=[operation])
    with connection.schema_editor() as editor:
        operation.database_forwards("lines", editor, state, after)
    operation.state_forwards("lines", state)
    triggers.after_migrate(config, "default")


@pytest.mark.django_db(transaction=True)
def test_rolled_back_transaction_leaves_no_gap(domain: Domain, changes_since: Since) -> None:
    Line.objects.create(username="first", skeleton="first")
    with transaction.atomic():
        Line.objects.create(username="never", skeleton="never")
        transaction.set_rollback(True)
    Line.objects.create(username="second", skeleton="second")
    first, second = [c.version for c in changes_since()]
    assert first is not None
    assert second == first + 1


@pytest.mark.django_db(transaction=True)
def test_versions_are_in_the_order_of_commits(domain: Domain, changes_since: Since) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    early = Line.objects.create(username="early", skeleton="early")
    late = Line.objects.create(username="late", skeleton="late")
    other = connection.copy()
    try:
        with transaction.atomic():
            Line.objects.filter(pk=late.pk).update(label="begun first, committed last")
            with other.cursor() as cursor:
                cursor.execute("UPDATE lines_line SET label = 'x' WHERE id = %s", [early.pk])
    finally:
        other.close()
    versions = {c.row_key: c.version for c in changes_since() if c.op == "update"}
    assert versions[str(late.pk)] == (versions[str(early.pk)] or 0) + 1
