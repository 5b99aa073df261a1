"""Every record reaches the database once, whatever is lost or killed on the way."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sipcore.eventlog import Record
from sipcore.node.spool import Spool
from voip_portal.bridge import shipper as module
from voip_portal.bridge.management.commands.shipper import waiting_by_node
from voip_portal.bridge.shipper import BATCH_LINES, RESEND_S, WINDOW, Shipper, run
from voip_portal.calls.models import Record as Stored
from voip_portal.calls.models import SpoolPosition
from voip_portal.calls.tasks import store_records

NAME = "n1-0-1"


class Far:
    """Broker and database as the shipper sees them: what was sent, and what has been stored."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, list[str]]] = []
        self.gaps: list[int] = []
        """Numbers of first lines before which nothing is said to be left."""
        self.stored: dict[str, int] = {}
        self.lines: dict[str, list[str]] = {}

    def positions(self) -> dict[str, int]:
        return dict(self.stored)

    def send(self, spool_id: str, first_n: int, lines: list[str], after_gap: bool) -> None:
        self.sent.append((spool_id, first_n, lines))
        if after_gap:
            self.gaps.append(first_n)

    def store(self, keep: Callable[[], bool] = lambda: True) -> None:
        """The worker stores what it was given; what it does not `keep` is lost."""
        given, self.sent = self.sent, []
        for spool_id, first_n, lines in given:
            kept = self.lines.setdefault(spool_id, [])
            if keep() and first_n <= len(kept) + 1:
                kept += lines[len(kept) + 1 - first_n :]
                self.stored[spool_id] = len(kept)


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of spools."""
    made = tmp_path / "spool"
    made.mkdir()
    return made


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder, NAME)


@pytest.fixture
def shipper(folder: Path, far: Far) -> Shipper:
    return Shipper(folder, far.positions, far.send)


def write(spool: Spool, count: int) -> None:
    spool.append(Record("call.ring", f"c{i}", 1.0, {}) for i in range(count))


def numbers(far: Far) -> list[tuple[int, int]]:
    """(first number, lines) of each batch in flight."""
    return [(first, len(lines)) for _, first, lines in far.sent]


def test_record_is_sent_at_the_first_look(shipper: Shipper, spool: Spool, far: Far) -> None:
    assert not shipper.step(0.0)
    write(spool, 1)
    assert shipper.step(0.1)
    assert numbers(far) == [(1, 1)]
    far.store()
    assert not shipper.step(0.2)


def test_what_was_sent_is_not_sent_again_while_there_is_hope(
    shipper: Shipper, spool: Spool, far: Far
) -> None:
    write(spool, 3)
    shipper.step(0.0)
    shipper.step(RESEND_S - 0.1)
    assert numbers(far) == [(1, 3)]


def test_what_was_lost_is_sent_again_from_the_position(
    shipper: Shipper, spool: Spool, far: Far
) -> None:
    write(spool, 3)
    shipper.step(0.0)
    far.store()
    write(spool, 2)
    shipper.step(1.0)
    far.sent.clear()  # the broker forgot
    shipper.step(1.0 + RESEND_S + 0.1)
    assert numbers(far) == [(4, 2)]


def test_what_the_broker_refused_is_sent_with_its_own_numbers(
    folder: Path, spool: Spool, far: Far
) -> None:
    away = False

    def send(*batch: Any) -> None:
        if away:
            raise ConnectionError
        far.send(*batch)

    shipper = Shipper(folder, far.positions, send)
    write(spool, 2)
    shipper.step(0.0)
    far.store()
    away = True
    for now in (1.0, 2.0):
        write(spool, 3)
        with pytest.raises(ConnectionError):
            shipper.step(now)
    away = False
    write(spool, 1)
    shipper.step(3.0)
    assert numbers(far) == [(3, 7)]
    assert [json.loads(line)["n"] for line in far.sent[0][2]] == list(range(3, 10))


def test_no_more_than_the_window_is_in_flight(shipper: Shipper, spool: Spool, far: Far) -> None:
    write(spool, BATCH_LINES * (WINDOW + 2))
    shipper.step(0.0)
    assert numbers(far) == [(1 + i * BATCH_LINES, BATCH_LINES) for i in range(WINDOW)]
    assert shipper.backlog() == {NAME: BATCH_LINES * (WINDOW + 2)}
    far.store()
    shipper.step(1.0)
    assert len(far.sent) == 2
    assert shipper.backlog() == {NAME: BATCH_LINES * 2}


def test_half_a_line_waits_for_its_end(
    shipper: Shipper, spool: Spool, far: Far, folder: Path
) -> None:
    write(spool, 1)
    (path,) = (folder / NAME).glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    shipper.step(0.0)
    assert far.sent == []
    path.write_bytes(whole)
    shipper.step(0.1)
    assert numbers(far) == [(1, 1)]


def test_files_go_when_their_records_are_stored(
    far: Far, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sipcore.node.spool.SEGMENT_BYTES", 400)
    spool, shipper = Spool(folder, NAME), Shipper(folder, far.positions, far.send)
    for _ in range(20):
        write(spool, 2)
    assert len(list((folder / NAME).iterdir())) > 3
    shipper.step(0.0)
    assert len(list((folder / NAME).iterdir())) > 3
    while shipper.step(1.0):
        far.store()
    assert len(list((folder / NAME).iterdir())) == 1
    assert len(far.lines[NAME]) == 40


def test_new_shipper_goes_on_from_the_position(spool: Spool, far: Far, folder: Path) -> None:
    write(spool, 10)
    far.stored[NAME] = 6
    Shipper(folder, far.positions, far.send).step(0.0)
    assert numbers(far) == [(7, 4)]


def test_every_worker_life_has_its_own_numbers(
    shipper: Shipper, spool: Spool, far: Far, folder: Path
) -> None:
    write(spool, 2)
    write(Spool(folder, "n1-0-2"), 3)
    shipper.step(0.0)
    assert [(name, first, len(lines)) for name, first, lines in far.sent] == [
        (NAME, 1, 2),
        ("n1-0-2", 1, 3),
    ]
    assert waiting_by_node(shipper.backlog()) == {"n1": 5}
    assert waiting_by_node({"north-hall-0-7": 3, "north-hall-1-7": 4}) == {"north-hall": 7}


def test_folder_of_an_earlier_life_goes_when_it_is_stored(
    shipper: Shipper, spool: Spool, far: Far, folder: Path
) -> None:
    write(spool, 2)
    spool.close()
    write(Spool(folder, "n1-0-2"), 1)
    write(Spool(folder, "n2-0-1"), 1)
    for path in (folder / NAME, *(folder / NAME).iterdir()):
        os.utime(path, (1000.0, 1000.0))
    wall = (folder / "n1-0-2").stat().st_mtime + 1000
    shipper.step(0.0)
    shipper.remove_ended(wall)
    assert (folder / NAME).exists()  # not stored yet
    far.store()
    shipper.step(0.1)
    shipper.remove_ended(wall)
    assert sorted(p.name for p in folder.iterdir()) == ["n1-0-2", "n2-0-1"]
    assert not shipper.step(0.2)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_or_doubled_when_broker_worker_and_shipper_die(
    seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sipcore.node.spool.SEGMENT_BYTES", 2000)
    monkeypatch.setattr(module, "BATCH_LINES", 7)
    chance, far, now = random.Random(seed), Far(), 0.0
    spool = Spool(folder, NAME)
    shipper = Shipper(folder, far.positions, far.send)
    for _ in range(60):
        now += chance.choice((0.1, 1.0, RESEND_S + 1))
        write(spool, chance.randrange(1, 12))
        if chance.random() < 0.1:
            shipper = Shipper(folder, far.positions, far.send)
        shipper.step(now)
        if chance.random() < 0.5:
            far.store(keep=lambda: chance.random() < 0.7)
    for _ in range(200):
        now += RESEND_S + 1
        shipper.step(now)
        far.store()
    assert far.stored[NAME] == spool.written
    assert [f'"n":{n + 1},' in line for n, line in enumerate(far.lines[NAME])] == [
        True
    ] * spool.written
    assert shipper.backlog() == {NAME: 0}
    assert far.gaps == []


@pytest.fixture
def short_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write of ten records makes a file of its own."""
    monkeypatch.setattr("sipcore.node.spool.SEGMENT_BYTES", 400)


