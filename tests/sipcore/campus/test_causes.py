"""What the final response to an INVITE says about the end of its call."""

from __future__ import annotations

import pytest

from sipcore.campus.causes import cause_of
from sipcore.eventlog import Cause


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (403, Cause.REJECTED),
        (404, Cause.UNREACHABLE),
        (408, Cause.NO_ANSWER),
        (410, Cause.UNREACHABLE),
        (433, Cause.REJECTED),
        (480, Cause.UNREACHABLE),
        (484, Cause.UNREACHABLE),
        (486, Cause.BUSY),
        (487, Cause.CANCELLED),
        (488, Cause.REJECTED),
        (600, Cause.BUSY),
        (603, Cause.REJECTED),
        (604, Cause.UNREACHABLE),
        # All others say that something went wrong.
        (300, Cause.FAILED),
        (302, Cause.FAILED),
        (400, Cause.FAILED),
        (407, Cause.FAILED),
        (422, Cause.FAILED),
        (440, Cause.FAILED),
        (482, Cause.FAILED),
        (500, Cause.FAILED),
        (503, Cause.FAILED),
        (606, Cause.FAILED),
        (699, Cause.FAILED),
    ],
)
def test_the_cause_of_a_final_response(status: int, cause: Cause) -> None:
    assert cause_of(status) is cause


def test_every_final_response_has_a_cause_that_a_response_can_have() -> None:
    ours = {Cause.COMPLETED, Cause.LOST, Cause.TERMINATED, Cause.VANISHED, Cause.TOO_LONG}
    assert ours.isdisjoint(cause_of(status) for status in range(300, 700))
