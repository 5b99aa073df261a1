import hashlib
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from tests.voip_portal.migrating import before_migration, taken_back_to
from tests.voip_portal.people import kept_of, reread
from voip_portal.accounts.models import User
from voip_portal.accounts.services import anonymise
from voip_portal.changes import triggers
from voip_portal.lines import services
from voip_portal.lines.models import MAX_DEVICES, Device, DeviceSecret, Line, State

pytestmark = pytest.mark.django_db(databases="__all__")


def test_a_secret_is_kept_only_as_ha1_of_both_algorithms(annas_line: Line) -> None:
    device, secret = services.add_device(annas_line, "  My   phone ", "campus")
    assert device.label == "My phone"
    text = f"anna:campus:{secret}".encode()
    kept = kept_of(device)
    assert kept.ha1_md5 == hashlib.md5(text, usedforsecurity=False).hexdigest()
    assert kept.ha1_sha256 == hashlib.sha256(text).hexdigest()
    for row in (Device.objects.values_list().get(), DeviceSecret.objects.values_list().get()):
        assert all(secret not in str(value) for value in row)
    assert not {kept.ha1_md5, kept.ha1_sha256} & set(Device.objects.values_list().get())


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_secrets_go_to_their_own_table_and_back_by_migrating(
    annas_device: Device, annas_line: Line
) -> None:
    revoked, _ = services.add_device(annas_line, "Lost", "campus")
    services.revoke_device(revoked)
    before = list(DeviceSecret.objects.order_by("pk").values_list())
    among_devices = "SELECT id, ha1_md5, ha1_sha256 FROM lines_device ORDER BY id"
    with taken_back_to("lines", "0004_suspended_with_owner"), connection.cursor() as cursor:
        cursor.execute(among_devices)
        assert cursor.fetchall() == before
        cursor.execute("UPDATE lines_device SET ha1_md5 = %s WHERE id = %s", ["0" * 32, revoked.pk])
    kept = list(DeviceSecret.objects.order_by("pk").values_list())
    assert kept == [before[0], (revoked.pk, "0" * 32, before[1][2])]
    assert triggers.problems() == []


def test_a_deleted_device_leaves_no_secret(annas_device: Device, annas_line: Line) -> None:
    other, _ = services.add_device(annas_line, "Desk", "campus")
    Device.objects.filter(pk=annas_device.pk).delete()
    assert list(DeviceSecret.objects.values_list("pk", flat=True)) == [other.pk]
    annas_line.addresses.all().delete()
    annas_line.delete()
    assert not DeviceSecret.objects.exists()


def test_a_device_has_no_attribute_that_leads_to_its_secret(annas_device: Device) -> None:
    kept = kept_of(annas_device)
    found = [getattr(annas_device, name, None) for name in dir(Device) if name != "objects"]
    assert kept not in found


def test_secrets_are_long_and_each_its_own() -> None:
    found = {services.new_secret() for _ in range(200)}
    assert len(found) == 200
    assert all(len(secret) == 23 for secret in found)


def test_the_eleventh_device_is_refused_until_one_is_revoked(annas_line: Line) -> None:
    devices = [services.add_device(annas_line, str(n), "campus")[0] for n in range(MAX_DEVICES)]
    with pytest.raises(services.TooManyDevices):
        services.add_device(annas_line, "one more", "campus")
    services.revoke_device(devices[0])
    services.add_device(annas_line, "one more", "campus")


def test_a_new_secret_replaces_the_old_one(annas_device: Device) -> None:
    before = kept_of(annas_device).ha1_sha256
    renewed, secret = services.renew_secret(annas_device, "campus")
    assert list(Device.objects.active()) == [renewed]
    assert renewed.label == annas_device.label
    after = kept_of(renewed).ha1_sha256
    assert after != before
    assert after == services.ha1("sha256", "anna", "campus", secret)


def test_a_new_secret_needs_no_room_for_one_more_device(annas_line: Line) -> None:
    devices = [services.add_device(annas_line, str(n), "campus")[0] for n in range(MAX_DEVICES)]
    services.renew_secret(devices[0], "campus")
    assert Device.objects.active().count() == MAX_DEVICES