def files(folder: Path) -> list[int]:
    """Numbers of the first records of the files there are."""
    return [module.first_of(path) for path in sorted((folder / NAME).iterdir())]


@pytest.mark.usefixtures("short_files")
@pytest.mark.parametrize("is_new", [False, True], ids=["shipper goes on", "shipper is new"])
def test_after_a_restored_backup_it_ships_from_the_first_file_and_says_so(
    folder: Path, far: Far, is_new: bool, caplog: pytest.LogCaptureFixture
) -> None:
    spool, shipper = Spool(folder, NAME), Shipper(folder, far.positions, far.send)
    for now in (0.0, 1.0, 2.0):
        write(spool, 10)
        shipper.step(now)
        far.store()
    shipper.step(3.0)
    assert files(folder) == [21]
    far.stored[NAME] = 5  # the database as it was last night
    if is_new:
        shipper = Shipper(folder, far.positions, far.send)
    for step in range(3):  # sent again and again until it is stored, said once
        far.sent.clear()
        shipper.step(4.0 + step * (RESEND_S + 1))
        assert numbers(far) == [(21, 10)]
    assert far.gaps == [21, 21, 21]
    assert [record.args for record in caplog.records] == [(NAME, 6, 20)]
    far.stored[NAME] = 30
    write(spool, 10)
    far.sent.clear()
    shipper.step(30.0)
    assert numbers(far) == [(31, 10)]
    assert len(far.gaps) == 3


