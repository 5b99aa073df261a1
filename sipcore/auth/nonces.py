"""Nonces that every node can verify and that one worker counts (RFC 7616 §3.3, §5.5).

A nonce is 48 characters: expiry (8 hex digits, seconds since the epoch), serial number (8),
worker (8), MAC (24). The MAC covers the rest and what the nonce is bound to, so any holder of the
cluster key knows whether the service minted it for that; the worker part is a hash of node and
incarnation.

Nonce counts live only in the worker that minted the nonce, as a window over the last counts, in two
generations of a dictionary keyed by serial number. Only a request whose digest is right makes an
entry, so a stranger cannot fill it. When a generation is full before its time, nonces minted
before the dropped generation was closed are called expired: never a replay, at worst one more
challenge.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from sipcore.auth.limits import DEFAULT_GENERATION_SIZE, DEFAULT_LIFETIME_S, REORDER_WINDOW

NONCE_LENGTH: Final = 48
_WINDOW_MASK: Final = (1 << REORDER_WINDOW) - 1
_MAX_COUNT: Final = 0xFFFFFFFF


class NonceState(IntEnum):
    """What a nonce is worth to the worker that is shown it."""

    FRESH = 0
    """Minted by this worker for this use, within its lifetime."""
    EXPIRED = 1
    """Minted by this worker for this use, too long ago."""
    FOREIGN = 2
    """Minted by another worker or incarnation, for another use, or by nobody with our key."""


class CountState(IntEnum):
    """What a nonce count is worth (RFC 7616 §3.4: nc)."""

    NEW = 0
    SEEN = 1
    """This count was used before, or is older than the window: a replay."""
    FORGOTTEN = 2
    """The window of so old a nonce may have been dropped: ask for a new nonce."""


class Nonces:
    """Mints, checks and counts the nonces of one worker.

    `key` is the cluster's key, at least 16 random bytes; `node` and `incarnation` together name
    this life of this worker; `generation_size` bounds the memory of the counts.
    """

    __slots__ = (
        "_closed_at",
        "_counts",
        "_generation_size",
        "_horizon",
        "_lifetime_s",
        "_mac",
        "_older",
        "_opened_at",
        "_serial",
        "_worker",
    )

    def __init__(
        self,
        key: bytes,
        node: str,
        incarnation: int,
        lifetime_s: float = DEFAULT_LIFETIME_S,
        *,
        generation_size: int = DEFAULT_GENERATION_SIZE,
    ) -> None:
        # blake2b takes 64 bytes of key; hashing first takes cluster keys of any length.
        own_key = blake2b(key, digest_size=32, person=b"sip nonce").digest()
        # The key is the first of what is hashed: where BLAKE2 is told of it, it takes twice as long.
        self._mac = blake2b(own_key, digest_size=12, person=b"mac")
        name = f"{node}\0{incarnation}".encode()
        self._worker = blake2b(name, key=own_key, digest_size=4, person=b"worker").hexdigest()
        self._lifetime_s = lifetime_s
        self._generation_size = generation_size
        self._serial = 0
        self._counts: dict[int, int] = {}
        self._older: dict[int, int] = {}
        self._opened_at = float("-inf")
        """When `_counts` was begun: at the first count."""
        self._closed_at = float("-inf")
        """When `_older` was closed."""
        self._horizon = float("-inf")
        """Nonces minted until then may have been counted in a generation that is gone."""

    def __repr__(self) -> str:
        return f"<Nonces minted={self._serial} counted={len(self)}>"

    def __len__(self) -> int:
        """Nonces whose counts are remembered."""
        return len(self._counts) + len(self._older)

    def issue(self, bound_to: str, at: float) -> str:
        """A new nonce for this use: a Call-ID, for REGISTER the address-of-record."""
        self._serial = (self._serial + 1) & 0xFFFFFFFF
        text = f"{int(at + self._lifetime_s):08x}{self._serial:08x}{self._worker}"
        return text + self._mac_of(text, bound_to)

    def may_be_in(self, row: str) -> bool:
        """Whether a row may hold a nonce that this worker has minted: False is certain."""
        return self._worker in row or "\\" in row

    def check(self, nonce: str, bound_to: str, at: float) -> NonceState:
        """Whether this nonce was minted here for this use and may still be used, counts apart."""
        if len(nonce) != NONCE_LENGTH or not nonce.isascii() or nonce[16:24] != self._worker:
            return NonceState.FOREIGN
        if not compare_digest(self._mac_of(nonce[:24], bound_to), nonce[24:]):
            return NonceState.FOREIGN
        return NonceState.FRESH if at < int(nonce[:8], 16) else NonceState.EXPIRED

    def minted_at(self, nonce: str) -> float:
        """When a nonce that `check` called FRESH was minted (UTC, rounded down to the second)."""
        return int(nonce[:8], 16) - self._lifetime_s

    def _mac_of(self, text: str, bound_to: str) -> str:
        mac = self._mac.copy()
        mac.update((text + bound_to).encode("utf-8", "surrogateescape"))
        return mac.hexdigest()

    def count(self, nonce: str, nc: int, at: float) -> CountState:
        """Use count `nc` of a nonce that `check` called FRESH, after its digest proved right."""
        if not 0 < nc <= _MAX_COUNT:
            return CountState.SEEN
        if at - self._opened_at >= self._lifetime_s or len(self._counts) >= self._generation_size:
            self._turn_generation(at)
        serial = int(nonce[8:16], 16)
        window = self._counts.get(serial) or self._older.get(serial, 0)
        if not window and int(nonce[:8], 16) - self._lifetime_s <= self._horizon:
            return CountState.FORGOTTEN
        window = _advance_window(window, nc)
        if not window:
            return CountState.SEEN
        self._counts[serial] = window
        return CountState.NEW

    def use_once(self, nonce: str, at: float) -> bool:
        """Use up a FRESH nonce for credentials without a count; False when it was used before."""
        return self.count(nonce, _MAX_COUNT, at) is CountState.NEW

    def _turn_generation(self, at: float) -> None:
        self._horizon = self._closed_at
        self._older = self._counts
        self._counts = {}
        self._opened_at = self._closed_at = at


def _advance_window(window: int, nc: int) -> int:
    """The window with `nc` marked as used; 0 when it was used before or is too old.

    A window is one integer: the highest count above, below it a bit for each of the last 32
    (bit 0 the highest itself).
    """
    highest = window >> REORDER_WINDOW
    if nc > highest:
        shift = nc - highest
        used = (window & _WINDOW_MASK) << shift if shift < REORDER_WINDOW else 0
        return nc << REORDER_WINDOW | (used & _WINDOW_MASK) | 1
    behind = highest - nc
    if behind >= REORDER_WINDOW or window >> behind & 1:
        return 0
    return window | 1 << behind
