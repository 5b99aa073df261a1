"""Session timers from the middle (RFC 4028 §8): what is asked for, refused, raised and agreed on."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.proxy import SessionPolicy, SessionRequest, ask_for_timer, session_interval, too_short
from tests.sipcore.examples import a_request, a_response, in_words

TIMER: Final = "Supported: timer"
POLICY: Final = SessionPolicy(min_s=120, ask_for_s=1800)
SILENT: Final = SessionPolicy(min_s=120, ask_for_s=0)


@pytest.mark.parametrize(("min_s", "allowed"), [(89, False), (90, True), (1800, True)])
def test_no_policy_wants_less_than_the_rfc_allows(min_s: int, allowed: bool) -> None:
    if allowed:
        assert SessionPolicy(min_s=min_s).min_s == min_s
    else:
        with pytest.raises(ValueError, match="90 or more"):
            SessionPolicy(min_s=min_s)


@pytest.mark.section("4028 8.1")
@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        ([TIMER], False),
        ([TIMER, "Session-Expires: 119"], True),
        ([TIMER, "Session-Expires: 120"], False),
        ([TIMER, "Session-Expires: 0"], True),
        ([TIMER, "Session-Expires: 90;refresher=uac"], True),
        ([TIMER, "x: 90"], True),
        (["k: replaces, TIMER", "Session-Expires: 90"], True),
        ([TIMER, "Session-Expires: soon"], False),  # nobody can read it
        ([TIMER, "Session-Expires: -1"], False),
        ([TIMER, "Session-Expires:"], False),
        # Who does not know the timer could not try again.
        (["Session-Expires: 90"], False),
        (["Supported: 100rel", "Session-Expires: 90"], False),
        # Min-SE does not help.
        ([TIMER, "Session-Expires: 90", "Min-SE: 1800"], True),
    ],
    ids=in_words,
)
def test_an_interval_that_is_too_short(rows: list[str], refused: bool) -> None:
    assert too_short(a_request(*rows), POLICY) is refused


@pytest.mark.section("4028 8.1")
@pytest.mark.parametrize(
    ("policy", "rows", "asked", "expires", "min_se"),
    [
        # Nothing asked for, and the caller knows no timer.
        (POLICY, [], None, [], []),
        (POLICY, ["Supported: 100rel"], None, [], []),
        # Asked for by us where the caller can refresh.
        (POLICY, [TIMER], (1800, True), ["1800"], []),
        (POLICY, [TIMER, "Min-SE: 3600"], (3600, True), ["3600"], ["3600"]),
        (POLICY, [TIMER, "Min-SE: 100"], (1800, True), ["1800"], ["100"]),
        (SILENT, [TIMER], None, [], []),
        # Asked for by the caller: it goes on as it came.
        (POLICY, [TIMER, "Session-Expires: 600"], (600, True), ["600"], []),
        (SILENT, [TIMER, "Session-Expires: 600"], (600, True), ["600"], []),
        (
            POLICY,
            [TIMER, "Session-Expires: 600;refresher=uas;x"],
            (600, True),
            ["600;refresher=uas;x"],
            [],
        ),
        (POLICY, [TIMER, "Session-Expires: soon"], None, ["soon"], []),
        # Raised to what an earlier proxy wants at least (§8.1), never lower than the RFC's 90.
        (
            POLICY,
            [TIMER, "Session-Expires: 600;refresher=uac", "Min-SE: 900"],
            (900, True),
            ["900;refresher=uac"],
            ["900"],
        ),
        (POLICY, [TIMER, "Session-Expires: 600", "Min-SE: 600"], (600, True), ["600"], ["600"]),
        (POLICY, [TIMER, "Session-Expires: 60"], (90, True), ["90"], []),
        (POLICY, [TIMER, "Session-Expires: 100"], (100, True), ["100"], []),  # `too_short` said so
        (POLICY, [TIMER, "Session-Expires: 600", "Min-SE: soon"], (600, True), ["600"], ["soon"]),
        # Who knows no timer cannot be refused: the interval is raised instead, and Min-SE with it.
        (POLICY, ["Session-Expires: 600"], (600, False), ["600"], []),
        (POLICY, ["Session-Expires: 119"], (120, False), ["120"], ["120"]),
        (POLICY, ["Session-Expires: 120"], (120, False), ["120"], []),
        (SessionPolicy(), ["Session-Expires: 60"], (90, False), ["90"], ["90"]),
        (POLICY, ["Session-Expires: 60", "Min-SE: 100"], (120, False), ["120"], ["120"]),
        (POLICY, ["Session-Expires: 60", "Min-SE: 120"], (120, False), ["120"], ["120"]),
        (POLICY, ["Session-Expires: 60", "Min-SE: 300"], (300, False), ["300"], ["300"]),
        (POLICY, ["Supported: 100rel", "Session-Expires: 60;x"], (120, False), ["120;x"], ["120"]),
    ],
    ids=in_words,
)
def test_what_is_asked_for(
    policy: SessionPolicy,
    rows: list[str],
    asked: tuple[int, bool] | None,
    expires: list[str],
    min_se: list[str],
) -> None:
    request = a_request(*rows)
    found = ask_for_timer(request, policy)
    assert (found and (found.interval_s, found.uac_refreshes)) == asked
    assert request.rows("session-expires") == expires
    assert request.rows("min-se") == min_se


CAN: Final = SessionRequest(600, True)
CANNOT: Final = SessionRequest(600, False)
ADDED: Final = "600;refresher=uac"


@pytest.mark.section("4028 8.2")
@pytest.mark.parametrize(
    ("asked", "rows", "interval_s", "expires", "require"),
    [
        # What the called side says goes on as it came.
        (CAN, ["Session-Expires: 300;refresher=uas"], 300, ["300;refresher=uas"], []),
        (CANNOT, ["Session-Expires: 300;refresher=uas"], 300, ["300;refresher=uas"], []),
        (None, ["Session-Expires: 300"], 300, ["300"], []),
        (CAN, ["Session-Expires: 89"], 90, ["89"], []),  # nothing shorter is believed
        (CAN, ["Session-Expires: 0"], 90, ["0"], []),
        (CAN, ["Session-Expires: soon"], 0, ["soon"], []),
        # It knows no timer: the caller refreshes, where it can.
        (CAN, [], 600, [ADDED], ["timer"]),
        (CAN, ["Require: timer"], 600, [ADDED], ["timer"]),
        (CAN, ["Require: 100rel"], 600, [ADDED], ["100rel", "timer"]),
        (CANNOT, [], 0, [], []),
        (None, [], 0, [], []),
    ],
    ids=in_words,
)
def test_the_interval_that_a_2xx_sets(
    asked: SessionRequest | None,
    rows: list[str],
    interval_s: int,
    expires: list[str],
    require: list[str],
) -> None:
    response = a_response(200, *rows)
    assert session_interval(response, asked) == interval_s
    assert response.rows("session-expires") == expires
    assert response.require == require
