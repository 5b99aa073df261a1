"""The memory of a worker: answers, dead servers, and who waits for what."""

from __future__ import annotations

from random import Random

import pytest

from sipcore.locate import (
    Answer,
    AnswerCache,
    Candidate,
    DeadServers,
    Destination,
    Locator,
    Naptr,
    Question,
    Srv,
)
from sipcore.locate.answers import NOBODY_KNOWS
from sipcore.locate.limits import (
    MAX_NEGATIVE_TTL_S,
    MAX_RETRY_AFTER_S,
    MAX_TTL_S,
    PROBE_AFTER_S,
    SILENT_S,
)

NAME: Question = ("far.example", "A")
FOUND = Answer(300.0, addresses=["192.0.2.1"])
SERVERS = [Candidate("UDP", f"192.0.2.{i}", 5060, "far.example") for i in range(1, 6)]


class Hearer:
    """A seeker that keeps what it finds."""

    def __init__(self) -> None:
        self.got: list[str | None] = []

    def found(self, server: Candidate | None, now: float) -> None:
        self.got.append(None if server is None else server.address)


def locator(most: int = 100) -> tuple[Locator, list[Question], list[Candidate]]:
    asked: list[Question] = []
    probed: list[Candidate] = []
    speaks = frozenset({("UDP", False), ("TCP", False)})
    made = Locator(speaks, Random(1), asked.append, probed.append, lambda server: True, most)
    return made, asked, probed


# --- answers ----------------------------------------------------------------------------------------
@pytest.mark.rfc("LOC-13")
@pytest.mark.parametrize(
    ("answer", "kept_s"),
    [
        (Answer(30.0, addresses=["192.0.2.1"]), 30),
        (Answer(10.0 * MAX_TTL_S, addresses=["192.0.2.1"]), MAX_TTL_S),
        (Answer(60.0), 60),
        (Answer(86_400.0), MAX_NEGATIVE_TTL_S),
        (Answer(300.0, failed=True), 5),
    ],
)
def test_an_answer_is_kept_for_its_time(answer: Answer, kept_s: float) -> None:
    cache = AnswerCache()
    cache.put(NAME, answer, 100.0)
    assert cache.get(NAME, 100.0 + kept_s - 0.01) is answer
    assert cache.get(NAME, 100.0 + kept_s) is None
    assert len(cache) == 0


def test_an_answer_without_time_is_not_kept() -> None:
    cache = AnswerCache()
    cache.put(NAME, Answer(0.0, addresses=["192.0.2.1"]), 0.0)
    assert len(cache) == 0


def test_the_cache_is_bounded_and_the_oldest_go() -> None:
    cache = AnswerCache(most=3)
    for i in range(10):
        cache.put((f"n{i}", "A"), FOUND, float(i))
    assert len(cache) == 3
    assert cache.get(("n9", "A"), 10.0) is FOUND
    assert cache.get(("n6", "A"), 10.0) is None


def test_the_records_in_the_cache_are_bounded_too() -> None:
    cache = AnswerCache(most_records=1_000)
    large = Answer(300.0, addresses=[f"192.0.2.{i}" for i in range(250)])
    for i in range(100):
        cache.put((f"n{i % 10}", "A"), large, float(i))
        assert len(cache) <= 4
    assert cache.get(("n9", "A"), 100.0) is large
    assert cache.get(("n6", "A"), 1_000.0) is None
    for i in range(900):
        cache.put((f"small{i}", "A"), FOUND, 1_000.0)
    assert len(cache) >= 900


# --- dead servers -----------------------------------------------------------------------------------
def test_a_silent_server_is_out_for_two_minutes() -> None:
    dead = DeadServers()
    dead.silent(SERVERS[0], 0.0)
    assert dead.is_out(SERVERS[0], SILENT_S - 0.1)
    assert not dead.is_out(SERVERS[1], 1.0)
    assert not dead.is_out(SERVERS[0]._replace(port=5070), 1.0)
    assert not dead.is_out(SERVERS[0], SILENT_S)
    assert not dead


def test_a_probe_is_wanted_once() -> None:
    dead = DeadServers()
    dead.silent(SERVERS[0], 0.0)
    assert not dead.wants_probe(SERVERS[0], PROBE_AFTER_S - 1)
    assert dead.wants_probe(SERVERS[0], PROBE_AFTER_S)
    assert not dead.wants_probe(SERVERS[0], PROBE_AFTER_S + 1)
    dead.silent(SERVERS[0], 100.0)  # no answer
    assert dead.is_out(SERVERS[0], 219.0)
    assert dead.wants_probe(SERVERS[0], 170.0)
    dead.answered(SERVERS[0])
    assert not dead.is_out(SERVERS[0], 171.0)