@pytest.mark.usefixtures("short_files")
def test_backup_of_what_the_files_still_hold_is_no_gap(folder: Path, far: Far) -> None:
    spool, shipper = Spool(folder, NAME), Shipper(folder, far.positions, far.send)
    for now in (0.0, 1.0, 2.0):
        write(spool, 10)
        shipper.step(now)
        far.store()
    shipper.step(3.0)
    far.stored[NAME] = 25
    shipper.step(3.1)
    assert numbers(far) == [(26, 5)]
    assert far.gaps == []


@pytest.mark.usefixtures("short_files")
@pytest.mark.parametrize("is_being_read", [False, True])
def test_file_that_is_lost_is_stepped_over(
    folder: Path, far: Far, is_being_read: bool, caplog: pytest.LogCaptureFixture
) -> None:
    spool, shipper = Spool(folder, NAME), Shipper(folder, far.positions, far.send)
    write(spool, 10)
    shipper.step(0.0)
    far.store()
    write(spool, 10)
    if is_being_read:
        shipper.step(1.0)
        far.sent.clear()
    (folder / NAME / f"{11:020d}.jsonl").unlink()
    write(spool, 10)
    shipper.step(2.0)
    assert numbers(far) == [(21, 10)]
    assert far.gaps == [21]
    told = [record.args for record in caplog.records if record.name == "voip_portal.shipper"]
    assert told == [(NAME, 11, 20)]


@pytest.mark.django_db
@pytest.mark.usefixtures("short_files")
@pytest.mark.parametrize("how", ["in another order", "the first one lost"])
def test_what_is_on_its_way_is_not_stepped_over(folder: Path, how: str) -> None:
    """A file in the middle is lost; the batch before it comes late, or not at all at first."""
    spool, given = Spool(folder, NAME), []
    for _ in range(4):
        write(spool, 10)
    (folder / NAME / f"{11:020d}.jsonl").unlink()

    def positions() -> dict[str, int]:
        return dict(SpoolPosition.objects.values_list("spool_id", "position"))

    shipper = Shipper(folder, positions, lambda *batch: given.append(batch))
    shipper.step(0.0)
    first, *others = given
    for batch in [*others, first] if how == "in another order" else others:
        store_records(*batch)
    for now in (1.0, 10.0, 20.0, 30.0):
        given.clear()
        shipper.step(now)
        for batch in given:
            store_records(*batch)
    there = set(Stored.objects.values_list("n", flat=True))
    assert there == {*range(1, 11), *range(21, 41)}


