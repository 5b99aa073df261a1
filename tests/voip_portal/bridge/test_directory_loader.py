"""A directory made from changes is the one that reading everything gives."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from sipcore.directory import (
    AccountState,
    Directory,
    Edges,
    NumberLookup,
    OpenNetworks,
    TrustedPeers,
)
from sipcore.directory.opening_hours import OpeningHours
from tests.voip_portal.people import kept_of
from voip_portal.accounts.models import User
from voip_portal.bridge import directory_loader as loader
from voip_portal.bridge.database import Database
from voip_portal.changes import triggers
from voip_portal.lines import services as lines
from voip_portal.lines.models import Device, DeviceSecret, Line
from voip_portal.nodes.models import Deployment
from voip_portal.numbers import services as numbers
from voip_portal.numbers.models import Address, Domain, NumberRange
from voip_portal.portal.closing import close_account, forget_closed


def contents(directory: Directory) -> tuple[Any, ...]:
    accounts = sorted(directory.accounts(), key=lambda a: a.id)
    names = {a.id: directory.account_by_name(a.username) for a in accounts}
    assert all(found is not None and found.id == i for i, found in names.items())
    addresses = set(directory.addresses())
    peers = directory.part(TrustedPeers).domains, *others(directory)
    return directory.version, directory.realm, directory.domains, accounts, addresses, peers


def others(directory: Directory) -> tuple[Any, ...]:
    networks = directory.part(OpenNetworks).networks
    return directory.part(Edges).hops, networks, directory.part(NumberLookup).suffix


@pytest.fixture
def old(database: Database, domain: Domain, annas_device: Device) -> Directory:
    return loader.load_directory(database)


@pytest.fixture
def full_loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts how often everything was read."""
    seen: list[int] = []
    load = loader._load

    def counted(*args: Any) -> Directory:
        seen.append(1)
        return load(*args)

    monkeypatch.setattr(loader, "_load", counted)
    return seen


def caught_up(database: Database, old: Directory, full_loads: list[int]) -> loader.Delta:
    delta = loader.catch_up(database, old)
    assert delta is not None
    assert full_loads == []
    assert contents(delta.directory) == contents(loader.load_directory(database))
    return delta


def test_nothing_newer_gives_nothing(database: Database, old: Directory) -> None:
    assert loader.catch_up(database, old) is None


def test_new_line_with_addresses(
    database: Database, old: Directory, boris: User, full_loads: list[int]
) -> None:
    line = numbers.open_line(boris, "boris")
    lines.add_device(line, "Desk", "campus")
    delta = caught_up(database, old, full_loads)
    assert delta.changed == [line.pk]
    account = delta.directory.resolve("boris", "campus.example")
    assert account is not None
    assert len(account.devices) == 1


def test_revoked_device_new_secret_and_state(
    database: Database, old: Directory, annas_line: Line, annas_device: Device, full_loads: Any
) -> None:
    second, _ = lines.add_device(annas_line, "Second", "campus")
    lines.renew_secret(second, "campus")
    lines.revoke_device(annas_device)
    Line.objects.filter(pk=annas_line.pk).update(state="suspended", end_calls=True)
    delta = caught_up(database, old, full_loads)
    assert delta.changed == [annas_line.pk]


def test_new_secret_alone_changes_its_line(
    database: Database, old: Directory, annas_line: Line, annas_device: Device, full_loads: Any
) -> None:
    renewed, _ = lines.renew_secret(annas_device, "campus")
    delta = caught_up(database, old, full_loads)
    assert delta.changed == [annas_line.pk]
    account = delta.directory.account(annas_line.pk)
    assert account is not None
    assert [device.id for device in account.devices] == [renewed.pk]
    assert account.devices[0].ha1_md5.decode() == kept_of(renewed).ha1_md5


def test_another_secret_of_the_same_device_changes_its_line(
    database: Database, old: Directory, annas_line: Line, annas_device: Device, full_loads: Any
) -> None:
    DeviceSecret.objects.update(ha1_md5="1" * 32)
    delta = caught_up(database, old, full_loads)
    assert delta.changed == [annas_line.pk]
    account = delta.directory.account(annas_line.pk)
    assert account is not None
    assert account.devices[0].ha1_md5 == b"1" * 32