@pytest.mark.rfc("LOC-13")
def test_retry_after_has_an_upper_bound_and_no_probe() -> None:
    dead = DeadServers()
    dead.asked_for_rest(SERVERS[0], 1e9, 0.0)
    assert not dead.wants_probe(SERVERS[0], 3000.0)
    assert not dead.is_silent(SERVERS[0])
    assert dead.is_out(SERVERS[0], MAX_RETRY_AFTER_S - 1)
    assert not dead.is_out(SERVERS[0], MAX_RETRY_AFTER_S)


def test_the_memory_of_the_dead_is_bounded() -> None:
    dead = DeadServers(most=3)
    for server in SERVERS:
        dead.silent(server, 0.0)
    assert len(dead) == 3
    assert not dead.is_out(SERVERS[0], 1.0)
    assert dead.is_out(SERVERS[4], 1.0)


# --- searches -----------------------------------------------------------------------------------------
def test_what_is_known_is_found_at_once() -> None:
    finder, asked, _ = locator()
    finder.cache.put(NAME, FOUND, 0.0)
    hearer = Hearer()
    finder.seek(finder.start(Destination("far.example", 5060)), hearer, 1.0)
    assert hearer.got == ["192.0.2.1"]
    assert asked == []


def test_addresses_that_nothing_may_be_sent_to_are_passed_over() -> None:
    speaks = frozenset({("UDP", False)})
    finder = Locator(
        speaks, Random(1), lambda _: None, lambda _: None, lambda server: server == SERVERS[1]
    )
    finder.cache.put(NAME, Answer(300.0, addresses=[s.address for s in SERVERS[:3]]), 0.0)
    hearer = Hearer()
    search = finder.start(Destination("far.example", 5060))
    for _ in range(2):
        finder.seek(search, hearer, 1.0)
    assert hearer.got == ["192.0.2.2", None]


def test_a_server_that_has_asked_for_rest_is_left_alone_where_it_is_the_only_one() -> None:
    finder, _, _ = locator()
    finder.cache.put(NAME, FOUND, 0.0)
    finder.dead.asked_for_rest(SERVERS[0], 60.0, 0.0)
    hearer = Hearer()
    for now in (59.0, 60.0):
        finder.seek(finder.start(Destination("far.example", 5060)), hearer, now)
    finder.dead.silent(SERVERS[0], 60.0)
    finder.seek(finder.start(Destination("far.example", 5060)), hearer, 61.0)
    assert hearer.got == [None, "192.0.2.1", "192.0.2.1"]  # a silent one is tried after all


def test_a_question_is_asked_once_for_all_and_not_again_after_a_failure() -> None:
    finder, asked, _ = locator()
    hearers = [Hearer() for _ in range(5)]
    for hearer in hearers:
        finder.seek(finder.start(Destination("far.example", 5060)), hearer, 0.0)
    assert asked == [NAME]
    assert len(finder) == 5
    finder.answered(NAME, Answer(5.0, failed=True), 4.0)
    assert [hearer.got for hearer in hearers] == [[None]] * 5
    assert len(finder) == 0
    late = Hearer()
    finder.seek(finder.start(Destination("far.example", 5060)), late, 5.0)
    assert late.got == [None]
    assert asked == [NAME]
    finder.seek(finder.start(Destination("far.example", 5060)), late, 10.0)
    assert asked == [NAME, NAME]


@pytest.mark.parametrize("services", [("SIP+D2U", "SIP+D2U"), ("SIP+D2U", "SIP+D2T")], ids=str)
def test_who_waits_for_one_name_by_two_records_hears_of_it_once(services: tuple[str, ...]) -> None:
    finder, asked, _ = locator()
    hearer = Hearer()
    finder.seek(finder.start(Destination("far.example")), hearer, 0.0)
    records = [Naptr(1, i, "s", s, "", "_s.far.example") for i, s in enumerate(services)]
    finder.answered(("far.example", "NAPTR"), Answer(60.0, naptr=records), 1.0)
    assert asked[1:] == [("_s.far.example", "SRV")]
    servers = [Srv(1, 1, 5060, "192.0.2.1"), Srv(2, 1, 5060, "192.0.2.2")]
    finder.answered(asked[1], Answer(60.0, srv=servers), 2.0)
    assert hearer.got == ["192.0.2.1"]
    assert len(finder) == 0


def test_an_answer_that_may_not_be_kept_serves_those_who_waited() -> None:
    finder, asked, _ = locator()
    hearer = Hearer()
    search = finder.start(Destination("far.example", 5060))
    finder.seek(search, hearer, 0.0)
    finder.answered(NAME, Answer(0.0, addresses=["192.0.2.1", "192.0.2.2"]), 1.0)
    finder.seek(search, hearer, 40.0)
    finder.seek(search, hearer, 41.0)
    assert hearer.got == ["192.0.2.1", "192.0.2.2", None]
    assert asked == [NAME]


