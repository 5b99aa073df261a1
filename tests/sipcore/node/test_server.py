"""A node on real sockets and files: what is on disk when it cannot go on."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sipcore.apps.config import Listener, WorkerConfig
from sipcore.bindings import BindingChange, BindingTable, StoreResult
from sipcore.calls import Call, journal_row
from sipcore.campus import CampusService
from sipcore.node.journal import Journal
from sipcore.node.server import Node
from sipcore.node.spool import Spool
from sipcore.node.worker import Worker
from tests.sipcore.simulation.world import KEY, make_directory
from tests.support.ports import free_port


class NoStore:
    """A binding writer that nobody writes to."""

    def submit(
        self,
        changes: Sequence[BindingChange],
        done: Callable[[list[tuple[int, StoreResult]]], None],
    ) -> None:
        raise AssertionError


def make_node(folder: Path, port: int, life: str) -> Node:
    address = ("127.0.0.1", port)
    config = WorkerConfig(
        node="n1", cluster_keys=(KEY,), listeners=(Listener("UDP", address, address),)
    )
    worker = Worker(config, make_directory(["anna"]), BindingTable(), Random(1), CampusService)
    journal = Journal(folder / "journal.jsonl")
    return Node(worker, writer=NoStore(), spool=Spool(folder / "spool", life), journal=journal)


def records(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "spool").rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def ringing() -> Call:
    return Call("AAAAAAAAAAAAAAAA", "id", "tag", "<sip:a@b>", "<sip:c@b>", 1, None, 0.0, 1.7e9)


async def test_calls_that_were_lost_are_on_disk_before_the_journal_forgets_them(
    tmp_path: Path,
) -> None:
    Journal(tmp_path / "journal.jsonl").append([journal_row(ringing())])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        node = make_node(tmp_path, taken.getsockname()[1], "first")
        with pytest.raises(OSError, match="in use"):
            await node.start()  # it dies here, as far as its files are concerned
    node = make_node(tmp_path, free_port(), "second")
    await node.start()
    await node.stop()
    assert [(r["k"], r["c"], r["cause"]) for r in records(tmp_path)] == [
        ("call.end", "AAAAAAAAAAAAAAAA", "lost")
    ]
