"""Which refused credentials get a record of their own: bounded, whatever names a sender writes.

A flood would write a record for each packet, under a new name each time. So names are keys of a fixed
table only as a keyed hash, known and unknown ones alike, and all records of an interval together are
bounded; what is beyond becomes one number.
"""

from __future__ import annotations

from hashlib import blake2b

from sipcore.perimeter.limits import (
    REFUSAL_RECORD_INTERVAL_S,
    REFUSAL_RECORDS_PER_INTERVAL,
    REFUSAL_SLOTS,
    REFUSAL_SUM_INTERVAL_S,
)


class _Slot:
    """The refusals of one source and name, or of several that share a hash."""

    __slots__ = ("count", "last", "seen")

    def __init__(self) -> None:
        self.last = float("-inf")
        self.count = 0
        self.seen = b""
        """Hash of Call-ID and CSeq of the last one: sent again, it is the same refusal."""


class Refusals:
    """Counts refused credentials by source and user name."""

    __slots__ = ("_began", "_hash", "_recorded", "_slots", "summed")

    def __init__(self, key: bytes) -> None:
        self._hash = blake2b(key=key[:64], digest_size=8, person=b"refusals")
        self._slots: dict[int, _Slot] = {}
        self._began = float("-inf")
        self._recorded = 0
        """Records in this interval."""
        self.summed = 0
        """Refusals beyond them, for one record of their sum."""

    def refused(self, source: str, username: str, request_id: str, now: float) -> int:
        """How many refusals a record is to tell of; 0: there is to be none now."""
        slot = self._slot_of(source, username)
        seen = self._digest(request_id)
        if slot.seen == seen:
            return 0
        slot.seen = seen
        if now - slot.last < REFUSAL_RECORD_INTERVAL_S:
            slot.count += 1
            return 0
        if now - self._began >= REFUSAL_SUM_INTERVAL_S:
            self._began = now
            self._recorded = 0
        if self._recorded >= REFUSAL_RECORDS_PER_INTERVAL:
            self.summed += 1
            return 0
        self._recorded += 1
        slot.last = now
        count, slot.count = slot.count + 1, 0
        return count

    def __len__(self) -> int:
        """How many pairs of source and name are told apart now."""
        return len(self._slots)

    def take_sum(self) -> int:
        """The refusals that got no record; they are counted anew from here."""
        summed, self.summed = self.summed, 0
        return summed

    def _slot_of(self, source: str, username: str) -> _Slot:
        number = int.from_bytes(self._digest(f"{source}|{username}"), "big") % REFUSAL_SLOTS
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = _Slot()
        return slot

    def _digest(self, text: str) -> bytes:
        digest = self._hash.copy()
        digest.update(text.encode("utf-8", "surrogateescape"))
        return digest.digest()