def test_device_without_a_secret_is_out_of_force(
    database: Database, old: Directory, annas_line: Line, annas_device: Device, full_loads: Any
) -> None:
    database.execute("DELETE FROM lines_devicesecret")
    delta = caught_up(database, old, full_loads)
    assert delta.changed == [annas_line.pk]
    account = delta.directory.account(annas_line.pk)
    assert account is not None
    assert account.devices == ()


def test_line_whose_calls_are_to_end_stays_in_service(
    database: Database, old: Directory, annas_line: Line, annas_device: Device, full_loads: Any
) -> None:
    lines.add_device(annas_line, "Second", "campus")
    lines.revoke_device(annas_device, end_calls=True)
    delta = caught_up(database, old, full_loads)
    assert delta.ended == {annas_line.pk}
    account = delta.directory.account(annas_line.pk)
    assert account is not None
    assert (account.state, len(account.devices)) == (AccountState.ACTIVE, 1)
    lines.rename_device(annas_device, "Desk")
    full_loads.clear()
    assert caught_up(database, delta.directory, full_loads).ended == set()


def test_calls_that_are_to_end_are_known_also_when_everything_is_read(
    database: Database, old: Directory, annas_line: Line
) -> None:
    lines.end_ongoing_calls(annas_line.pk)
    Domain.objects.update(algorithms="MD5")
    delta = loader.catch_up(database, old)
    assert delta is not None
    assert delta.ended == {annas_line.pk}


def test_calls_that_are_to_end_are_known_also_after_very_many_changes(
    database: Database, old: Directory, annas_line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "MAX_DELTA_ROWS", 5)
    for i in range(10):
        Line.objects.filter(pk=annas_line.pk).update(label=f"Label {i}")
    lines.end_ongoing_calls(annas_line.pk)
    delta = loader.catch_up(database, old)
    assert delta is not None
    assert delta.ended == {annas_line.pk}


def test_address_alone_moves_the_directory_and_no_account(
    database: Database, old: Directory, annas_line: Line, domain: Domain, full_loads: list[int]
) -> None:
    Address.objects.create(domain=domain, kind="name", value="annie", line=annas_line)
    delta = caught_up(database, old, full_loads)
    assert delta.changed == []
    assert delta.directory.resolve("annie", "campus.example") is not None


def test_number_changes_hands(
    database: Database, old: Directory, annas_line: Line, boris: User, full_loads: list[int]
) -> None:
    boriss_line = numbers.open_line(boris, "boris")
    Address.objects.filter(line=boriss_line, kind="number").delete()
    Address.objects.filter(line=annas_line, kind="number").update(line=boriss_line)
    caught_up(database, old, full_loads)


def test_reserving_and_freeing_addresses_takes_nobodys_away(
    database: Database, old: Directory, domain: Domain, full_loads: list[int]
) -> None:
    """Also in a directory made before addresses were all lower case."""
    address = Address.objects.create(domain=domain, kind="name", value="fika", state="reserved")
    database.execute(
        "UPDATE changes_change SET after = REPLACE(after, 'fika', 'Anna')"
        if connection.vendor == "sqlite"
        else "UPDATE changes_change SET after = REPLACE(after::text, 'fika', 'Anna')::jsonb"
    )
    delta = caught_up(database, old, full_loads)
    assert delta.directory.resolve("anna", "campus.example") is not None
    full_loads.clear()
    address.delete()
    assert caught_up(database, delta.directory, full_loads).changed == []


def test_address_that_came_and_went_between_two_looks(
    database: Database, old: Directory, annas_line: Line, domain: Domain, full_loads: list[int]
) -> None:
    address = Address.objects.create(domain=domain, kind="name", value="annie", line=annas_line)
    Address.objects.filter(pk=address.pk).update(value="annika")
    numbers.release(annas_line)
    caught_up(database, old, full_loads)


