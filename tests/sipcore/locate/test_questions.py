"""Questions to the DNS: shares of accounts and domains, and the queue of those that wait."""

from __future__ import annotations

from sipcore.locate import Question
from sipcore.locate.limits import (
    MAX_PER_ASKER,
    MAX_PER_DOMAIN,
    MAX_QUEUED,
    MAX_QUEUED_PER_ASKER,
    QUEUE_WAIT_S,
)
from sipcore.locate.questions import Questions


def make(most: int = 200) -> tuple[Questions, list[Question]]:
    asked: list[Question] = []
    return Questions(asked.append, most), asked


def dead(number: int, domain: str | int = "") -> Question:
    """The name of a host below a domain of its own, or of this one."""
    return (f"h.d{number}.test" if domain == "" else f"h{number}.{domain}.test", "A")


def test_an_account_has_its_share_and_the_rest_waits() -> None:
    questions, asked = make()
    assert all(questions.want(dead(n), "mallory", 0.0) for n in range(50))
    assert asked == [dead(n) for n in range(MAX_PER_ASKER)]
    assert questions.want(("good.test", "A"), "anna", 0.0)
    assert asked[-1] == ("good.test", "A")


def test_many_accounts_leave_room_for_one_more() -> None:
    questions, asked = make()
    for account in range(30):
        for n in range(100):
            questions.want(dead(n, f"of{account}-{n}"), f"mallory {account}", 0.0)
    assert len(questions) < 200
    questions.want(("good.test", "A"), "anna", 0.0)
    assert asked[-1] == ("good.test", "A")


def test_one_domain_leaves_room_for_the_others() -> None:
    questions, asked = make()
    for n in range(50):
        questions.want(dead(n, "slow"), f"caller {n}", 0.0)
    assert len(asked) == MAX_PER_DOMAIN
    questions.want(("good.test", "A"), "caller 49", 0.0)
    assert asked[-1] == ("good.test", "A")


def test_nobody_alone_keeps_others_from_a_domain() -> None:
    questions, asked = make()
    for n in range(50):
        questions.want(dead(n, "shared"), "mallory", 0.0)
    questions.want(("good.shared.test", "A"), "anna", 0.0)
    assert asked[-1] == ("good.shared.test", "A")


def test_the_numbers_of_enum_are_of_many_domains() -> None:
    questions, asked = make()
    names = [f"{n}.6.5.4.3.2.{n}.8.6.4.e164.arpa" for n in range(10)]
    for i, name in enumerate(names):
        questions.want((name, "NAPTR"), f"caller {i}", 0.0)
    assert len(asked) == 10


def test_those_who_wait_have_their_turns_one_after_the_other() -> None:
    questions, asked = make(most=1)
    questions.want(dead(0), "mallory", 0.0)
    for n in range(1, 4):
        questions.want(dead(n), "mallory", 0.0)
    questions.want(("good.test", "A"), "anna", 0.0)
    questions.want(("better.test", "A"), "anna", 0.0)
    for question in asked:
        questions.answered(question)
    order = [dead(0), dead(1), ("good.test", "A"), dead(2), ("better.test", "A"), dead(3)]
    assert asked == order
    questions.answered(asked[-1])
    assert len(questions) == 0


def test_a_question_that_two_wait_for_is_asked_once() -> None:
    questions, asked = make(most=1)
    questions.want(dead(0), "mallory", 0.0)
    for asker in ("anna", "bob", "anna"):
        assert questions.want(dead(1), asker, 0.0)
    questions.answered(dead(0))
    questions.answered(dead(1))
    assert asked == [dead(0), dead(1)]
    assert questions.overdue(100.0) == []


def test_who_waits_for_too_long_hears_so_and_is_not_asked_for() -> None:
    questions, asked = make(most=1)
    questions.want(dead(0), "mallory", 0.0)
    questions.want(dead(1), "mallory", 0.0)
    questions.want(dead(1), "anna", 1.0)
    assert questions.overdue(QUEUE_WAIT_S) == [(dead(1), "mallory")]
    questions.answered(dead(0))
    assert asked == [dead(0), dead(1)]  # for anna


def test_an_account_has_a_share_of_the_queue() -> None:
    questions, _ = make(most=1)
    questions.want(dead(0), "mallory", 0.0)
    taken = [questions.want(dead(n), "mallory", 0.0) for n in range(1, 1000)]
    assert taken == [n < MAX_QUEUED_PER_ASKER for n in range(999)]
    assert questions.want(("good.test", "A"), "anna", 0.0)
    for account in range(MAX_QUEUED):
        for n in range(5):
            questions.want(dead(n, account), f"mallory {account}", 0.0)
    assert not questions.want(("late.test", "A"), "bob", 0.0)
