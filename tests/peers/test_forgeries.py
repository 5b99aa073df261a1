"""A To tag, a Route or a Record-Route of somebody's own making opens nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.calls import Phones, expect_record, pair, talk
from tests.support.campus import Campus
from tests.support.ua import Agent, Dialog
from tests.support.wire import uri_of

pytestmark = pytest.mark.peers

METHODS = ("INVITE", "BYE", "MESSAGE", "UPDATE", "INFO", "NOTIFY", "REFER")


@pytest.fixture
def stranger(campus: Campus) -> Iterator[Agent]:
    with Agent(("127.0.0.1", campus.sip_port), "mallory", domain="elsewhere.example") as agent:
        yield agent


def route_of(campus: Campus, token: str = "") -> str:
    suffix = f";ct={token}" if token else ""
    return f"<sip:127.0.0.1:{campus.sip_port};lr{suffix}>"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", ["none", "bare", "made up"])
def test_to_tag_alone_opens_nothing(
    campus: Campus, phone: Phones, stranger: Agent, method: str, route: str
) -> None:
    victim = phone().registered()
    routes = {"none": [], "bare": [route_of(campus)], "made up": [route_of(campus, "A" * 60)]}
    for uri in (campus.uri(victim.user), victim.contact):
        request = stranger.request(
            method,
            uri,
            to=f"<{uri}>;tag=invented",
            headers=[("Route", value) for value in routes[route]],
        )
        stranger.send(request)
        assert stranger.final(request).status == 481
    victim.quiet(0.05)


def test_forged_ack_goes_nowhere(campus: Campus, phone: Phones, stranger: Agent) -> None:
    victim = phone().registered()
    for headers in ([], [("Route", route_of(campus))], [("Route", route_of(campus, "A" * 60))]):
        ack = stranger.request(
            "ACK", victim.contact, to=f"<{victim.contact}>;tag=x", headers=headers
        )
        stranger.send(ack)
    victim.quiet(0.2)
    stranger.quiet(0.05)


def test_route_through_us_to_somewhere_else_is_refused(
    campus: Campus, phone: Phones, stranger: Agent
) -> None:
    victim, insider = phone().registered(), phone().registered()
    onward = ("Route", f"<{victim.contact};lr>")
    for agent in (stranger, insider):
        for method in ("INVITE", "MESSAGE"):
            request = agent.request(
                method,
                campus.uri("echo"),
                headers=[("Route", route_of(campus)), onward],
            )
            assert agent.transact(request).status == 403
    victim.quiet(0.2)


def test_token_of_one_call_serves_no_other(campus: Campus, phone: Phones, stranger: Agent) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, at_caller, _ = talk(campus, caller, callee)
    victim = phone().registered()
    token = re.search(r"ct=([\w-]+)", at_caller.routes[0])
    assert token is not None
    for target in (victim.contact, callee.contact):
        request = stranger.request(
            "BYE",
            target,
            to=f"<{target}>;tag=x",
            headers=[("Route", route_of(campus, token[1]))],
        )
        stranger.send(request)
        assert stranger.final(request).status == 481
    victim.quiet(0.1)
    callee.quiet(0.1)
    hang_up(at_caller, callee)
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by="caller")


def test_changed_token_is_no_token(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    _, at_caller, _ = talk(campus, caller, callee)
    good = list(at_caller.routes)
    at_caller.routes = [re.sub(r"ct=(..)", lambda m: "ct=" + m[1][::-1] + "A", r) for r in good]
    bye = at_caller.send("BYE")
    assert caller.final(bye).status == 481
    callee.quiet(0.1)
    at_caller.routes = good
    hang_up(at_caller, callee)


def test_token_without_the_right_tags_ends_no_call(campus: Campus, phone: Phones) -> None:
    """Who has seen a call's Route but is no side of it cannot end its record."""
    caller, callee, *_ = pair(campus, phone)
    calling, at_caller, _ = talk(campus, caller, callee)
    forged = caller.request(
        "BYE",
        at_caller.target,
        call_id=calling.call_id,
        to=f"<{at_caller.target}>;tag=wrong",
        headers=[("Route", route) for route in at_caller.routes],
    )
    caller.send(forged)
    received = [m for m in callee.drain(0.3) if m.method == "BYE"]
    for request in received:
        callee.respond(request, 481)
    assert caller.final(forged).status == 481
    assert not any(
        r["k"] == "call.end" and r["t"] and r["c"] == context_of(campus, calling.call_id)
        for r in campus.records()
    )
    hang_up(at_caller, callee)
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by="caller")


