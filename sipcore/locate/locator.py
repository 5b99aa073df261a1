"""All searches of a worker: one cache, one memory of dead servers, no question asked twice at a time.

What is not known is left in `questions` for whoever asks the DNS; `answered` takes the answers. That
every question gets one, in a few seconds at most, is the resolver's part: nothing here has a timer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from sipcore.locate.answers import NOBODY_KNOWS, Answer, AnswerCache, Question
from sipcore.locate.dead import DeadServers
from sipcore.locate.destination import Candidate, Destination
from sipcore.locate.limits import MAX_WAITING
from sipcore.locate.search import Search, Speaks
from sipcore.random_source import RandomSource

log = logging.getLogger(__name__)


class Seeker(Protocol):
    """Who wants to send something."""

    def found(self, server: Candidate | None, now: float) -> None:
        """The next server to try, or None when there is none left."""


class Asker(Protocol):
    """Who wants to know what the DNS says, and looks for no server."""

    def told(self, answer: Answer, now: float) -> None:
        """What it says; `NOBODY_KNOWS` where it cannot be asked."""


@contextmanager
def _ones_own_fault() -> Iterator[None]:
    """Whatever one of those who waited does wrong, the others hear the answer too."""
    try:
        yield
    except Exception:
        log.exception("an answer of the DNS was of no use to somebody")


class Locator:
    """Finds servers."""

    def __init__(
        self,
        speaks: Speaks,
        random: RandomSource,
        ask: Callable[[Question], None],
        probe: Callable[[Candidate], None],
        may_reach: Callable[[Candidate], bool],
        most_waiting: int = MAX_WAITING,
    ) -> None:
        self.cache = AnswerCache()
        self.dead = DeadServers()
        self._speaks = speaks
        self._random = random
        self._ask = ask
        self._probe = probe
        self._may_reach = may_reach
        self.most_waiting = most_waiting
        self._waiting: dict[Question, list[tuple[Search, Seeker]]] = {}
        self._asking: dict[Question, list[Asker]] = {}
        self._searches = 0

    def __len__(self) -> int:
        """How many searches and askers wait for an answer."""
        return self._searches

    def start(self, wanted: Destination | None, *, stateless: bool = False) -> Search:
        """A search; for what is sent without state its order is the same every time."""
        return Search(wanted, self._speaks, None if stateless else self._random)

    def seek(self, search: Search, seeker: Seeker, now: float) -> None:
        """Give the seeker the next server of a search: at once, or when answers have come."""
        search.current = None
        self._go_on(search, seeker, now)

    def ask(self, question: Question, asker: Asker, now: float) -> None:
        """Tell the asker what the DNS says: at once, or when the answer has come."""
        answer = self.cache.get(question, now)
        if answer is None and self._searches >= self.most_waiting:
            answer = NOBODY_KNOWS
        if answer is not None:
            asker.told(answer, now)
            return
        self._searches += 1
        is_asked = question in self._waiting or question in self._asking
        self._asking.setdefault(question, []).append(asker)
        if not is_asked:
            self._ask(question)

    def answered(self, question: Question, answer: Answer, now: float) -> None:
        """The DNS answered, or did not."""
        self.cache.put(question, answer, now)
        askers, waiting = self._asking.pop(question, ()), self._waiting.pop(question, ())
        self._searches -= len(askers)
        for asker in askers:
            with _ones_own_fault():
                asker.told(answer, now)
        for search, seeker in waiting:
            search.known[question] = answer
            search.open.discard(question)
            if not search.open:
                self._searches -= 1
                with _ones_own_fault():
                    self._go_on(search, seeker, now)

    def _go_on(self, search: Search, seeker: Seeker, now: float) -> None:
        def known(question: Question) -> Answer | None:
            answer = search.known.get(question) or self.cache.get(question, now)
            if answer is not None:
                search.known[question] = answer  # for this search it holds
            return answer

        while True:
            missing = search.advance(known)
            if missing:
                self._wait(missing, search, seeker, now)
                return
            server = search.take()
            if server is None:
                server, search.last_resort = search.last_resort, None
            elif not self._may_reach(server):
                continue
            elif self.dead and self.dead.is_out(server, now):
                self._pass_over(server, search, now)
                continue
            if server is not None:
                search.tried = True
                search.last_resort = None
            search.current = server
            seeker.found(server, now)
            return

    def _pass_over(self, server: Candidate, search: Search, now: float) -> None:
        """A dead one. Where all are dead by their silence the first of them is tried after all."""
        if search.last_resort is None and not search.tried and self.dead.is_silent(server):
            search.last_resort = server
        if self.dead.wants_probe(server, now):
            self._probe(server)

    def _wait(self, missing: list[Question], search: Search, seeker: Seeker, now: float) -> None:
        if self._searches >= self.most_waiting:
            seeker.found(None, now)
            return
        self._searches += 1
        search.open = set(missing)
        for question in missing:
            waiting = self._waiting.get(question)
            if waiting is not None:
                waiting.append((search, seeker))
                continue
            self._waiting[question] = [(search, seeker)]
            if question not in self._asking:
                self._ask(question)
