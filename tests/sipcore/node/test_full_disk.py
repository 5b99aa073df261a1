"""Spool and journal on a disk that is full for a while."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from sipcore.calls import journal_row
from sipcore.eventlog import Kind, Record
from sipcore.node import journal as journal_module
from sipcore.node import spool as spool_module
from sipcore.node.journal import Journal
from sipcore.node.spool import Spool
from tests.sipcore.node.test_server import make_node, records, ringing
from tests.support.ports import free_port


class Disk:
    """Takes the place of `write_all`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.offered: list[int] = []
        """Bytes of each write that was tried."""
        for module in (spool_module, journal_module):
            monkeypatch.setattr(module, "write_all", self.write)

    def write(self, fd: int, data: bytes) -> None:
        self.offered.append(len(data))
        if self.room is not None and len(data) > self.room:
            os.write(fd, data[: self.room])
            raise OSError(errno.ENOSPC, "No space left on device")
        os.write(fd, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def a_record(name: str) -> Record:
    return Record(Kind.CALL_RING, name, 1.0, {})


def rows(folder: Path) -> list[tuple[int, str]]:
    data = b"".join(path.read_bytes() for path in sorted(folder.glob("*.jsonl")))
    return [(row["n"], row["c"]) for row in map(json.loads, data.splitlines())]


@pytest.mark.parametrize("room", [0, 10, 60, 100])
def test_records_wait_for_room_and_none_is_cut_or_doubled(
    disk: Disk, tmp_path: Path, room: int
) -> None:
    spool = Spool(tmp_path, "s")
    spool.append([a_record("one")])
    disk.room = room
    spool.append([a_record("two"), a_record("three"), a_record("four")])
    spool.append([a_record("five")])
    every = [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "five")]
    assert len(spool.waiting) >= 3
    assert rows(spool.path) == every[: 5 - len(spool.waiting)]
    disk.room = None
    spool.append([])
    assert rows(spool.path) == every
    assert not spool.waiting
    assert spool.written == 5


def test_a_full_disk_is_tried_with_one_record(disk: Disk, tmp_path: Path) -> None:
    """Not with all that wait: a turn must not take longer the longer it lasts."""
    spool = Spool(tmp_path, "s")
    disk.room = 0
    spool.append([a_record(str(n)) for n in range(1000)])
    disk.offered.clear()
    spool.append([a_record("next")])
    assert len(disk.offered) == 1
    assert disk.offered[0] < 200
    assert len(spool.waiting) == 1001


def test_what_is_written_in_pieces_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    spool = Spool(tmp_path, "s")
    spool.append([a_record("one"), a_record("two")])
    assert rows(spool.path) == [(1, "one"), (2, "two")]


def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "s")
    spool.path.touch()
    spool.append([a_record("one")])
    spool.path.unlink()
    spool.append([a_record("two")])
    assert rows(spool.path) == [(1, "one"), (2, "two")]


def test_what_waits_is_bounded_and_the_loss_is_said(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spool_module, "MAX_WAITING", 3)
    spool = Spool(tmp_path, "s")
    disk.room = 0
    for name in ("one", "two", "three", "four"):
        spool.append([a_record(name)])
    disk.room = None
    spool.append([])
    assert rows(spool.path) == [(1, "one"), (2, "two"), (3, "three")]
    assert "1 are lost" in caplog.text
    assert spool.lost == 1


def test_a_journal_that_missed_rows_asks_to_be_written_anew(disk: Disk, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append([{"op": "end", "c": "a"}])
    disk.room = 5
    journal.append([{"op": "end", "c": "b"}])
    assert journal.grown
    disk.room = None
    journal.append([{"op": "end", "c": "c"}])
    assert [row["c"] for row in journal.read()] == ["a", "c"]
    assert journal.grown
    journal.rewrite([journal_row(ringing())])
    assert not journal.grown


def test_a_journal_that_could_not_be_written_anew_asks_for_it_again(
    disk: Disk, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append([{"op": "end", "c": "a"}])
    disk.room = 5
    with pytest.raises(OSError, match="No space"):
        journal.rewrite([journal_row(ringing())])
    assert journal.grown
    assert [row["c"] for row in journal.read()] == ["a"]


async def test_a_call_lost_while_the_disk_was_full_is_lost_once(disk: Disk, tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl").append([journal_row(ringing())])
    disk.room = 0
    node = make_node(tmp_path, free_port(), "first")
    await node.start()
    assert records(tmp_path) == []
    disk.room = None
    node._tick()
    await node.stop()
    node = make_node(tmp_path, free_port(), "second")
    await node.start()
    await node.stop()
    assert [(r["k"], r["cause"]) for r in records(tmp_path)] == [("call.end", "lost")]


def test_a_spool_that_nobody_empties_goes_on_with_the_milestones_of_calls(tmp_path: Path) -> None:
    size = 3 << 20
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "1.jsonl").write_bytes(bytes(size - 1000))
    spool = Spool(tmp_path, "s", size)
    chatter = [Record(Kind.AUTH_REFUSED, "", 1.0, {"why": "x" * 1000}) for _ in range(1100)]
    spool.append(chatter)
    spool.append([a_record("one")])  # begins a new file, above the size
    spool.append([a_record("two"), *chatter[:50], a_record("three")])
    spool.append(chatter[:10])
    assert [context for _, context in rows(spool.path)][-3:] == ["one", "two", "three"]
    assert spool.written == 1103
    assert spool.dropped == 60
    (tmp_path / "earlier" / "1.jsonl").unlink()  # the database is back
    spool.append(chatter[:40])
    spool.append(chatter[:1])
    assert (spool.written, spool.dropped) == (1104, 100)
    assert [n for n, _ in rows(spool.path)] == list(range(1, 1105))


def test_a_journal_of_open_calls_alone_is_not_written_again_and_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    rows = [{"op": "open", "c": "c" * 1000} for _ in range(6000)]
    seen = []
    journal.append(rows)
    seen.append(journal.grown)
    journal.rewrite(rows)
    seen.append(journal.grown)  # it is as small as it can be
    journal.append(rows[:3000])
    seen.append(journal.grown)
    journal.append(rows[:4000])
    seen.append(journal.grown)
    journal.rewrite([])
    seen.append(journal.grown)
    assert seen == [True, False, False, True, False]
