"""Registrations while the database is away: a file of this node's own, synced before the answer.

They are short (`MAX_EXPIRES_S`), so that phones come again soon after the database is back, and
they are merged into it then: as they were made where nobody else changed the line meanwhile, else
binding by binding, where the one that lasts longer stays.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from sipcore.bindings import Binding, BindingChange, BindingStore, StoreResult, Touch
from voip_portal.bridge.binding_store import binding_of, row_of

log = logging.getLogger("voip_portal.writer")

MAX_EXPIRES_S: Final = 120
_ATTEMPTS: Final = 5


class BindingJournal:
    """Changes accepted without the database, one JSON line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def append(self, changes: Iterable[BindingChange]) -> None:
        """Write these changes and wait until they are on disk."""
        data = b"".join(_line(change) for change in changes)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                data = b"\n" + data  # a crash left half a line: it must not swallow the next
            while data:
                data = data[os.write(fd, data) :]
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def read(self) -> list[BindingChange]:
        """All changes in order; a last line cut short by a crash was never acknowledged."""
        try:
            text = self._path.read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            return []
        found = []
        for line in text.split("\n")[:-1]:
            try:
                found.append(_change(json.loads(line)))
            except (ValueError, KeyError, TypeError):
                log.warning("a line of %s cut short by a crash is left out", self._path.name)
        return found

    def clear(self) -> None:
        """Forget everything: the database has it."""
        self._path.unlink(missing_ok=True)

    def merge_into(self, store: BindingStore) -> int:
        """Bring everything into the database, then forget it; how many changes that were."""
        changes = self.read()
        for change in changes:
            merge(store, change)
        self.clear()
        if changes:
            log.warning("%d changes of bindings merged into the database", len(changes))
        return len(changes)


def merge(store: BindingStore, change: BindingChange) -> None:
    """Write one change, whatever happened to its line meanwhile."""
    result = store.commit([change])[0]
    for _ in range(_ATTEMPTS):
        if result.ok:
            return
        result = store.commit([_onto(change, result)])[0]
    log.error("line %d: a registration could not be merged", change.line_id)


def _onto(change: BindingChange, present: StoreResult) -> BindingChange:
    """The change made anew from what the database holds of the line."""
    held = {binding.key: binding for binding in present.bindings or ()}
    return BindingChange(
        change.line_id,
        present.version,
        present.version + 1,
        tuple(b for b in change.upserts if _lasts_longer(b.expires_at, held.get(b.key))),
        tuple(
            t for t in change.touches if t.key in held and _lasts_longer(t.expires_at, held[t.key])
        ),
        change.deletes,
    )


def _lasts_longer(expires_at: float, held: Binding | None) -> bool:
    return held is None or expires_at > held.expires_at


def is_short(change: BindingChange, at: float) -> bool:
    """Whether nothing in this change lasts longer than what is accepted without the database."""
    latest = at + MAX_EXPIRES_S + 1
    rows: Sequence[Binding | Touch] = (*change.upserts, *change.touches)
    return all(row.expires_at <= latest for row in rows)


def _line(change: BindingChange) -> bytes:
    row = {
        "line": change.line_id,
        "base": change.base_version,
        "new": change.new_version,
        "upserts": [row_of(binding) for binding in change.upserts],
        "touches": change.touches,
        "deletes": change.deletes,
    }
    text = json.dumps(row, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def _change(row: dict[str, Any]) -> BindingChange:
    return BindingChange(
        row["line"],
        row["base"],
        row["new"],
        tuple(binding_of(tuple(values)) for values in row["upserts"]),
        tuple(map(_touch, row["touches"])),
        tuple(row["deletes"]),
    )


def _touch(values: list[Any]) -> Touch:
    """A journal of an earlier version does not say when it was written."""
    key, expires_at, call_id, cseq, *rest = values
    return Touch(key, expires_at, call_id, cseq, rest[0] if rest else 0.0)
