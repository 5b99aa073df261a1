"""Session timers (RFC 4028) through the whole service: what a proxy asks for, adds and counts."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.proxy import SessionPolicy
from tests.sipcore.simulation.phone import Outgoing, Phone
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.test_crashes import kill_all
from tests.sipcore.simulation.test_rules import sent
from tests.sipcore.simulation.test_vanished import PROBE_S, ends, make_world, other_node, probes
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = [
    pytest.mark.rfc("PRX-47"),
    pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"]),
]

POLICY = SessionPolicy(min_s=120, ask_for_s=1800)
GRACE_S = 32


def phones(size: Size, policy: SessionPolicy = POLICY) -> tuple[World, Phone, Phone]:
    world = make_world(size, sessions=policy)
    return world, registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")


def invited(anna: Phone, **headers: str) -> Outgoing:
    """An INVITE to Bob with these headers (Session_Expires, Min_SE, Supported)."""
    request = anna.build("INVITE", f"sip:bob@{DOMAIN}", body=b"v=0\r\n")
    for name, value in headers.items():
        request.append(name.replace("_", "-"), value)
    return sent(anna, request)


def refresh(phone: Phone, outgoing: Outgoing, method: str = "UPDATE", **headers: str) -> Outgoing:
    """A session refresh inside the call."""
    [dialog] = outgoing.dialogs.values()
    request = phone.in_dialog(dialog, method)
    for name, value in headers.items():
        request.append(name.replace("_", "-"), value)
    outgoing = phone.start(request, other_node(phone.world).address)
    phone.world.run(1)
    return outgoing


def last(phone: Phone, method: str = "INVITE") -> Request:
    return [r for r in phone.received if r.method == method][-1]


# --- requests (§8.1) ---------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_too_short_an_interval_is_refused_where_the_caller_can_try_again(
    size: Size, method: str
) -> None:
    world, anna, bob = phones(size)
    if method == "INVITE":
        outgoing = invited(anna, Supported="100rel, timer", Session_Expires="119")
        assert not [r for r in bob.received if r.method == "INVITE"]
        assert not world.records_of(Kind.CALL_BEGIN)  # as if it had not been sent
    else:
        call = invited(anna, Supported="timer", Session_Expires="600")
        outgoing = refresh(anna, call, Supported="timer", Session_Expires="119")
        assert not [r for r in bob.received if r.method == "UPDATE"]
    assert outgoing.status == 422
    assert outgoing.finals[0].first("min-se") == "120"


def test_a_bye_is_no_refresh_whatever_it_says(size: Size) -> None:
    world, anna, bob = phones(size)
    call = invited(anna, Supported="timer", Session_Expires="600")
    [dialog] = call.dialogs.values()
    bye = anna.in_dialog(dialog, "BYE")
    bye.append("Supported", "timer")
    bye.append("Session-Expires", "60")
    assert sent(anna, bye).status == 200
    assert last(bob, "BYE").first("session-expires") == "60"
    world.check_calls()


@pytest.mark.parametrize(
    ("sent_with", "session_expires", "min_se"),
    [
        # Who knows the timer decides alone, above our minimum.
        ({"Supported": "timer", "Session_Expires": "120"}, "120", None),
        ({"Supported": "timer", "Session_Expires": "4000;refresher=uac"}, "4000;refresher=uac", None),
        ({"Supported": "timer", "x": "600 ;refresher=uas"}, "600 ;refresher=uas", None),
        ({"Supported": "timer", "Session_Expires": "500", "Min_SE": "400"}, "500", "400"),
        ({"Supported": "timer", "Session_Expires": "130", "Min_SE": "91"}, "130", "91"),
        # A proxy before us raised Min-SE: the interval follows.
        ({"Supported": "timer", "Session_Expires": "300", "Min_SE": "400"}, "400", "400"),
        ({"Session_Expires": "300;a=b", "Min_SE": "400"}, "400;a=b", "400"),
        # Who does not cannot try again: both are raised, neither is ever lowered.
        ({"Session_Expires": "60"}, "120", "120"),
        ({"Session_Expires": "100;x=1", "Min_SE": "95"}, "120;x=1", "120"),
        ({"Session_Expires": "100", "Min_SE": "300"}, "300", "300"),
        ({"Session_Expires": "120"}, "120", None),
        ({"Session_Expires": "90000", "Min_SE": "200"}, "90000", "200"),
        # A timer is asked for where the caller can keep it.
        ({"Supported": "timer"}, "1800", None),
        ({"Supported": "timer", "Min_SE": "3600"}, "3600", "3600"),
        ({"Supported": "100rel"}, None, None),
        ({}, None, None),
        # What nobody can read is nobody's business.
        ({"Session_Expires": "soon"}, "soon", None),
        ({"Supported": "timer", "Session_Expires": "99999999999"}, "99999999999", None),
    ],
)
def test_what_the_callee_is_sent(
    size: Size, sent_with: dict[str, str], session_expires: str | None, min_se: str | None
) -> None:
    _, anna, bob = phones(size)
    assert invited(anna, **sent_with).status == 200
    received = last(bob)
    assert received.first("session-expires") == session_expires
    assert received.first("min-se") == min_se
    assert received.rows("session-expires") == ([session_expires] if session_expires else [])


def test_a_refresh_is_treated_like_the_first_request(size: Size) -> None:
    _, anna, bob = phones(size)
    call = invited(anna)
    refresh(anna, call, Session_Expires="60")
    assert last(bob, "UPDATE").first("session-expires") == "120"
    assert last(bob, "UPDATE").first("min-se") == "120"
    refresh(anna, call, "INVITE", Supported="timer")
    assert last(bob).first("session-expires") == "1800"
    refresh(anna, call, "INFO", Supported="timer")
    assert last(bob, "INFO").first("session-expires") is None


def test_no_timer_is_asked_for_where_the_operator_wants_none(size: Size) -> None:
    _, anna, bob = phones(size, SessionPolicy(ask_for_s=0))
    invited(anna, Supported="timer")
    assert last(bob).first("session-expires") is None


# --- responses (§8.2) --------------------------------------------------------------------------
def test_a_caller_is_told_to_refresh_where_the_callee_knows_no_timer(size: Size) -> None:
    _, anna, bob = phones(size)
    bob.extra = [("Require", "precondition")]
    response = invited(anna, Supported="timer", Session_Expires="600").finals[0]
    assert response.rows("session-expires") == ["600;refresher=uac"]
    assert response.require == ["precondition", "timer"]


def test_a_caller_who_knows_no_timer_is_told_nothing(size: Size) -> None:
    _, anna, _ = phones(size)
    response = invited(anna, Session_Expires="600").finals[0]
    assert response.first("session-expires") is None
    assert response.first("require") is None


def test_the_interval_of_a_response_goes_on_as_it_came(size: Size) -> None:
    _, anna, bob = phones(size)
    bob.extra = [("x", "95 ; refresher=uas;new=1")]
    response = invited(anna, Supported="timer", Session_Expires="600").finals[0]
    assert "x: 95 ; refresher=uas;new=1" in response.lines
    assert response.rows("session-expires") == ["95 ; refresher=uas;new=1"]
    assert response.first("require") is None


# --- expiry (§8.2, §8.3) -----------------------------------------------------------------------
def test_a_session_that_nobody_refreshes_is_over_and_gets_no_bye(size: Size) -> None:
    world, anna, bob = phones(size)
    invited(anna, Supported="timer", Session_Expires="600")
    world.run(600 + GRACE_S - 20)
    assert not ends(world)
    world.run(20)
    assert ends(world) == [("vanished", "system", "session not refreshed")]
    assert not [r for p in (anna, bob) for r in p.received if r.method in ("BYE", "OPTIONS")]
    world.run(100)
    world.check_nothing_left()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_each_refresh_begins_the_interval_anew(size: Size, by: str, method: str) -> None:
    """Also one that passes another node than the one that holds the call."""
    world, anna, bob = phones(size)
    anna.extra = bob.extra = [("Session-Expires", f"600;refresher={by}")]
    call = invited(anna, Supported="timer", Session_Expires="600")
    if by == "callee":
        call.dialogs = dict(enumerate(bob.dialogs.values()))  # type: ignore[arg-type]
    for _ in range(6):
        world.run(300)
        outgoing = refresh(
            anna if by == "caller" else bob, call, method, Supported="timer", Session_Expires="600"
        )
        assert outgoing.status == 200
    assert not ends(world)
    world.run(600 + GRACE_S + 10)  # a 2xx to an INVITE comes several times
    assert ends(world) == [("vanished", "system", "session not refreshed")]


def test_a_timer_turned_off_by_a_response_is_replaced_by_probes(size: Size) -> None:
    world, anna, bob = phones(size)
    bob.extra = [("Session-Expires", "600;refresher=uas")]
    call = invited(anna, Session_Expires="600")
    bob.extra = []
    refresh(anna, call)
    world.run(4 * PROBE_S)
    assert not ends(world)
    assert len(probes(bob)) == 4


def test_a_session_outlives_a_crash_and_lapses_in_its_time(size: Size) -> None:
    world, anna, _ = phones(size)
    call = invited(anna, Supported="timer", Session_Expires="600")
    world.run(500)
    refresh(anna, call, Supported="timer", Session_Expires="600")
    kill_all(world)
    world.run(500)
    assert not ends(world)
    world.run(150)
    assert ends(world) == [("vanished", "system", "session not refreshed")]
    world.run(100)
    world.check_nothing_left()


def test_an_interval_that_is_too_short_in_a_response_does_not_end_the_call_early(
    size: Size,
) -> None:
    world, anna, bob = phones(size)
    bob.extra = [("Session-Expires", "1;refresher=uas")]
    invited(anna, Supported="timer")
    world.run(80)
    assert not ends(world)


def test_a_policy_below_ninety_seconds_is_none(size: Size) -> None:
    with pytest.raises(ValueError, match="90"):
        SessionPolicy(min_s=89)
