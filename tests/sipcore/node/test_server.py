"""A node on real sockets and files: what is on disk when it cannot go on, and when others hear of it."""

from __future__ import annotations

import asyncio
import errno
import json
import select
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import pytest

from sipcore.apps.config import Listener, WorkerConfig
from sipcore.bindings import BindingChange, BindingTable, StoreResult
from sipcore.calls import Call, journal_row
from sipcore.campus import CampusService
from sipcore.errors import LocalProtocolError
from sipcore.eventlog import Kind, Record
from sipcore.node.journal import Journal
from sipcore.node.server import Node
from sipcore.node.spool import Spool
from sipcore.node.worker import Worker
from sipcore.transport.flow import Flow
from tests.sipcore.conformance.served import serving
from tests.sipcore.simulation.world import KEY, make_directory
from tests.support.ports import free_port

OPTIONS: Final = (
    b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:2;branch=z9hG4bK1\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
)


class NoStore:
    """A binding writer that nobody writes to."""

    def submit(
        self,
        changes: Sequence[BindingChange],
        done: Callable[[list[tuple[int, StoreResult]]], None],
    ) -> None:
        raise AssertionError


def make_node(
    folder: Path,
    port: int,
    life: str,
    *,
    slots: int = 1,
    spool: type[Spool] = Spool,
    journal: type[Journal] = Journal,
    others: Sequence[Listener] = (),
) -> Node:
    """A node at this port, and at the `others`."""
    address = ("127.0.0.1", port)
    listeners = (Listener("UDP", address, address), *others)
    config = WorkerConfig(node="n1", cluster_keys=(KEY,), listeners=listeners, slots=slots)
    worker = Worker(config, make_directory(["anna"]), BindingTable(), Random(1), CampusService)
    return Node(
        worker,
        writer=NoStore(),
        spool=spool(folder / "spool", life),
        journal=journal(folder / "journal.jsonl"),
    )


def records(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "spool").rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def ringing() -> Call:
    return Call("AAAAAAAAAAAAAAAA", "id", "tag", "<sip:a@b>", "<sip:c@b>", 1, None, 0.0, 1.7e9)


TCP_LISTENER: Final = Listener("TCP", ("127.0.0.1", 0), ("127.0.0.1", 5060))


async def no_listening(*args: object) -> None:
    raise OSError("nobody may listen")


async def test_calls_that_were_lost_are_on_disk_before_the_journal_forgets_them(
    tmp_path: Path,
) -> None:
    Journal(tmp_path / "journal.jsonl").append([journal_row(ringing())])
    node = make_node(tmp_path, free_port(), "first", others=[TCP_LISTENER])
    node._streams.listen = no_listening  # type: ignore[assignment]
    with pytest.raises(OSError, match="nobody may listen"):
        await node.start()  # it dies here, as far as its files are concerned
    node = make_node(tmp_path, free_port(), "second")
    await node.start()
    await node.stop()
    assert [(r["k"], r["c"], r["cause"]) for r in records(tmp_path)] == [
        ("call.end", "AAAAAAAAAAAAAAAA", "lost")
    ]


async def test_what_was_counted_before_the_stop_is_recorded(tmp_path: Path) -> None:
    port = free_port()
    node = make_node(tmp_path, port, "first")
    await node.start()
    node._spool.dropped = 3
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"this is no SIP, whatever it is", ("127.0.0.1", port))
        async with asyncio.timeout(5):
            while not node.worker.counts.since_start():  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.01)
    await node.stop()
    [record] = records(tmp_path)
    assert (record["k"], record["c"], record["seconds"] < 60) == ("node.counts", "", True)
    assert record["counts"] == {"malformed": 1, "record_dropped": 3}


async def test_a_fault_of_ours_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    node = make_node(tmp_path, port, "first")
    await node.start()
    whole, broken = node.worker.application, cast("Any", None)
    node.worker.application = broken
    node._receive(OPTIONS, Flow("UDP", ("127.0.0.1", port), ("127.0.0.1", 2)))
    node.worker.application = whole
    assert node.worker.counts.since_start() == {"internal_error": 1}
    assert "not handled" in caplog.text
    await node.stop()


