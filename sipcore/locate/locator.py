"""All searches of a worker: one cache, one memory of dead servers, no question asked twice at a time.

What is not known is left in `questions` for whoever asks the DNS; `answered` takes the answers. That
every question gets one, in a few seconds at most, is the resolver's part: nothing here has a timer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from sipcore.locate.answers import NO_ROOM, Answer, AnswerCache, Question
from sipcore.locate.dead import DeadServers
from sipcore.locate.destination import Candidate, Destination
from sipcore.locate.limits import MAX_WAITING, MAX_WAITING_PER_ASKER
from sipcore.locate.questions import Questions, Tally
from sipcore.locate.search import Search, Speaks
from sipcore.random_source import RandomSource

log = logging.getLogger(__name__)


class Seeker(Protocol):
    """Who wants to send something."""

    def found(self, server: Candidate | None, now: float) -> None:
        """The next server to try, or None when there is none left (or `Search.has_no_room`)."""


class Asker(Protocol):
    """Who wants to know what the DNS says, and looks for no server."""

    def told(self, answer: Answer, now: float) -> None:
        """What it says; `NO_ROOM` where it cannot be asked now."""


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
        self.questions = Questions(ask)
        self._probe = probe
        self._may_reach = may_reach
        self.waiting = Tally(most_waiting, MAX_WAITING_PER_ASKER)
        """Searches and askers that wait for an answer, by whose they are."""
        self._waiting: dict[Question, list[tuple[Search, Seeker]]] = {}
        self._asking: dict[Question, list[tuple[Asker, str]]] = {}

    def __len__(self) -> int:
        """How many searches and askers wait for an answer."""
        return self.waiting.count

    def start(
        self, wanted: Destination | None, asker: str = "", *, stateless: bool = False
    ) -> Search:
        """A search in the share of this asker; what is sent without state has the same order always."""
        return Search(wanted, self._speaks, None if stateless else self._random, asker)

    def seek(self, search: Search, seeker: Seeker, now: float) -> None:
        """Give the seeker the next server of a search: at once, or when answers have come."""
        search.current = None
        self._go_on(search, seeker, now)

    def ask(self, question: Question, asker: Asker, whose: str, now: float) -> None:
        """Tell the asker what the DNS says: at once, or when the answer has come.

        `whose` share of the questions it takes.
        """
        answer = self.cache.get(question, now)
        if answer is None and not self._has_room([question], whose, now):
            answer = NO_ROOM
        if answer is not None:
            asker.told(answer, now)
            return
        self.waiting.add(whose)
        self._asking.setdefault(question, []).append((asker, whose))

    def _has_room(self, questions: list[Question], whose: str, now: float) -> bool:
        """Have these asked, if there is room for one more who waits."""
        if not self.waiting.admits(whose):
            return False
        return all(self.questions.want(question, whose, now) for question in questions)

    def answered(self, question: Question, answer: Answer, now: float) -> None:
        """The DNS answered, or did not."""
        self.cache.put(question, answer, now)
        askers, waiting = self._asking.pop(question, ()), self._waiting.pop(question, ())
        self.questions.answered(question)
        for asker, whose in askers:
            self.waiting.remove(whose)
            with _ones_own_fault():
                asker.told(answer, now)
        for search, seeker in waiting:
            search.known[question] = answer
            search.open.discard(question)
            if not search.open:
                self.waiting.remove(search.asker)
                with _ones_own_fault():
                    self._go_on(search, seeker, now)
        for overdue, whose in self.questions.overdue(now):
            self._leave(overdue, whose, now)

    def _leave(self, question: Question, whose: str, now: float) -> None:
        """Those of this asker have waited for too long for a question to be asked."""
        askers = self._asking.pop(question, [])
        others = [pair for pair in askers if pair[1] != whose]
        if others:
            self._asking[question] = others
        for asker, its in askers:
            if its == whose:
                self.waiting.remove(whose)
                with _ones_own_fault():
                    asker.told(NO_ROOM, now)
        for search, seeker in list(self._waiting.get(question, ())):
            if search.asker == whose:
                for other in search.open:
                    left = [pair for pair in self._waiting.pop(other) if pair[0] is not search]
                    if left:
                        self._waiting[other] = left
                self.waiting.remove(whose)
                search.open = set()
                search.has_no_room = True
                with _ones_own_fault():
                    seeker.found(None, now)

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
        if not self._has_room(missing, search.asker, now):
            search.has_no_room = True
            seeker.found(None, now)
            return
        self.waiting.add(search.asker)
        search.open = set(missing)
        for question in missing:
            self._waiting.setdefault(question, []).append((search, seeker))
