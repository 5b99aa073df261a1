"""What a node keeps on disk to start while the database is away: its last directory, its bindings.

One file for each, of JSON lines: a header with format and version, the rows, and a last line with
the number and the digest of what is before it. A file that is cut short, changed or of another format
is not used, and why is said. Only the owner may read them: they hold what the node holds in memory,
HA1s and the cluster's keys, and nothing that gives access to the database.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from sipcore.bindings import BindingChange, BindingTable, LineBindings
from sipcore.directory import Directory
from voip_portal.bridge.binding_store import binding_of, row_of
from voip_portal.bridge.pace import LOOK_EVERY, Pace
from voip_portal.directory.discovery import LOADERS
from voip_portal.faults import first_line

FORMAT: Final = 2
"""Another one is not read: a node that was updated in an outage must not guess."""


class NotKept(Exception):
    """There is no such file, or it cannot be used; the text says why."""


class KeptDirectory(NamedTuple):
    """A directory, when it was written, the keys of the cluster (hex), and the node's number."""

    directory: Directory
    at: float
    cluster_keys: list[str]
    node_number: int

    @property
    def told(self) -> str:
        """How it is named in the log: its version and the local time it was written at."""
        moment = time.localtime(self.at)
        format_ = "%H:%M" if time.time() - self.at < 43_200 else "%Y-%m-%d %H:%M"
        return f"directory {self.directory.version} of {time.strftime(format_, moment)}"


class Kept:
    """The files of one node."""

    def __init__(self, folder: Path, node: str) -> None:
        self._folder = folder
        self.directory_path = folder / f"{node}.directory"
        self.bindings_path = folder / f"{node}.bindings"
        self._digests: dict[Path, str] = {}

    def save_directory(
        self, directory: Directory, cluster_keys: Sequence[str], node_number: int
    ) -> None:
        """Keep this one from now on; OSError where it cannot be written."""
        header = {
            "version": directory.version,
            "parts": [loader.name for loader in LOADERS],
            "cluster_keys": list(cluster_keys),
            "node_number": node_number,
        }
        self._write(self.directory_path, header, _rows_of(directory))

    def load_directory(self) -> KeptDirectory:
        """The directory that was in force last."""
        header, rows = self._read(self.directory_path)
        if header.get("parts") != [loader.name for loader in LOADERS]:
            raise NotKept(f"{self.directory_path} is of another version of this program")
        by_part = defaultdict(list)
        try:
            for name, *row in rows:
                by_part[name].append(row)
            parts = [loader.part_of(by_part[loader.name]) for loader in LOADERS]
            directory = Directory(version=header["version"], parts=parts)
            number = header.get("node_number", 0)  # all were 0 when there was none in the file
            return KeptDirectory(directory, header["at"], header["cluster_keys"], number)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise NotKept(f"{self.directory_path} makes no sense: {first_line(error)}") from None

    def save_bindings(self, lines: Iterable[LineBindings]) -> None:
        """Keep the bindings of these lines; OSError where they cannot be written."""
        rows = ([line.line_id, line.version, [*map(row_of, line.bindings)]] for line in lines)
        self._write(self.bindings_path, {}, rows)

    def load_bindings(self) -> list[LineBindings]:
        """The bindings that were kept last."""
        _, rows = self._read(self.bindings_path)
        try:
            return [
                LineBindings(line_id, version, tuple(binding_of(tuple(row)) for row in held))
                for line_id, version, held in rows
            ]
        except (ValueError, TypeError, IndexError) as error:
            raise NotKept(f"{self.bindings_path} makes no sense: {first_line(error)}") from None

    # --- files ---------------------------------------------------------------------------------
    def _write(self, path: Path, header: dict[str, Any], rows: Iterable[Any]) -> None:
        """Replace a file, atomically and synced; nothing is done where it would say the same."""
        digest = blake2b(digest_size=16)
        count = 0
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            pace = Pace()
            with os.fdopen(fd, "wb") as file:
                file.write(_line({"format": FORMAT, "at": time.time(), **header}))
                digest.update(_line(header))
                for batch in _batches(rows):
                    data = b"".join(map(_line, batch))
                    count += len(batch)
                    digest.update(data)
                    file.write(data)
                    pace()
                file.write(_line({"end": count, "digest": digest.hexdigest()}))
                if self._digests.get(path) != digest.hexdigest():
                    file.flush()
                    os.fdatasync(fd)
            if self._digests.get(path) == digest.hexdigest() and path.exists():
                return
            fresh.replace(path)
            self._digests[path] = digest.hexdigest()
        finally:
            fresh.unlink(missing_ok=True)

    def _read(self, path: Path) -> tuple[dict[str, Any], list[Any]]:
        try:
            first, *rows, last = path.read_bytes().splitlines(keepends=True)
            header, end = json.loads(first), json.loads(last)
            if header.pop("format") != FORMAT:
                raise NotKept(f"{path} is of another version of this program")
            digest = blake2b(_line({k: v for k, v in header.items() if k != "at"}), digest_size=16)
            for row in rows:
                digest.update(row)
            if end != {"end": len(rows), "digest": digest.hexdigest()}:
                raise NotKept(f"{path} was cut short or changed")
            return header, [json.loads(row) for row in rows]
        except FileNotFoundError:
            raise NotKept(f"there is no {path}") from None
        except OSError as error:
            raise NotKept(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            raise NotKept(f"{path} was cut short or changed") from None


def lines_of(table: BindingTable, at: float) -> Iterator[LineBindings]:
    """What a table holds now; also from another thread than the one that changes it."""
    for line_id in table.line_ids():
        while True:
            version = table.version(line_id)
            bindings = tuple(table.bindings(line_id, at))
            if table.version(line_id) == version:
                break
        yield LineBindings(line_id, version, bindings)


def put_on_top(table: BindingTable, change: BindingChange, at: float) -> None:
    """Bring a change of the node's journal into its kept bindings, whatever is missing between."""
    if table.version(change.line_id) >= change.new_version:
        return
    held = {binding.key: binding for binding in table.bindings(change.line_id, at)}
    held.update({binding.key: binding for binding in change.upserts})
    for touch in change.touches:
        if touch.key in held:
            held[touch.key] = held[touch.key].touched(touch)
    for key in change.deletes:
        held.pop(key, None)
    table.replace(change.line_id, change.new_version, held.values())


def newer_than(held: Callable[[int], int], lines: Iterable[LineBindings]) -> list[LineBindings]:
    """The lines of the store that are newer than what is held."""
    return [line for line in lines if line.version > held(line.line_id)]


def _rows_of(directory: Directory) -> Iterator[list[Any]]:
    for loader in LOADERS:
        for row in loader.rows_of(directory.part(loader.kind)):
            yield [loader.name, *row]


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == LOOK_EVERY:
            yield batch
            batch = []
    if batch:
        yield batch


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii") + b"\n"