async def test_a_datagram_for_no_socket_of_ours_is_counted(tmp_path: Path) -> None:
    node = make_node(tmp_path, free_port(), "first")
    await node.start()
    node.worker.send(Flow("UDP", ("192.0.2.1", 5060), ("192.0.2.2", 5060)), b"x")
    node.flush()
    assert node.worker.counts.since_start() == {"no_socket": 1}
    await node.stop()
# --- what is on disk when a peer hears of it -----------------------------------------------------
ROW = {"op": "end", "c": "AAAAAAAAAAAAAAAA"}
RECORD = Record(Kind.CALL_RING, "AAAAAAAAAAAAAAAA", 1.0, {})


class Peer:
    """A socket that a node sends to."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)

    @property
    def has_heard(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])


@pytest.fixture
def peer() -> Iterable[Peer]:
    made = Peer()
    with made.socket:
        yield made


@asynccontextmanager
async def started(node: Node) -> AsyncIterator[Node]:
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


def ask_for_all(node: Node, peer: Peer) -> None:
    """A record, a journal row and a datagram, in one turn."""
    [listener] = node.worker.config.listeners
    node.worker.send(Flow("UDP", listener.local, peer.socket.getsockname()), b"heard")
    node.worker.out.journal.append(ROW)
    node.worker.record(RECORD)


async def test_what_a_peer_has_heard_is_on_disk(tmp_path: Path, peer: Peer) -> None:
    async with started(make_node(tmp_path, free_port(), "life")) as node:
        ask_for_all(node, peer)
        node.want_flush()
        heard = await asyncio.get_running_loop().sock_recv(peer.socket, 100)
        assert heard == b"heard"
        assert [(r["k"], r["c"]) for r in records(tmp_path)] == [("call.ring", ROW["c"])]
        assert Journal(tmp_path / "journal.jsonl").read() == [ROW]


@pytest.mark.parametrize("log", ["spool", "journal"])
async def test_a_peer_has_heard_nothing_while_rows_are_written(
    tmp_path: Path, peer: Peer, log: str
) -> None:
    heard: list[tuple[str, bool]] = []

    class WatchedSpool(Spool):
        def append(self, records: Iterable[Record]) -> None:
            heard.append(("spool", peer.has_heard))
            super().append(records)

    class WatchedJournal(Journal):
        def append(self, rows: Iterable[dict[str, Any]]) -> None:
            heard.append(("journal", peer.has_heard))
            super().append(rows)

    node = make_node(tmp_path, free_port(), "life", spool=WatchedSpool, journal=WatchedJournal)
    async with started(node):
        ask_for_all(node, peer)
        node.flush()
        assert [h for h in heard if h[0] == log] == [(log, False)]
        assert peer.has_heard


@pytest.mark.parametrize("log", ["spool", "journal"])
async def test_a_node_that_dies_before_its_rows_are_written_has_told_nobody(
    tmp_path: Path, peer: Peer, log: str
) -> None:
    class Died(Exception):
        pass

    def die(*_: object) -> None:
        raise Died

    node = make_node(
        tmp_path,
        free_port(),
        "life",
        spool=type("Deadly", (Spool,), {"append": die}) if log == "spool" else Spool,
        journal=type("Deadly", (Journal,), {"append": die}) if log == "journal" else Journal,
    )
    async with started(node):
        ask_for_all(node, peer)
        with pytest.raises(Died):
            node.flush()
        assert not peer.has_heard


def test_the_phones_of_a_call_have_heard_nothing_that_is_not_on_disk(tmp_path: Path) -> None:
    def kinds() -> set[str]:
        return {r["k"] for r in records(tmp_path)}

    def last_row() -> dict[str, Any]:
        return Journal(tmp_path / "journal.jsonl").read()[-1]

    with serving(tmp_path) as served:
        anna, bob = served.agent("anna"), served.agent("bob")
        anna.register()
        bob.register()
        assert "register.new" in kinds()
        calling = anna.invite(served.uri("bob"))
        called = bob.ringing()
        assert "call.begin" in kinds()
        assert (last_row()["op"], last_row()["dialogs"]) == ("open", [])
        ended = called.answer()
        calling.answered()
        assert "call.answer" in kinds()
        assert [dialog[0] for dialog in last_row()["dialogs"]] == [called.tag]
        calling.dialog.send("BYE")
        bye = bob.expect("BYE")
        assert "call.end" in kinds()
        assert last_row()["op"] == "end"
        bob.respond(bye, 200)
        assert ended.call_id == calling.call_id


# --- when something cannot be done ---------------------------------------------------------------
async def test_a_full_disk_keeps_no_message_back(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(fd: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with started(make_node(tmp_path, free_port(), "life")) as node:
        for module in ("spool", "journal"):
            monkeypatch.setattr(f"sipcore.node.{module}.write_all", no_room)
        ask_for_all(node, peer)
        node.flush()
        assert peer.has_heard
        monkeypatch.undo()
    assert records(tmp_path) == []
    assert Journal(tmp_path / "journal.jsonl").read() == []


@pytest.mark.source
async def test_what_the_kernel_dropped_stands_in_the_nodes_counts(
    tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sipcore.node.datagrams.RECEIVE_BUFFER_BYTES", 4096)
    async with started(make_node(tmp_path, free_port(), "life")) as node:
        [listener] = node.worker.config.listeners
        for _ in range(500):  # the loop reads nothing meanwhile
            peer.socket.sendto(b"\r\n\r\n" * 20, listener.local)
        node._take_counts()
        counted = node.worker.counts.since_start()
        assert counted == {"kernel_dropped": node._datagrams[listener.local].dropped}
        assert counted["kernel_dropped"] > 400


async def test_a_message_that_cannot_be_sent_is_counted_and_the_others_go(
    tmp_path: Path, peer: Peer
) -> None:
    async with started(make_node(tmp_path, free_port(), "life")) as node:
        [listener] = node.worker.config.listeners
        node.worker.send(Flow("UDP", ("127.0.0.1", 1), peer.socket.getsockname()), b"no socket")
        node.worker.send(Flow("UDP", listener.local, ("127.0.0.1", 0)), b"no port")
        ask_for_all(node, peer)
        node.flush()
        assert peer.has_heard
        assert node.worker.counts.since_start() == {"no_socket": 1, "datagram_not_sent": 1}


# --- one slot ------------------------------------------------------------------------------------
def test_a_node_of_several_slots_is_not_made_while_there_is_no_bus(tmp_path: Path) -> None:
    with pytest.raises(LocalProtocolError, match="2 worker slots: without a bus"):
        make_node(tmp_path, free_port(), "life", slots=2)


async def test_what_is_handed_to_another_slot_does_not_vanish(tmp_path: Path, peer: Peer) -> None:
    async with started(make_node(tmp_path, free_port(), "life")) as node:
        flow = Flow("UDP", ("127.0.0.1", 1), peer.socket.getsockname())
        node.worker.out.handed.append((1, flow, b"of another"))
        with pytest.raises(LocalProtocolError, match="no bus"):
            node.flush()


async def test_a_note_for_another_node_is_said_to_be_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(make_node(tmp_path, free_port(), "life")) as node:
        node.worker.note((1, 0), {"op": "ended", "c": "AAAAAAAAAAAAAAAA"})
        node.flush()
    assert "1 notes for other nodes are lost" in caplog.text


# --- a second one of the same name ---------------------------------------------------------------
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_a_node_that_cannot_have_its_address_leaves_the_files_of_the_first_alone(
    tmp_path: Path, transport: str
) -> None:
    Journal(tmp_path / "journal.jsonl").append([journal_row(ringing())])
    kind = socket.SOCK_DGRAM if transport == "UDP" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if transport == "TCP":
            taken.listen()
        address = taken.getsockname()
        node = make_node(tmp_path, free_port(), "second", others=[Listener(transport, address, address)])
        before = (tmp_path / "journal.jsonl").stat().st_ino
        with pytest.raises(OSError, match=f"{transport} 127.0.0.1 port {address[1]}: .* in use"):
            await node.start()
    assert (tmp_path / "journal.jsonl").stat().st_ino == before
    assert not (tmp_path / "spool").exists()


def test_a_spool_whose_folder_is_removed_is_made_again_and_loses_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path / "spool", "life")
    spool.append([RECORD, RECORD])
    shutil.rmtree(spool.path)
    spool.append([RECORD])
    spool.append([RECORD])
    assert [record["n"] for record in records(tmp_path)] == [3, 4]
    assert caplog.text.count("was removed while records were written to it") == 1


def test_a_journal_that_somebody_replaces_is_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append([ROW])
    Journal(tmp_path / "journal.jsonl").rewrite([])
    journal.append([ROW])
    assert journal.read() == [ROW]
    assert journal.grown
    assert "was replaced by somebody else" in caplog.text
