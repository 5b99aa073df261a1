"""Messages of strangers as a table: what came lately, who asks, and whether one more may pass."""

from __future__ import annotations

import pytest

from sipcore.perimeter import StrangerMessages
from sipcore.perimeter.limits import (
    MESSAGES_OF_NETWORK,
    MESSAGES_PER_LINE,
    MESSAGES_PER_NETWORK,
    MESSAGES_S,
    NEW_MESSAGES_IN_ALL,
    NEW_MESSAGES_PER_LINE,
)
from sipcore.perimeter.talked import Talked

LINE, OTHER = 7, 8
A, FRIEND = "192.0.2.0/24", "198.51.100.0/24"


def networks(count: int) -> list[str]:
    return [f"10.{n // 250}.{n % 250}.0/24" for n in range(count)]


def with_messages(pairs: list[tuple[int, str]]) -> StrangerMessages:
    talked = Talked()
    for line_id, network in [*pairs, (LINE, FRIEND)]:
        talked.add(line_id, network)
    messages = StrangerMessages(talked)
    for line_id, network in pairs:
        assert messages.admits(line_id, network, 0.0)
    return messages


@pytest.mark.parametrize(
    ("held", "line_id", "network", "admitted"),
    [
        ([], LINE, A, True),
        ([(LINE, n) for n in networks(NEW_MESSAGES_PER_LINE - 1)], LINE, A, True),
        ([(LINE, n) for n in networks(NEW_MESSAGES_PER_LINE)], LINE, A, False),
        ([(LINE, n) for n in networks(NEW_MESSAGES_PER_LINE)], OTHER, A, True),
        ([(LINE, n) for n in networks(NEW_MESSAGES_PER_LINE)], LINE, FRIEND, True),
        ([(LINE, n) for n in networks(MESSAGES_PER_LINE)], LINE, FRIEND, False),
        ([(LINE, FRIEND)] * MESSAGES_PER_NETWORK, LINE, FRIEND, False),
        ([(LINE, FRIEND)] * MESSAGES_PER_NETWORK, OTHER, FRIEND, True),
        ([(n, A) for n in range(10, 10 + MESSAGES_OF_NETWORK)], LINE, A, False),
    ],
)
def test_whether_one_more_message_may_pass(
    held: list[tuple[int, str]], line_id: int, network: str, admitted: bool
) -> None:
    assert with_messages(held).admits(line_id, network, 1.0) is admitted


def test_of_all_that_a_worker_takes_a_half_is_for_networks_that_have_talked() -> None:
    many = [(10 + n % 500, network) for n, network in enumerate(networks(NEW_MESSAGES_IN_ALL))]
    messages = with_messages([*many, (LINE, A)])
    assert not messages.admits(OTHER, A, 1.0)
    assert messages.admits(LINE, FRIEND, 1.0)


def test_what_came_long_ago_is_forgotten() -> None:
    messages = with_messages([(LINE, n) for n in networks(NEW_MESSAGES_PER_LINE)])
    assert not messages.admits(LINE, A, MESSAGES_S - 0.1)
    assert messages.admits(LINE, A, MESSAGES_S)
    assert len(messages) == 1