def test_record_route_of_the_callers_own_does_not_hide_ours(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling = caller.invite(
        campus.uri(callee.user), headers=[("Record-Route", "<sip:192.0.2.1;lr>")]
    )
    called = callee.ringing()
    routes = called.request.values("Record-Route")
    assert "ct=" in uri_of(routes[0])
    called.refuse(486)
    calling.failed(486)


def context_of(campus: Campus, call_id: str) -> str:
    return next(str(r["c"]) for r in campus.records() if r.get("call_id") == call_id)


def hang_up(dialog: Dialog, other: Agent) -> None:
    bye = dialog.send("BYE")
    other.accept("BYE")
    assert dialog.agent.final(bye).status == 200


# --- a stranger in a call holds a good token --------------------------------------------------
@pytest.mark.parametrize("tag", ["own", "callee's"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE", "ACK"])
def test_stranger_in_a_call_reaches_nobody_but_its_other_side(
    campus: Campus, phone: Phones, stranger: Agent, method: str, tag: str
) -> None:
    """The token of a call with one of ours must not make us a relay to anywhere."""
    victim, callee = phone().registered(), phone().registered()
    calling = stranger.invite(campus.uri(callee.user))
    called = callee.ringing()
    called.ring()
    ringing = calling.expect(180)
    sides = [calling.request.get("From"), ringing.get("To")]
    if tag == "callee's":
        sides.reverse()
    for onward in ([], [f"<{victim.contact};lr>"]):
        request = stranger.request(
            method,
            victim.contact,
            call_id=calling.call_id,
            cseq=7,
            from_value=sides[0],
            to=sides[1],
            headers=[("Route", v) for v in [*ringing.values("Record-Route"), *onward]],
        )
        stranger.send(request)
    victim.quiet(0.3)


def test_callee_elsewhere_reaches_nobody_but_its_other_side(campus: Campus, phone: Phones) -> None:
    victim, caller = phone().registered(), phone().registered()
    with Agent(caller.server, "mallory", domain="elsewhere.example") as mallory:
        calling = caller.invite(mallory.contact)
        called = mallory.ringing()
        called.ring()
        calling.expect(180)
        for onward in ([], [f"<{victim.contact};lr>"]):
            request = mallory.request(
                "MESSAGE",
                victim.contact,
                call_id=calling.call_id,
                from_value=f"{called.request.get('To')};tag={called.tag}",
                to=called.request.get("From"),
                headers=[("Route", v) for v in [*called.request.values("Record-Route"), *onward]],
            )
            mallory.send(request)
        victim.quiet(0.3)


def test_stranger_who_calls_from_behind_a_proxy_can_still_be_hung_up_on(
    campus: Campus, phone: Phones, stranger: Agent
) -> None:
    """What keeps a stranger on its flow leads back to the proxy it came through."""
    callee = phone().registered()
    calling = stranger.invite(
        campus.uri(callee.user),
        headers=[
            ("Via", "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKbehind"),
            ("Record-Route", f"<sip:127.0.0.1:{stranger.address[1]};lr>"),
        ],
    )
    called = callee.ringing()
    at_callee = called.answer()
    dialog = calling.dialog_of(calling.expect(200))
    dialog.routes = dialog.routes[1:]  # the proxy takes its own off
    dialog.ack(calling.request)
    callee.expect("ACK")
    bye = at_callee.send("BYE")
    stranger.accept("BYE")
    assert callee.final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by="callee")
