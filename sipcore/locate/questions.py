"""Questions for the DNS: so many at a time, in shares of those who ask; the others wait.

Names are whoever's, and servers that never answer take four seconds for each. So an account has a share
of what is left, as have the names below one domain; what is more waits in a queue, of which an account
has a share as well. Who has waited for too long, or finds no room in the queue, hears so and may try later.
"""

from __future__ import annotations

from collections.abc import Callable

from sipcore.locate.answers import Question
from sipcore.locate.limits import (
    ARPA_LABELS,
    MAX_PER_ASKER,
    MAX_PER_DOMAIN,
    MAX_QUESTIONS,
    MAX_QUEUED,
    MAX_QUEUED_PER_ASKER,
    QUEUE_WAIT_S,
    SHARE_OF_THE_REST,
)


class Tally:
    """Things held, in all and by whom: everybody has a share of what is left, at least one."""

    __slots__ = ("_by", "_share", "count", "most")

    def __init__(self, most: int, share: int) -> None:
        self.most = most
        self._share = share
        self.count = 0
        self._by: dict[str, int] = {}

    def admits(self, asker: str) -> bool:
        """Whether this one may hold one more."""
        left = self.most - self.count
        share = max(1, min(self._share, left // SHARE_OF_THE_REST))
        return left > 0 and self._by.get(asker, 0) < share

    def add(self, asker: str) -> None:
        self.count += 1
        self._by[asker] = self._by.get(asker, 0) + 1

    def remove(self, asker: str) -> None:
        self.count -= 1
        left = self._by[asker] - 1
        if left:
            self._by[asker] = left
        else:
            del self._by[asker]


class Questions:
    """Those that are being asked, and those that wait for it. `ask` has one asked."""

    __slots__ = ("_asked", "_domains", "_put", "_queued", "shares", "_waiting")

    def __init__(self, ask: Callable[[Question], None], most: int = MAX_QUESTIONS) -> None:
        self._put = ask
        self._asked: dict[Question, str] = {}
        """And in whose share."""
        self._domains: dict[str, int] = {}
        self._waiting: dict[str, dict[Question, float]] = {}
        """By asker, whose turn comes next first; since when, the longest first."""
        self._queued = Tally(MAX_QUEUED, MAX_QUEUED_PER_ASKER)
        self.shares = Tally(most, MAX_PER_ASKER)

    def __len__(self) -> int:
        """Questions that are being asked."""
        return len(self._asked)

    def want(self, question: Question, asker: str, now: float) -> bool:
        """Have it asked, now or when there is room; False where there is none even to wait."""
        if question in self._asked:
            return True
        if self._may_ask(question, asker):
            self._ask(question, asker)
            return True
        mine = self._waiting.get(asker)
        if mine is not None and question in mine:
            return True
        if not self._queued.admits(asker):
            return False
        self._queued.add(asker)
        if mine is None:
            mine = self._waiting[asker] = {}
        mine[question] = now
        return True

    def answered(self, question: Question) -> None:
        """It was answered: others have their turn."""
        asker = self._asked.pop(question, None)
        if asker is not None:
            self.shares.remove(asker)
            domain = domain_of(question[0])
            left = self._domains[domain] - 1
            if left:
                self._domains[domain] = left
            else:
                del self._domains[domain]
        while self._waiting and self._ask_next():
            pass

    def overdue(self, now: float) -> list[tuple[Question, str]]:
        """Questions that waited for too long, and for whom: they wait no more."""
        found = []
        for asker, mine in list(self._waiting.items()):
            for question, since in list(mine.items()):
                if now - since < QUEUE_WAIT_S:
                    break
                self._leave(question, asker)
                found.append((question, asker))
        return found

    # --- one at a time -----------------------------------------------------------------------
    def _may_ask(self, question: Question, asker: str) -> bool:
        if not self.shares.admits(asker):
            return False
        return self._domains.get(domain_of(question[0]), 0) < MAX_PER_DOMAIN

    def _ask(self, question: Question, asker: str) -> None:
        self._asked[question] = asker
        self.shares.add(asker)
        domain = domain_of(question[0])
        self._domains[domain] = self._domains.get(domain, 0) + 1
        for waiting in [other for other, theirs in self._waiting.items() if question in theirs]:
            self._leave(question, waiting)
        self._put(question)

    def _ask_next(self) -> bool:
        """Ask one of those that wait, of whoever has waited longest for a turn; False for none."""
        for asker, mine in self._waiting.items():
            for question in mine:
                if self._may_ask(question, asker):
                    self._ask(question, asker)
                    if asker in self._waiting:
                        self._waiting[asker] = self._waiting.pop(asker)  # behind the others
                    return True
        return False

    def _leave(self, question: Question, asker: str) -> None:
        mine = self._waiting[asker]
        del mine[question]
        self._queued.remove(asker)
        if not mine:
            del self._waiting[asker]


def domain_of(name: str) -> str:
    """The domain whose share of the questions a name takes: its last two labels.

    Of the numbers of ENUM six digits besides: the whole of e164.arpa is one domain, and many have a
    zone of their own there.
    """
    labels = ARPA_LABELS if name.endswith(".arpa") else 2
    return ".".join(name.rsplit(".", labels)[-labels:])


__all__ = ["Questions", "Tally", "domain_of"]
