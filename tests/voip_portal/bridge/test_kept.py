"""A node that starts while the database is away: from what it has kept, and it catches up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import time
from pathlib import Path

import pytest

from sipcore.bindings import BindingChange, BindingTable, LineBindings
from sipcore.directory import (
    Account,
    AccountState,
    Device,
    Directory,
    Domain,
    DomainAddress,
    Edges,
    NumberLookup,
    OpenNetworks,
    TrustedPeers,
)
from sipcore.directory.opening_hours import OpeningHours
from tests.sipcore.bindings.examples import a_binding
from tests.support.postgresql import Cluster
from tests.voip_portal.bridge.daemon import ROOT, Deployment, Phone, stop, until
from voip_portal.bridge.kept import Kept, NotKept, lines_of, put_on_top

KEYS = ["ab" * 32]


def directory() -> Directory:
    return Directory(
        version=212,
        realm="campus",
        domains=[Domain("campus.example"), Domain("b.example", ("MD5",))],
        accounts=[
            Account(1, "anna", "campus.example", devices=(Device(7, b"a" * 32, b"b" * 64),)),
            Account(2, "bob", "campus.example", AccountState.SUSPENDED, "staff", end_calls=True),
        ],
        addresses=[DomainAddress("campus.example", "Anna", 1), DomainAddress("b.example", "12", 2)],
        parts=[
            TrustedPeers(["pbx.example", "gw.example"]),
            Edges([("other.example", "sip:192.0.2.9")]),
            OpenNetworks(["10.1.0.0/16"]),
            NumberLookup(["e164.arpa"]),
            OpeningHours([(0, time(8), time(17, 30))]),
        ],
    )


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept", "node1")


def test_a_directory_is_read_as_it_was_kept(kept: Kept) -> None:
    kept.save_directory(directory(), KEYS, 7)
    found = kept.load_directory()
    old, new = directory(), found.directory
    assert (new.version, new.realm, new.default_domain) == (212, "campus", "campus.example")
    assert new.domains == old.domains
    assert list(new.accounts()) == list(old.accounts())
    assert list(new.addresses()) == list(old.addresses())
    assert new.part(TrustedPeers).domains == {"pbx.example", "gw.example"}
    assert new.part(Edges).hops == {"other.example": "sip:192.0.2.9"}
    assert new.part(OpenNetworks).networks == {"10.1.0.0/16"}
    assert new.part(NumberLookup).suffix == "e164.arpa"
    assert new.part(OpeningHours).days == {0: (0, time(8), time(17, 30))}
    assert new.resolve("anna", "campus.example") == old.account(1)
    assert (found.cluster_keys, found.node_number) == (KEYS, 7)
    assert found.told.startswith("directory 212 of ")


def test_only_its_owner_may_read_it(kept: Kept) -> None:
    kept.save_directory(directory(), KEYS, 7)
    kept.save_bindings([])
    for path in (kept.directory_path, kept.bindings_path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert len(list(kept.directory_path.parent.iterdir())) == 2


def test_bindings_are_read_as_they_were_kept(kept: Kept) -> None:
    lines = [
        LineBindings(1, 5, (a_binding("a", line_id=1), a_binding("b", line_id=1))),
        LineBindings(2, 9, ()),
    ]
    kept.save_bindings(lines)
    assert kept.load_bindings() == lines


def cut(data: bytes) -> bytes:
    return data[:-20]


def without_a_row(data: bytes) -> bytes:
    rows = data.splitlines(keepends=True)
    return b"".join([*rows[:1], *rows[2:]])


def with_another_name(data: bytes) -> bytes:
    return data.replace(b'"anna"', b'"eve1"', 1)


def of_next_year(data: bytes) -> bytes:
    return data.replace(b'"format":2', b'"format":3', 1)


def empty(data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (cut, "cut short or changed"),
        (without_a_row, "cut short or changed"),
        (with_another_name, "cut short or changed"),
        (of_next_year, "another version of this program"),
        (empty, "cut short or changed"),
    ],
)
def test_what_is_not_whole_is_not_used(
    kept: Kept, spoil: Callable[[bytes], bytes], why: str
) -> None:
    kept.save_directory(directory(), KEYS, 7)
    kept.directory_path.write_bytes(spoil(kept.directory_path.read_bytes()))
    with pytest.raises(NotKept, match=why):
        kept.load_directory()


def test_a_state_that_this_program_does_not_know_is_not_used(kept: Kept) -> None:
    odd = directory().changed(version=1, accounts=[Account(3, "c", "x", "dancing")])  # type: ignore[arg-type]
    kept.save_directory(odd, KEYS, 7)
    with pytest.raises(NotKept, match="dancing"):
        kept.load_directory()


def test_what_was_never_kept_is_said(kept: Kept) -> None:
    with pytest.raises(NotKept, match="there is no "):
        kept.load_directory()


def test_the_time_is_that_of_the_last_difference(kept: Kept) -> None:
    kept.save_directory(directory(), KEYS, 7)
    first = kept.directory_path.stat().st_mtime_ns
    kept.save_directory(directory(), KEYS, 7)
    assert kept.directory_path.stat().st_mtime_ns == first


def test_the_journal_goes_on_top_of_what_was_kept(kept: Kept) -> None:
    table, later = BindingTable(), a_binding("c", line_id=1)
    table.replace(1, 5, [a_binding("a", line_id=1), a_binding("b", line_id=1)])
    gone = a_binding("a", line_id=1).key
    put_on_top(table, BindingChange(1, 7, 8, (later,), (), (gone,)), 0.0)
    put_on_top(table, BindingChange(1, 3, 4, (), (), (later.key,)), 0.0)  # it has that already
    assert table.version(1) == 8
    [line] = lines_of(table, 0.0)
    assert {b.key for b in line.bindings} == {later.key, a_binding("b", line_id=1).key}


# --- the real daemon -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.mark.xdist_group("daemon")
def test_a_node_killed_in_an_outage_is_back_with_directory_and_bindings(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deployment = Deployment(tmp_path, cluster.url)
    deployment.add_line("anna", "secret", "20001")
    boris = deployment.add_line("boris", "secret", "20002")
    process = deployment.start_sipd()
    anna, new = Phone(deployment.port), Phone(deployment.port)
    phones = [anna, new]
    try:
        until(lambda: anna.register("anna", "secret") == 200, 20)
        until(lambda: deployment.in_force() == deployment.version(), 5)
        version = deployment.version()
        until(lambda: f'"version":{version}' in kept_header(tmp_path), 5)
        deployment.close()
        cluster.stop(mode="immediate")
        until(lambda: new.register("boris", "secret") == 200, 10)
        process.kill()
        process.wait()
        assert b"secret" not in (tmp_path / "kept" / "node1.directory").read_bytes()

        process = deployment.start_sipd()
        said = capfd.readouterr().err
        assert f"degraded: directory {version} of " in said
        assert "Traceback" not in said
        anna, new = Phone(deployment.port), Phone(deployment.port)
        phones += [anna, new]
        assert anna.register("anna", "secret") == 200
        assert registered_of("boris", new) == 2  # this one, and the one before the kill

        cluster.start()
        until(lambda: deployment.in_force() >= version, 15)
        db = deployment.database
        db.execute("UPDATE lines_line SET state = 'suspended' WHERE id = ?", (boris,))
        until(lambda: new.register("boris", "secret") != 200, 10)
        count = "SELECT COUNT(*) FROM location_binding"
        until(lambda: db.query(count)[0][0] >= 2, 10)
        assert "the database is back, directory " in capfd.readouterr().err
    finally:
        for phone in phones:
            phone.close()
        stop(process)
        deployment.close()
    assert process.returncode == 0


def kept_header(var: Path) -> str:
    path = var / "kept" / "node1.directory"
    return path.read_text().partition("\n")[0] if path.exists() else ""


def registered_of(user: str, phone: Phone) -> int:
    """How many contacts the answer to a REGISTER lists."""
    answer = phone.register_answer(user, "secret")
    return sum(row.lower().startswith("contact:") for row in answer.split("\r\n"))


@pytest.mark.xdist_group("daemon")
def test_a_node_that_has_kept_nothing_says_so_in_a_sentence(
    cluster: Cluster, tmp_path: Path
) -> None:
    deployment = Deployment(tmp_path, cluster.url)
    deployment.close()
    cluster.stop()
    done = subprocess.run(
        [sys.executable, "manage.py", "sipd", "--port", "0"],
        cwd=ROOT,
        env=deployment.environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    said = done.stderr.decode().strip()
    assert done.returncode == 1
    assert "This node cannot start without it: there is no " in said
    assert len(said.splitlines()) == 1