def test_a_suspended_line_gets_no_new_secret_and_keeps_its_device(annas_device: Device) -> None:
    services.suspend(annas_device.line, end_calls=False)
    with pytest.raises(services.LineNotActive):
        services.renew_secret(annas_device, "campus")
    assert list(Device.objects.active()) == [annas_device]


def test_a_revoked_device_gets_no_new_secret_and_keeps_its_first_date(annas_device: Device) -> None:
    services.revoke_device(annas_device)
    first = annas_device.revoked_at
    services.revoke_device(annas_device)
    assert annas_device.revoked_at == first
    with pytest.raises(services.LineNotActive):
        services.renew_secret(annas_device, "campus")


def test_who_read_a_device_before_it_was_revoked_changes_nothing_of_that(
    annas_device: Device,
) -> None:
    stale = Device.objects.select_related("line").get(pk=annas_device.pk)
    services.revoke_device(annas_device)
    services.revoke_device(stale)
    assert stale.revoked_at == annas_device.revoked_at
    before = (Device.objects.values().get(pk=stale.pk), DeviceSecret.objects.values().get())
    stale.revoked_at = None
    with pytest.raises(services.LineNotActive):
        services.renew_secret(stale, "campus")
    assert before == (
        Device.objects.values().get(pk=stale.pk),
        DeviceSecret.objects.values().get(),
    )


def test_a_closed_lines_devices_are_given_no_name_by_a_rename_under_way(
    annas_device: Device,
) -> None:
    stale = Device.objects.select_related("line").get(pk=annas_device.pk)
    services.close_line(annas_device.line)
    services.rename_device(stale, "Annas private phone")
    assert Device.objects.get(pk=stale.pk).label == ""