def test_the_number_of_those_who_wait_is_bounded() -> None:
    finder, asked, _ = locator(most=3)
    hearers = [Hearer() for _ in range(5)]
    searches = [finder.start(Destination(f"n{i}.example", 5060), f"{i}") for i in range(5)]
    for search, hearer in zip(searches, hearers, strict=True):
        finder.seek(search, hearer, 0.0)
    assert [hearer.got for hearer in hearers] == [[], [], [], [None], [None]]
    assert [search.has_no_room for search in searches] == [False] * 3 + [True] * 2
    for question in list(asked):
        finder.answered(question, FOUND, 1.0)
    assert len(finder) == 0
    assert [hearer.got for hearer in hearers[:3]] == [["192.0.2.1"]] * 3


def test_whose_questions_wait_for_too_long_hears_that_there_is_no_room() -> None:
    class Told:
        answer: Answer | None = None

        def told(self, answer: Answer, now: float) -> None:
            self.answer = answer

    finder, asked, _ = locator(most=1_000)
    names = [f"n{i}.d{i}.example" for i in range(20)]
    hearers, searches = [], []
    for name in names:
        searches.append(finder.start(Destination(name, 5060), "mallory"))
        hearers.append(Hearer())
        finder.seek(searches[-1], hearers[-1], 0.0)
    told, anna = Told(), Told()
    finder.ask((names[-1], "A"), told, "mallory", 0.0)
    assert len(asked) == 8
    late = finder.start(Destination(names[-1], 5060), "anna")
    hearer = Hearer()
    finder.seek(late, hearer, 3.9)  # of a share that has room
    assert asked[-1] == (names[-1], "A")
    finder.ask((names[-2], "A"), anna, "anna", 3.9)
    finder.answered((names[-1], "A"), FOUND, 3.9)
    assert (hearer.got, told.answer) == (["192.0.2.1"], FOUND)
    finder.answered((names[0], "A"), NOBODY_KNOWS, 4.0)
    assert [s.has_no_room for s in searches] == [False] * 9 + [True] * 9 + [False] * 2
    assert [hearer.got for hearer in hearers[9:]] == [[None]] * 9 + [[], ["192.0.2.1"]]
    for question in list(asked):
        finder.answered(question, NOBODY_KNOWS, 5.0)
    assert (len(finder), len(finder.questions)) == (0, 0)


def test_the_dead_are_passed_over_and_probed_but_not_left_alone_for_good() -> None:
    finder, _, probed = locator()
    finder.cache.put(NAME, Answer(900.0, addresses=[s.address for s in SERVERS[:3]]), 0.0)
    finder.dead.silent(SERVERS[0], 0.0)
    hearer = Hearer()
    finder.seek(finder.start(Destination("far.example", 5060)), hearer, 1.0)
    assert hearer.got == ["192.0.2.2"]
    assert probed == []
    finder.seek(finder.start(Destination("far.example", 5060)), hearer, PROBE_AFTER_S)
    finder.seek(finder.start(Destination("far.example", 5060)), hearer, PROBE_AFTER_S)
    assert probed == SERVERS[:1]
    for server in SERVERS[:3]:
        finder.dead.silent(server, 100.0)
    last = Hearer()
    search = finder.start(Destination("far.example", 5060))
    finder.seek(search, last, 101.0)
    finder.seek(search, last, 102.0)
    assert last.got == ["192.0.2.1", None]


def test_one_who_fails_at_an_answer_keeps_it_from_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing:
        def found(self, server: Candidate | None, now: float) -> None:
            raise RuntimeError("a fault of one of them")

        def told(self, answer: Answer, now: float) -> None:
            raise RuntimeError("a fault of one of them")

    class Told:
        answers: list[Answer]

        def __init__(self) -> None:
            self.answers = []

        def told(self, answer: Answer, now: float) -> None:
            self.answers.append(answer)

    finder, _, _ = locator()
    hearers, askers = [Hearer(), Hearer()], [Told(), Told()]
    for seeker in (hearers[0], Failing(), hearers[1]):
        finder.seek(finder.start(Destination("far.example", 5060)), seeker, 0.0)
    for asker in (askers[0], Failing(), askers[1]):
        finder.ask(NAME, asker, "anna", 0.0)
    finder.answered(NAME, FOUND, 1.0)
    assert [hearer.got for hearer in hearers] == [["192.0.2.1"]] * 2
    assert [asker.answers for asker in askers] == [[FOUND]] * 2
    assert len(finder) == 0
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
