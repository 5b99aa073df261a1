"""The binding writer: groups, and what it does while the database is away."""

from __future__ import annotations

import queue
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sipcore.bindings import Binding, BindingChange, LineBindings, MemoryBindingStore, Touch
from tests.sipcore.bindings.examples import a_binding
from tests.sipcore.bindings.store_contract import RICH, add, line_of
from tests.support.postgresql import Cluster
from tests.voip_portal.bridge.daemon import Deployment, Phone, stop, until
from voip_portal.bridge import writer as writer_module
from voip_portal.bridge.binding_journal import BindingJournal, is_short, merge
from voip_portal.bridge.binding_store import SqlBindingStore
from voip_portal.bridge.database import Database
from voip_portal.bridge.writer import BindingWriter, Results

TABLES = """
CREATE TABLE location_aor (line_id INTEGER PRIMARY KEY, version INTEGER);
CREATE TABLE location_binding (id INTEGER PRIMARY KEY, line_id, key, contact, call_id, cseq,
  expires_at, q, flow, path, instance, reg_id, user_agent, device_id, registered_at, node, params,
  written_at,
  UNIQUE (line_id, key));
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bindings.sqlite3"


@pytest.fixture
def journal(tmp_path: Path) -> BindingJournal:
    return BindingJournal(tmp_path / "journal" / "n1-bindings.jsonl")


Write = Callable[..., Results]


@pytest.fixture
def degraded() -> list[bool]:
    return []


@pytest.fixture
def write(
    path: Path, journal: BindingJournal, degraded: list[bool], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Write]:
    monkeypatch.setattr(writer_module, "RETRY_S", 0.05)
    store = SqlBindingStore({"engine": "sqlite", "path": str(path)})
    thread = BindingWriter(store, journal, lambda line: LineBindings(line, 7, ()), degraded.append)
    thread.start()
    answers: queue.SimpleQueue[Results] = queue.SimpleQueue()

    def submit(*changes: BindingChange) -> Results:
        thread.submit(changes, answers.put)
        return answers.get(timeout=5)

    yield submit
    thread.stop()
    thread.join(5)
    assert not thread.is_alive()


def make_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(TABLES)
    connection.close()


def short(name: str, line_id: int = 1, lasts_s: float = 100) -> Binding:
    return a_binding(name, line_id=line_id, expires_s=0).touched(
        Touch("", time.time() + lasts_s, "call", 1, 0.0)
    )


def stored(path: Path) -> SqlBindingStore:
    return SqlBindingStore({"engine": "sqlite", "path": str(path)})


def test_what_is_answered_is_stored(path: Path, write: Write, degraded: list[bool]) -> None:
    make_tables(path)
    results = write(add(0, short("a")), add(0, short("b", 2)))
    assert [(line, r.ok) for line, r in results] == [(1, True), (2, True)]
    assert [line.version for line in stored(path).load()] == [1, 1]
    assert degraded == []


def test_short_registration_is_accepted_without_the_database(
    path: Path, write: Write, journal: BindingJournal, degraded: list[bool]
) -> None:
    change = add(0, short("a"))
    ((_, result),) = write(change)
    assert result.ok
    assert journal.read() == [change]
    assert degraded == [True]


def test_long_registration_is_sent_back_to_be_shortened(
    write: Write, journal: BindingJournal, degraded: list[bool]
) -> None:
    ((_, result),) = write(add(0, short("a", lasts_s=3600)))
    assert (result.ok, result.version, result.bindings) == (False, 7, ())
    assert journal.read() == []
    assert degraded == [True]


def test_journal_is_merged_when_the_database_is_back(
    path: Path, write: Write, journal: BindingJournal, degraded: list[bool]
) -> None:
    binding = short("a")
    write(add(0, binding))
    touch = Touch(binding.key, time.time() + 110, "call", 2, 0.0)
    write(BindingChange(1, 1, 2, touches=(touch,)))
    make_tables(path)
    until(lambda: degraded == [True, False], 5)
    assert line_of(stored(path)) == LineBindings(1, 2, (binding.touched(touch),))
    assert journal.read() == []
    assert write(BindingChange(1, 2, 3, deletes=(binding.key,)))[0][1].ok


def test_journal_keeps_every_field(journal: BindingJournal) -> None:
    change = BindingChange(1, 4, 5, (RICH,), (Touch("k", 1.5, "c", 2, 0.0),), ("gone",))
    journal.append([change])
    journal.append([add(0, short("a"))])
    assert journal.read()[0] == change
    assert len(journal.read()) == 2


def test_half_a_line_was_never_acknowledged(journal: BindingJournal, tmp_path: Path) -> None:
    journal.append([add(0, short("a"))])
    with (tmp_path / "journal" / "n1-bindings.jsonl").open("a") as file:
        file.write('{"line":1,"ba')
    assert len(journal.read()) == 1


def test_merge_onto_a_line_that_another_node_changed() -> None:
    store = MemoryBindingStore()
    store.commit([add(0, a_binding("theirs"))])
    store.commit([add(1, a_binding("both", expires_s=500))])
    mine = (a_binding("mine"), a_binding("both", expires_s=100, cseq=9))
    merge(store, BindingChange(1, 0, 1, mine, deletes=(a_binding("theirs").key,)))
    line = line_of(store)
    assert line.version == 3
    assert set(line.bindings) == {a_binding("mine"), a_binding("both", expires_s=500)}


def test_merge_of_a_refresh_whose_binding_is_gone() -> None:
    store = MemoryBindingStore()
    touch = Touch("gone", 1e10, "c", 2, 0.0)
    merge(store, BindingChange(1, 3, 4, touches=(touch,)))
    assert line_of(store).bindings == ()


def test_short_is_what_lasts_two_minutes_at_most() -> None:
    at = time.time()
    assert is_short(add(0, short("a", lasts_s=120)), at)
    assert not is_short(add(0, short("a", lasts_s=125)), at)
    assert is_short(BindingChange(1, 1, 2, deletes=("k",)), at)


def test_a_write_that_waits_a_second_goes_to_the_journal(
    path: Path, journal: BindingJournal, write: Write, degraded: list[bool]
) -> None:
    make_tables(path)
    assert write(add(0, short("a")))[0][1].ok
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        start = time.monotonic()
        assert write(add(0, short("b", 2)))[0][1].ok
        assert time.monotonic() - start < 1.5
        start = time.monotonic()
        assert write(add(0, short("c", 3)))[0][1].ok
        assert time.monotonic() - start < 0.5
        assert degraded == [True]
        assert [change.line_id for change in journal.read()] == [2, 3]
    finally:
        other.execute("ROLLBACK")
        other.close()
    until(lambda: degraded == [True, False], 10)
    assert [line.line_id for line in stored(path).load()] == [1, 2, 3]
    assert journal.read() == []


@pytest.mark.xdist_group("daemon")
def test_a_phone_registers_while_the_database_is_locked(tmp_path: Path) -> None:
    """Somebody holds the table in PostgreSQL: an index is made, or a dump hangs."""
    with Cluster() as cluster:
        deployment = Deployment(tmp_path, cluster.url)
        deployment.add_line("anna", "secret", "20001")
        process = deployment.start_sipd()
        phone = Phone(deployment.port, 3.0)
        other = Database(deployment.driver)
        try:
            until(lambda: phone.register("anna", "secret") == 200, 20)
            with other.transaction():
                other.execute("LOCK TABLE location_aor IN ACCESS EXCLUSIVE MODE")
                for _ in range(3):
                    start = time.monotonic()
                    assert phone.register("anna", "secret") == 200
                    assert time.monotonic() - start < 1.5
            again = "SELECT version FROM location_aor"
            until(lambda: deployment.database.query(again)[0][0] >= 4, 10)
        finally:
            phone.close()
            other.close()
            stop(process)
            deployment.close()
    assert process.returncode == 0


@pytest.mark.xdist_group("daemon")
def test_daemon_outlives_its_database(tmp_path: Path) -> None:
    """PostgreSQL is stopped and started under a real daemon: nothing acknowledged is lost."""
    with Cluster() as cluster:
        deployment = Deployment(tmp_path, cluster.url)
        deployment.add_line("anna", "secret", "20001")
        process = deployment.start_sipd()
        phone, new = Phone(deployment.port), Phone(deployment.port)
        try:
            until(lambda: phone.register("anna", "secret") == 200, 20)
            deployment.close()
            cluster.stop()
            until(lambda: phone.register("anna", "secret") == 200, 5)
            assert new.register("anna", "secret") == 200
            cluster.start()
            count = "SELECT COUNT(*) FROM location_binding"
            until(lambda: deployment.database.query(count)[0][0] == 2, 10)
            until(lambda: phone.register("anna", "secret") == 200, 5)
            deployment.add_line("boris", "secret", "20002")
            until(lambda: new.register("boris", "secret") == 200, 10)
        finally:
            phone.close()
            new.close()
            stop(process)
            deployment.close()
    assert process.returncode == 0


@pytest.mark.parametrize("poison", ["\udcff", 1 << 70])
def test_what_cannot_be_written_spoils_nothing_else(
    path: Path, write: Write, degraded: list[bool], poison: object
) -> None:
    make_tables(path)
    bad = replace(short("b", 2), params=poison)  # type: ignore[arg-type]
    results = write(add(0, short("a")), add(0, bad), add(0, short("c", 3)))
    assert [(line, r.ok) for line, r in results] == [(1, True), (2, False), (3, True)]
    assert [line.line_id for line in stored(path).load()] == [1, 3]
    assert degraded == []
    assert write(add(0, short("d", 4)))[0][1].ok
