"""What is counted: each operation does what it is called after, and all of it."""

from __future__ import annotations

import pytest

from tests.load.hot_path import OPERATIONS, USERS, Node, Phones, measure


@pytest.fixture
def phones() -> Phones:
    """All are registered, the worker is at rest."""
    phones = Phones()
    for user in range(1, USERS + 1):
        phones.refresh(user)
    phones.settle()
    phones.heard.clear()
    phones.node.records.clear()
    return phones


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("refresh", ["401", "200"]),
        ("message", ["407", "MESSAGE", "200"]),
        ("call", ["407", "INVITE", "100", "180", "200", "ACK", "BYE", "200"]),
    ],
)
def test_every_operation_is_answered_as_it_should_be(
    phones: Phones, name: str, heard: list[str]
) -> None:
    for user in (1, USERS):
        OPERATIONS[name](phones, user)
        assert phones.heard == heard
        phones.heard.clear()
    phones.settle()
    assert phones.heard == []


def test_call_is_recorded_to_its_end(phones: Phones) -> None:
    written = phones.node.written
    phones.place_call(7)
    kinds = [kind for kind, _ in phones.node.records]
    assert kinds == ["call.begin", "call.ring", "call.answer", "call.end"]
    _, end = phones.node.records[-1]
    assert (end["cause"], end["by"], end["status"]) == ("completed", "caller", 200)
    assert (end["ring_s"], end["duration_s"]) == pytest.approx((0.163, 0.002))
    assert phones.node.written > written


def test_only_calls_are_recorded(phones: Phones) -> None:
    phones.refresh(7)
    phones.message(7)
    assert phones.node.records == []


def test_worker_is_not_at_rest_while_a_transaction_waits(phones: Phones) -> None:
    phones.message(7)
    with pytest.raises(AssertionError):
        phones.node.settle(phones.now)


def test_wrong_answer_is_noticed(phones: Phones) -> None:
    with pytest.raises(AssertionError, match=r"SIP/2\.0 401"):
        phones.refresh(USERS + 1)


@pytest.mark.parametrize("name", OPERATIONS)
def test_second_worker_does_the_same(name: str) -> None:
    assert measure(name, 3) > 0


def test_second_worker_that_does_less_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "play", lambda *_: None)
    with pytest.raises(AssertionError):
        measure("message", 3)