def test_names_that_read_the_same_are_taken(annas_line: Line, boris: User) -> None:
    for name in ("anna", "ANNA", "an.na", "an-na"):
        with pytest.raises(services.NameTaken):
            services.create_line(boris, name)


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_name_that_reads_like_one_chosen_meanwhile_is_taken(
    annas_line: Line, boris: User, is_closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_closed:
        services.close_line(annas_line)
    # As when the other one is written after this one was looked for.
    monkeypatch.setattr(services, "check_username", lambda username: None)
    for name in ("anna", "an.na"):
        with pytest.raises(services.NameTaken):
            services.create_line(boris, name)
    assert Line.objects.get() == annas_line


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_of_two_look_alikes_that_are_there_already_both_keep_their_names(
    annas_line: Line, boris: User, clara: User
) -> None:
    with before_migration(
        "lines", "0003_names_that_read_differently", "line", "line_reads_like_no_other"
    ) as migrate:
        for name, owner in (("an.na", boris), ("an-na", clara)):
            Line.objects.create(username=name, skeleton="anna", owner=owner)
        migrate()
    kept = Line.objects.order_by("pk").values_list("username", "skeleton")
    assert list(kept) == [("anna", "anna"), ("an.na", ""), ("an-na", "")]
    with pytest.raises(services.NameTaken):
        services.create_line(None, "ann-a")


def test_a_closed_lines_name_is_never_given_again(annas_line: Line, boris: User) -> None:
    services.close_line(annas_line)
    with pytest.raises(services.NameTaken):
        services.create_line(boris, "anna")


def test_suspending_keeps_devices_and_resuming_brings_them_back(annas_device: Device) -> None:
    line = annas_device.line
    services.suspend(line, end_calls=True)
    line.refresh_from_db()
    assert (line.state, line.end_calls) == (State.SUSPENDED, True)
    with pytest.raises(services.LineNotActive):
        services.add_device(line, "x", "campus")
    services.resume(line)
    line.refresh_from_db()
    assert (line.state, line.end_calls) == (State.ACTIVE, False)
    assert line.devices.active().count() == 1


@pytest.mark.parametrize("state", State)
def test_ending_calls_leaves_a_line_as_it_is(annas_line: Line, state: State) -> None:
    if state == State.CLOSING:
        services.close_line(annas_line)
    if state == State.SUSPENDED:
        services.suspend(annas_line, end_calls=False)
    before = Line.objects.values().get()
    services.end_ongoing_calls(annas_line.pk)
    assert Line.objects.values().get() == before


def test_a_closed_line_is_neither_suspended_nor_resumed(annas_line: Line) -> None:
    services.close_line(annas_line)
    with pytest.raises(services.LineNotActive):
        services.suspend(annas_line, end_calls=False)
    with pytest.raises(services.LineNotActive):
        services.resume(annas_line)


def test_suspending_a_person_ends_sessions_and_lines(annas_line: Line) -> None:
    user = annas_line.owner
    assert user is not None
    before = user.get_session_auth_hash()
    services.suspend_person(user, end_calls=False)
    annas_line.refresh_from_db()
    assert not user.is_active
    assert user.get_session_auth_hash() != before
    assert annas_line.state == State.SUSPENDED
    services.resume_person(user)
    annas_line.refresh_from_db()
    assert user.is_active
    assert annas_line.state == State.ACTIVE


def test_a_line_suspended_by_itself_stays_so_when_its_owner_is_resumed(annas_line: Line) -> None:
    user = annas_line.owner
    assert user is not None
    services.suspend(annas_line, end_calls=False)
    services.suspend_person(user, end_calls=False)
    services.resume_person(user)
    annas_line.refresh_from_db()
    assert annas_line.state == State.SUSPENDED
    services.resume(annas_line)
    annas_line.refresh_from_db()
    assert annas_line.state == State.ACTIVE


def test_a_line_suspended_by_itself_while_its_owner_is_shut_out_stays_so(annas_line: Line) -> None:
    user = annas_line.owner
    assert user is not None
    services.suspend_person(user, end_calls=False)
    services.suspend(annas_line, end_calls=False)
    services.resume_person(user)
    annas_line.refresh_from_db()
    assert annas_line.state == State.SUSPENDED


def test_suspending_a_person_twice_ends_calls_the_second_time_and_resumes_once(
    annas_line: Line,
) -> None:
    user = annas_line.owner
    assert user is not None
    services.suspend_person(user, end_calls=False)
    services.suspend_person(user, end_calls=True)
    annas_line.refresh_from_db()
    assert (annas_line.state, annas_line.end_calls) == (State.SUSPENDED, True)
    services.resume_person(user)
    annas_line.refresh_from_db()
    assert (annas_line.state, annas_line.end_calls) == (State.ACTIVE, False)


def test_the_calls_of_a_line_suspended_before_end_with_its_owners(annas_line: Line) -> None:
    assert annas_line.owner is not None
    services.suspend(annas_line, end_calls=False)
    services.suspend_person(annas_line.owner, end_calls=True)
    annas_line.refresh_from_db()
    assert annas_line.end_calls


def test_a_line_is_not_resumed_whose_owner_was_suspended_meanwhile(annas_line: Line) -> None:
    services.suspend(annas_line, end_calls=False)
    [chosen] = Line.objects.filter(state=State.SUSPENDED).select_related("owner")
    assert annas_line.owner is not None
    services.suspend_person(annas_line.owner, end_calls=False)  # by somebody else, just then
    with pytest.raises(services.LineNotActive):
        services.resume(chosen)
    annas_line.refresh_from_db()
    assert annas_line.state == State.SUSPENDED


def test_who_closed_her_account_meanwhile_is_not_resumed(annas_line: Line) -> None:
    user = annas_line.owner
    assert user is not None
    services.suspend_person(user, end_calls=False)
    anonymise(reread(user))  # `user` is what was chosen in the admin before
    with pytest.raises(services.LineNotActive):
        services.resume_person(user)
    assert not reread(user).is_active


def test_who_is_suspended_when_the_service_is_updated_is_resumed_with_her_lines(
    annas_line: Line, boris: User, line_of: Callable[[User], Line]
) -> None:
    user, boriss_line = annas_line.owner, line_of(boris)
    assert user is not None
    services.suspend_person(user, end_calls=False)
    services.suspend(boriss_line, end_calls=False)
    Line.objects.update(suspended_with_owner=False)  # as the new column begins
    migration = import_module("voip_portal.lines.migrations.0004_suspended_with_owner")
    migration.mark_those_of_suspended_owners(apps, SimpleNamespace(connection=connection))
    services.resume_person(user)
    services.resume_person(boris)
    annas_line.refresh_from_db()
    boriss_line.refresh_from_db()
    assert (annas_line.state, boriss_line.state) == (State.ACTIVE, State.SUSPENDED)
