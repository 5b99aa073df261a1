"""Merged requests: one request that reached a user agent by two ways (RFC 3261 §8.2.2.2)."""

from __future__ import annotations

from sipcore.message import Request
from sipcore.transaction.limits import GENERATION_S, GENERATION_SIZE
from sipcore.transaction.server import ServerTransaction
from sipcore.transaction.states import State

_Key = tuple[str, str, int, str]


class MergedRequests:
    """What the user agents of a worker accepted lately. A proxy must not ask it (§16.3).

    Two generations of a dictionary, so that nothing has to be told when a transaction ends.
    """

    __slots__ = ("_begun_at", "_older", "_recent")

    def __init__(self) -> None:
        self._recent: dict[_Key, ServerTransaction] = {}
        self._older: dict[_Key, ServerTransaction] = {}
        self._begun_at = 0.0

    def accept(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """A user agent deals with this request, which has no To tag."""
        if now - self._begun_at >= GENERATION_S or len(self._recent) >= GENERATION_SIZE:
            self._older, self._recent = self._recent, {}
            self._begun_at = now
        self._recent[_key(request)] = tx

    def has_other(self, request: Request) -> bool:
        """Whether the same request is being dealt with in a transaction that goes on.

        Retransmissions never come so far: they have found their own transaction.
        """
        key = _key(request)
        first = self._recent.get(key) or self._older.get(key)
        return first is not None and first.state is not State.TERMINATED


def _key(request: Request) -> _Key:
    return (request.call_id, request.from_tag, request.cseq_number, request.method)