@pytest.mark.usefixtures("short_files")
def test_line_that_comes_as_the_next_file_is_begun_is_no_gap(
    folder: Path, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the shipper's look into a file and its look for the next one."""
    spool, shipper = Spool(folder, NAME), Shipper(folder, far.positions, far.send)
    write(spool, 2)
    shipper.step(0.0)
    segments = shipper._segments

    def looked_late(name: str) -> list[Path]:
        if spool.written == 2 and shipper._spools[NAME].sent == 2:
            write(spool, 8)
            write(spool, 1)
        return segments(name)

    monkeypatch.setattr(shipper, "_delete_stored", lambda *_: None)
    monkeypatch.setattr(shipper, "_segments", looked_late)
    shipper.step(1.0)
    assert files(folder) == [1, 11]
    assert numbers(far) == [(1, 2), (3, 8), (11, 1)]
    assert far.gaps == []


def the_backup() -> tuple[list[Stored], int]:
    """Records and position as the database has them."""
    return list(Stored.objects.all()), SpoolPosition.objects.get(spool_id=NAME).position


def restore(backup: tuple[list[Stored], int]) -> None:
    Stored.objects.all().delete()
    Stored.objects.bulk_create(backup[0])
    SpoolPosition.objects.filter(spool_id=NAME).update(position=backup[1])


@pytest.mark.django_db
@pytest.mark.usefixtures("short_files")
@pytest.mark.parametrize("seed", range(10))
def test_restored_backups_lose_only_what_no_file_holds(
    seed: int, folder: Path, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into the real database, whatever else is lost, late or in disorder on the way."""
    monkeypatch.setattr(module, "BATCH_LINES", 7)
    chance, now, lost = random.Random(seed), 0.0, set[int]()
    spool = Spool(folder, NAME)
    given: list[Any] = []

    def positions() -> dict[str, int]:
        return dict(SpoolPosition.objects.values_list("spool_id", "position"))

    shipper = Shipper(folder, positions, lambda *batch: given.append(batch))
    SpoolPosition.objects.create(spool_id=NAME)
    backup = the_backup()
    for turn in range(80):
        now += chance.choice((0.1, 1.0, RESEND_S + 1))
        write(spool, chance.randrange(12) if turn < 60 else 0)
        shipper.step(now)
        if turn < 60 and chance.random() < 0.15:
            backup = the_backup()
        if turn < 60 and chance.random() < 0.15:
            restore(backup)
            kept = {record.n for record in backup[0]}
            lost = set(range(1, files(folder)[0])) - kept
        chance.shuffle(given)
        while given and (turn >= 60 or chance.random() < 0.8):
            batch = given.pop()
            if turn >= 60 or chance.random() < 0.8:
                store_records(*batch)
    assert positions() == {NAME: spool.written}
    stored = {record.n: record.context for record in Stored.objects.all()}
    assert set(range(1, spool.written + 1)) - set(stored) <= lost
    assert len(stored) == Stored.objects.count()


def test_failure_is_tried_again(shipper: Shipper, spool: Spool, far: Far) -> None:
    write(spool, 1)
    waits: list[float] = []
    failing = iter([True, False, False])

    def positions() -> dict[str, int]:
        if next(failing):
            raise OSError("database away")
        return far.positions()

    shipper._positions = positions  # the shipper's only way to the database
    steps = run_steps(shipper, waits, 3)
    assert steps == 2
    assert waits[0] == module.RETRY_WAIT_S
    assert numbers(far) == [(1, 1)]


def run_steps(shipper: Shipper, waits: list[float], count: int) -> int:
    """Run so many steps; how many of them were good."""
    good = []

    def stopped(wait: float) -> bool:
        waits.append(wait)
        return len(waits) == count

    run(shipper, lambda _: good.append(1), stopped)
    return len(good)


def test_the_folder_of_a_spool_that_is_still_written_stays_though_a_later_life_was_seen(
    shipper: Shipper, spool: Spool, far: Far, folder: Path
) -> None:
    write(spool, 2)
    write(Spool(folder, "n1-0-2"), 1)
    for path in (folder / NAME, *(folder / NAME).iterdir()):
        os.utime(path, (1000.0, 1000.0))
    shipper.step(0.0)
    far.store()
    shipper.step(0.1)
    shipper.remove_ended((folder / "n1-0-2").stat().st_mtime + 1000)
    write(spool, 1)
    shipper.step(0.2)
    far.store()
    assert len(far.lines[NAME]) == 3
