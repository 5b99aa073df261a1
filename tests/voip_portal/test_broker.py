"""The embedded broker gives out whole messages, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from voip_portal import broker


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    folders = {f"data_folder_{way}": str(tmp_path) for way in ("in", "out")}
    options = {**folders, "control_folder": str(tmp_path / "control")}
    with Connection(f"{broker.SCHEME}://", transport_options=options) as connection:
        yield connection


def test_messages_come_in_order_and_no_file_is_left(connection: Connection, tmp_path: Path) -> None:
    with connection.SimpleQueue("jobs") as queue:
        for number in range(20):
            queue.put({"number": number})
        taken = []
        for _ in range(20):
            message = queue.get(timeout=2)
            message.ack()
            taken.append(message.payload["number"])
    assert taken == list(range(20))
    assert [p for p in tmp_path.iterdir() if p.is_file()] == []


def test_message_is_not_seen_before_it_is_whole(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    write = Path.write_bytes

    def look_and_write(path: Path, data: Any) -> int:
        path.touch()
        seen.append([p.name for p in tmp_path.glob("*.msg")])
        return write(path, data)

    with connection.SimpleQueue("other_jobs") as queue:  # kombu keeps queues in mind
        monkeypatch.setattr(Path, "write_bytes", look_and_write)
        queue.put({"whole": True})
        message = queue.get(timeout=2)
        message.ack()
        assert message.payload == {"whole": True}
    assert seen == [[]]