def test_two_lines_exchange_their_names(
    database: Database, annas_line: Line, boris: User, full_loads: list[int]
) -> None:
    other = numbers.open_line(boris, "boris")
    old = loader.load_directory(database)
    full_loads.clear()
    for pk, name in ((annas_line.pk, "-"), (other.pk, "anna"), (annas_line.pk, "boris")):
        Line.objects.filter(pk=pk).update(username=name)
    caught_up(database, old, full_loads)


def test_deleted_line_goes(
    database: Database, old: Directory, annas_line: Line, full_loads: list[int]
) -> None:
    numbers.release(annas_line)
    pk = annas_line.pk
    annas_line.delete()
    delta = caught_up(database, old, full_loads)
    assert delta.changed == [pk]
    assert delta.directory.account_by_name("anna") is None


def test_number_range_moves_the_version_only(
    database: Database, old: Directory, domain: Domain, full_loads: list[int]
) -> None:
    NumberRange.objects.create(domain=domain, first="40000", last="40099")
    assert caught_up(database, old, full_loads).changed == []


def test_restored_backup_is_read_with_everything(
    database: Database, old: Directory, annas_line: Line, full_loads: list[int]
) -> None:
    """What a node has seen meanwhile is no more, and no change says so."""
    newer = old.changed(version=old.version + 5, removed_accounts=[annas_line.pk])
    delta = loader.catch_up(database, newer)
    assert delta is not None
    assert contents(delta.directory) == contents(old)
    assert annas_line.pk in delta.changed
    assert len(full_loads) == 1


def test_domain_is_read_with_everything(
    database: Database, old: Directory, full_loads: list[int]
) -> None:
    Domain.objects.update(name="renamed.example")
    delta = loader.catch_up(database, old)
    assert full_loads == [1]
    assert delta is not None
    assert delta.directory.resolve("anna", "renamed.example") is not None


def test_gap_is_read_with_everything(
    database: Database, old: Directory, annas_line: Line, full_loads: list[int]
) -> None:
    for label in ("a", "b"):
        Line.objects.update(label=label)
    database.execute("DELETE FROM changes_change WHERE version = ?", (old.version + 1,))
    assert loader.catch_up(database, old) is not None
    assert full_loads == [1]


def test_closed_account_is_taken_out_by_its_changes(
    database: Database, old: Directory, anna: User, annas_line: Line, full_loads: list[int]
) -> None:
    """What closing forgets of the changes is nothing that a node needs."""
    close_account(anna)
    delta = caught_up(database, old, full_loads)
    assert delta.changed == [annas_line.pk]
    assert delta.directory.resolve("anna", "campus.example") is None


def test_node_that_slept_over_a_closing_reads_everything(
    database: Database, old: Directory, anna: User, full_loads: list[int]
) -> None:
    close_account(anna)
    forget_closed(timezone.now() + timedelta(days=2))
    delta = loader.catch_up(database, old)
    assert full_loads == [1]
    assert delta is not None
    assert contents(delta.directory) == contents(loader.load_directory(database))
    assert delta.directory.resolve("anna", "campus.example") is None


def test_reload_row_is_read_with_everything(
    database: Database, old: Directory, full_loads: list[int]
) -> None:
    with connection.cursor() as cursor:
        triggers.dialect(connection).reload_all(cursor)
    assert loader.catch_up(database, old) is not None
    assert full_loads == [1]


def test_other_servers_are_in_force_by_the_change_that_names_them_and_no_more_by_the_next(
    database: Database, old: Directory, full_loads: list[int]
) -> None:
    edge = ("other.example", "sip:192.0.2.9")
    database.execute("INSERT INTO peers_edge (domain, registrar) VALUES (?, ?)", edge)
    database.execute("INSERT INTO peers_opennetwork (network) VALUES ('10.1.0.0/16')")
    database.execute("INSERT INTO peers_numberlookup (suffix, is_only) VALUES ('e164.arpa', 1 = 1)")
    there = caught_up(database, old, full_loads).directory
    assert others(there) == (dict([edge]), {"10.1.0.0/16"}, "e164.arpa")
    database.execute("UPDATE peers_edge SET registrar = 'sip:192.0.2.10'")
    database.execute("UPDATE peers_numberlookup SET suffix = 'nrenum.net'")
    full_loads.clear()
    there = caught_up(database, there, full_loads).directory
    assert others(there) == ({edge[0]: "sip:192.0.2.10"}, {"10.1.0.0/16"}, "nrenum.net")
    database.execute("DELETE FROM peers_edge")
    database.execute("DELETE FROM peers_opennetwork")
    database.execute("DELETE FROM peers_numberlookup")
    full_loads.clear()
    there = caught_up(database, there, full_loads).directory
    assert others(there) == ({}, frozenset(), "")


