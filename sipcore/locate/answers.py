"""Questions to the DNS, their answers, and how long an answer holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sipcore.locate.limits import (
    FAILURE_TTL_S,
    MAX_ANSWERS,
    MAX_NEGATIVE_TTL_S,
    MAX_RECORDS,
    MAX_TTL_S,
)

Question = tuple[str, str]
"""Name in lower case, without the dot of the root; kind: "NAPTR", "SRV", "A" or "AAAA"."""


class Naptr(NamedTuple):
    """A NAPTR record (RFC 3403 §4.1)."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


class Srv(NamedTuple):
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str
    """"" for ".": the service is decidedly not there."""


class Answer:
    """What the DNS said: records, that there are none, or nothing that could be used."""

    __slots__ = ("addresses", "failed", "naptr", "srv", "ttl_s")

    def __init__(
        self,
        ttl_s: float,
        *,
        naptr: Sequence[Naptr] = (),
        srv: Sequence[Srv] = (),
        addresses: Sequence[str] = (),
        failed: bool = False,
    ) -> None:
        self.ttl_s = ttl_s
        """Seconds it may be kept."""
        self.naptr = tuple(naptr)
        self.srv = tuple(srv)
        self.addresses = tuple(addresses)
        self.failed = failed
        """Whether nobody knows: a time-out, SERVFAIL, a server that is not in charge."""

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self.naptr) + len(self.srv) + len(self.addresses)

    @property
    def is_empty(self) -> bool:
        return not (self.naptr or self.srv or self.addresses)

    def __repr__(self) -> str:
        what = "failed" if self.failed else str(self.naptr + self.srv + self.addresses)
        return f"<Answer {what} for {self.ttl_s} s>"


NOBODY_KNOWS: Final = Answer(FAILURE_TTL_S, failed=True)
NO_ROOM: Final = Answer(0.0, failed=True)
"""It was not even asked: there are too many questions."""


class AnswerCache:
    """Answers until their time is over; when there are too many the oldest go."""

    def __init__(self, most: int = MAX_ANSWERS, most_records: int = MAX_RECORDS) -> None:
        self._most = most
        self._most_records = most_records
        self._kept: dict[Question, tuple[float, Answer]] = {}
        self._records = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question, now: float) -> Answer | None:
        """The answer, if it still holds."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if kept[0] <= now:
            self._forget(question)
            return None
        return kept[1]

    def put(self, question: Question, answer: Answer, now: float) -> None:
        """Keep an answer for as long as it says."""
        self._forget(question)
        most_s = MAX_TTL_S
        if answer.failed:
            most_s = FAILURE_TTL_S
        elif answer.is_empty:
            most_s = MAX_NEGATIVE_TTL_S
        ttl_s = min(answer.ttl_s, most_s)
        if ttl_s <= 0:
            return
        self._kept[question] = (now + ttl_s, answer)
        self._records += answer.records
        while len(self._kept) > self._most or self._records > self._most_records:
            self._forget(next(iter(self._kept)))

    def _forget(self, question: Question) -> None:
        kept = self._kept.pop(question, None)
        if kept is not None:
            self._records -= kept[1].records