def test_opening_hours_are_in_force_by_the_change_that_says_them(
    database: Database, old: Directory, full_loads: list[int]
) -> None:
    row = "INSERT INTO hours_openinghours (weekday, opens, closes) VALUES (?, ?, ?)"
    database.execute(row, (0, "08:00:00", "17:30:00"))
    database.execute(row, (5, "10:00:00", "12:00:00"))
    directory = caught_up(database, old, full_loads).directory
    assert set(directory.part(OpeningHours).days) == {0, 5}
    assert directory.part(OpeningHours).days[0] == (0, time(8), time(17, 30))
    database.execute("DELETE FROM hours_openinghours WHERE weekday = 0")
    database.execute("UPDATE hours_openinghours SET closes = '13:00:00'")
    full_loads.clear()
    directory = caught_up(database, directory, full_loads).directory
    assert directory.part(OpeningHours).days == {5: (5, time(10), time(13))}


def test_a_peer_is_trusted_by_the_change_that_names_it_and_no_more_by_the_next(
    database: Database, old: Directory, full_loads: list[int]
) -> None:
    db = database
    db.execute("INSERT INTO peers_trustedpeer (domain) VALUES ('PBX.Example'), ('gw.example')")
    trusted = caught_up(database, old, full_loads).directory
    assert trusted.part(TrustedPeers).domains == {"pbx.example", "gw.example"}
    db.execute("UPDATE peers_trustedpeer SET domain = 'new.example' WHERE domain = 'gw.example'")
    db.execute("DELETE FROM peers_trustedpeer WHERE domain = 'PBX.Example'")
    full_loads.clear()
    later = caught_up(database, trusted, full_loads)
    assert (later.directory.part(TrustedPeers).domains, later.changed) == ({"new.example"}, [])


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        (
            "INSERT INTO hours_openinghours (weekday, opens, closes)"
            " VALUES (7, '08:00:00', '17:00:00')",
            "write 0 .Monday",
        ),
        ("INSERT INTO peers_opennetwork (network) VALUES ('10.1.2.3/8')", "write 10"),
        ("INSERT INTO peers_edge (domain, registrar) VALUES ('a.example', 'b')", "write other"),
        (
            "INSERT INTO peers_edge (domain, registrar) VALUES ('campus.example', 'sip:b')",
            "a domain of our own",
        ),
        ("INSERT INTO peers_trustedpeer (domain) VALUES ('sip:x')", "peers_trustedpeer .*no domain"),
        ("UPDATE lines_line SET state = 'dancing'", "unknown state 'dancing'"),
        ("UPDATE lines_line SET username = ''", "no user name"),
        ("UPDATE lines_devicesecret SET ha1_md5 = 'x'", "its HA1 is none"),
        ("UPDATE numbers_domain SET is_default = (1 = 0)", "no default SIP domain"),
        ("UPDATE numbers_domain SET algorithms = 'ROT13'", "unknown digest algorithms"),
        ("UPDATE nodes_deployment SET realm = ''", "no realm"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    database: Database, old: Directory, sql: str, why: str
) -> None:
    database.execute(sql)
    with pytest.raises(loader.BadDirectory, match=why):
        loader.catch_up(database, old)


def test_realm_change_is_noticed(database: Database, old: Directory) -> None:
    Deployment.objects.update(realm="other")
    delta = loader.catch_up(database, old)
    assert delta is not None
    assert delta.directory.realm == "other"
