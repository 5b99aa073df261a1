"""What RFC 3261 §17 and its updates ask of transactions, seen from both sides of the proxy."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sipcore.message import Request, Response
from tests.sipcore.conformance.peer import Peer, come_to_rest, new_world, peer_of
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB = f"sip:bob@{DOMAIN}"
T1, T2, T4, TIMEOUT = 0.5, 4.0, 5.0, 32.0
LATE = 0.1
"""What the simulated network, and the bus to the worker that owns a transaction, may add."""


def pair(size: Size, **kw: str) -> tuple[World, Peer, Peer]:
    """A world, a stranger, and bob's phone that does nothing by itself."""
    world = new_world(size)
    bob = peer_of(world, "bob", "10.1.0.2", headers=list(kw.items()))
    return world, Peer(world, ("192.0.2.66", 5060)), bob


def started(world: World, caller: Peer, bob: Peer, method: str) -> tuple[Request, Request]:
    """A request that has reached bob: as it was sent, as it arrived."""
    request = caller.build(method, BOB)
    caller.send(request)
    world.run(0.1)
    return request, bob.requests(method)[-1]


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def finals(peer: Peer) -> list[int]:
    return [status for status in peer.statuses if status >= 200]


def ack_of(request: Request, response: Response) -> Request:
    """The ACK of the same hop."""
    rows = [
        ("Via", request.first("via") or ""),
        ("Max-Forwards", "70"),
        ("From", request.first("from") or ""),
        ("To", response.first("to") or ""),
        ("Call-ID", request.call_id),
        ("CSeq", f"{request.cseq_number} ACK"),
    ]
    return Request.build("ACK", request.uri_text, rows)


def cancel_of(request: Request) -> Request:
    rows = [
        (name, request.first(name.lower()) or "")
        for name in ("Via", "Max-Forwards", "From", "To", "Call-ID")
    ]
    return Request.build("CANCEL", request.uri_text, [*rows, ("CSeq", "1 CANCEL")])


# --- §17.1.1: INVITE client -----------------------------------------------------------------
@pytest.mark.rfc("TXN-01", "TXN-02", "TXN-21")
def test_an_invite_nobody_answers_is_repeated_ever_more_slowly(size: Size) -> None:
    """Also when the caller has had their 408: a phone that rings late must be found."""
    world, caller, bob = pair(size)
    started(world, caller, bob, "INVITE")
    world.run(TIMEOUT - 0.3)
    assert gaps(bob.times("INVITE")) == pytest.approx([T1, 1, 2, 4, 8, 16], abs=LATE)
    assert set(finals(caller)) == {408}
    world.run(1.5)
    assert len(bob.times("INVITE")) == 7
    come_to_rest(world)


@pytest.mark.rfc("TXN-03")
def test_a_provisional_response_ends_the_repeating_and_each_is_passed_up(size: Size) -> None:
    world, caller, bob = pair(size)
    _, invite = started(world, caller, bob, "INVITE")
    for status in (180, 183, 180):
        bob.answer(invite, status)
        world.run(5)
    assert len(bob.times("INVITE")) == 1
    assert [status for status in caller.statuses if status > 100] == [180, 183, 180]


@pytest.mark.rfc("TXN-04")
@pytest.mark.parametrize("status", [302, 486, 603])
def test_a_refusal_is_acknowledged_by_the_transaction_each_time_it_comes(
    size: Size, status: int
) -> None:
    world, caller, bob = pair(size, Path="<sip:10.1.0.2:5070;lr>", Supported="path")
    _, invite = started(world, caller, bob, "INVITE")
    refusal = bob.answer(invite, status, tag="theirs")
    world.run(0.1)
    [ack] = bob.requests("ACK")
    for name in ("via", "from", "call-id", "route"):
        expected = invite.rows(name)[:1] if name == "via" else invite.rows(name)
        assert ack.rows(name) == expected != []
    assert ack.uri_text == invite.uri_text
    assert ack.rows("to") == refusal.rows("to")
    assert ack.rows("cseq") == ["1 ACK"]
    for _ in range(3):
        world.run(8)
        bob.send(refusal, bob.arrived[-1][2])
    world.run(1)
    assert len(bob.times("ACK")) == 4
    assert len(set(finals(caller))) == 1  # retransmitted to the caller, told once
    world.run(TIMEOUT)  # timer D
    bob.send(refusal, bob.arrived[-1][2])
    world.run(1)
    assert len(bob.times("ACK")) == 4


@pytest.mark.rfc("TXN-05")
def test_every_2xx_is_passed_up_for_64_t1_after_the_first(size: Size) -> None:
    world, caller, bob = pair(size)
    _, invite = started(world, caller, bob, "INVITE")
    for tag in ("one", "one", "two"):
        bob.answer(invite, 200, tag=tag)
        world.run(9)
    assert [r.to_tag for r in caller.responses if r.status == 200] == ["one", "one", "two"]
    world.run(TIMEOUT - 18)  # timer M has run out
    bob.answer(invite, 200, tag="three")
    world.run(1)
    assert "three" not in [r.to_tag for r in caller.responses]


# --- §17.1.2: non-INVITE client --------------------------------------------------------------
@pytest.mark.rfc("TXN-06", "TXN-16")
def test_a_message_nobody_answers_is_repeated_up_to_t2_and_never_gets_408(size: Size) -> None:
    world, caller, bob = pair(size)
    _, message = started(world, caller, bob, "MESSAGE")
    world.run(100)
    assert gaps(bob.times("MESSAGE")) == pytest.approx([T1, 1, 2, *[T2] * 7], abs=LATE)
    assert finals(caller) == []  # RFC 4320 §4.2
    bob.answer(message, 200)
    world.run(1)
    assert finals(caller) == []  # too late for a transaction that is gone
    come_to_rest(world)


@pytest.mark.rfc("TXN-06")
def test_a_message_being_dealt_with_is_repeated_every_t2(size: Size) -> None:
    world, caller, bob = pair(size)
    _, message = started(world, caller, bob, "MESSAGE")
    bob.answer(message, 100)
    world.run(13)
    assert gaps(bob.times("MESSAGE")) == pytest.approx([T1, T2, T2, T2], abs=LATE)
    bob.answer(message, 200)
    world.run(1)
    for _ in range(3):  # timer K: repeated answers are absorbed
        bob.answer(message, 200)
        world.run(1)
    assert finals(caller) == [200]


# --- §17.2.1: INVITE server -----------------------------------------------------------------
@pytest.mark.rfc("TXN-07")
def test_a_repeated_invite_gets_the_last_response_again(size: Size) -> None:
    world, caller, bob = pair(size)
    invite, arrived = started(world, caller, bob, "INVITE")
    world.run(0.2)
    assert caller.statuses == [100]
    assert caller.arrived[0][0] - bob.times("INVITE")[0] < 0.2 + LATE
    caller.send(invite)
    world.run(0.1)
    bob.answer(arrived, 180)
    world.run(0.1)
    caller.send(invite)
    world.run(0.1)
    assert caller.statuses == [100, 100, 180, 180]
    assert len(bob.requests("INVITE")) == 1


@pytest.mark.rfc("TXN-08")
def test_a_refusal_is_repeated_until_the_ack(size: Size) -> None:
    world, caller, bob = pair(size)
    invite, arrived = started(world, caller, bob, "INVITE")
    bob.answer(arrived, 486)
    world.run(12.5)
    times = [t for t, m, _ in caller.arrived if isinstance(m, Response) and m.status == 486]
    assert gaps(times) == pytest.approx([T1, 1, 2, T2, T2], abs=LATE)
    caller.send(ack_of(invite, caller.responses[-1]))
    world.run(0.1)
    count = len(caller.arrived)
    caller.send(invite)  # timer I: late copies find a transaction that is over, and no answer
    world.run(T4 - 1)
    assert len(caller.arrived) == count
    assert len(bob.requests("INVITE")) == 1
    come_to_rest(world)


@pytest.mark.rfc("TXN-08")
def test_a_refusal_nobody_acknowledges_is_repeated_for_64_t1(size: Size) -> None:
    world, caller, bob = pair(size)
    _, arrived = started(world, caller, bob, "INVITE")
    bob.answer(arrived, 486)
    world.run(100)
    times = [t for t, m, _ in caller.arrived if isinstance(m, Response) and m.status == 486]
    assert times[-1] - times[0] == pytest.approx(TIMEOUT - 0.5, abs=0.6)
    come_to_rest(world)


@pytest.mark.rfc("TXN-09", "TXN-22")
def test_after_a_2xx_invites_are_absorbed_and_it_is_not_repeated_by_us(size: Size) -> None:
    world, caller, bob = pair(size)
    invite, arrived = started(world, caller, bob, "INVITE")
    bob.answer(arrived, 200)
    for wait in (5, 26):  # timer L runs from the 2xx
        world.run(wait)
        caller.send(invite)
    world.run(0.5)
    assert finals(caller) == [200]
    assert len(bob.requests("INVITE")) == 1
    ok = caller.responses[-1]
    ack = caller.build(
        "ACK",
        ok.contacts[0].uri_text,
        ("To", ok.first("to") or ""),
        ("From", ok.first("from") or ""),
        ("Call-ID", invite.call_id),
        ("CSeq", "1 ACK"),
        *[("Route", value) for value in reversed(ok.rows("record-route"))],
    )
    for _ in range(2):
        caller.send(ack)
        world.run(0.1)
    assert len(bob.times("ACK")) == 2  # each as it comes, without a transaction
    assert bob.requests("ACK")[0].branch != arrived.branch


# --- §17.2.2: non-INVITE server ---------------------------------------------------------------
@pytest.mark.rfc("TXN-11", "TXN-20")
def test_a_repeated_message_gets_the_same_answer_again_for_64_t1(size: Size) -> None:
    world, caller, bob = pair(size)
    message, arrived = started(world, caller, bob, "MESSAGE")
    caller.send(message)
    world.run(0.1)
    assert caller.statuses == []  # trying: dropped
    bob.answer(arrived, 404, tag="same")
    world.run(0.1)
    for _ in range(2):
        caller.send(message)
        world.run(10)
    assert caller.statuses == [404] * 3
    assert {r.to_tag for r in caller.responses} == {"same"}
    assert len(bob.requests("MESSAGE")) == 1
    world.run(TIMEOUT - 10)  # timer J
    caller.send(message)
    world.run(0.1)
    assert len(bob.requests("MESSAGE")) == 2


@pytest.mark.rfc("TXN-15")
def test_a_message_gets_no_provisional_but_a_late_100(size: Size) -> None:
    world, caller, bob = pair(size)
    message, arrived = started(world, caller, bob, "MESSAGE")
    bob.answer(arrived, 180)
    bob.answer(arrived, 100)
    for copy in range(4):
        world.run(0.8)
        caller.send(message)
        world.run(0.05)
        assert caller.statuses == [], copy
    world.run(1)
    assert caller.statuses == [100]  # when timer E would reach T2 (RFC 4320 §4.1)
    assert caller.arrived[0][0] - bob.times("MESSAGE")[0] > 3.5 - LATE


@pytest.mark.rfc("TXN-20")
@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "MESSAGE"])
def test_a_challenge_made_without_state_has_the_same_tag_for_the_same_request(
    size: Size, method: str
) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    uri = f"sip:{DOMAIN}" if method == "REGISTER" else BOB
    own = f"sip:anna@{DOMAIN}"
    to = own if method == "REGISTER" else uri
    tags = []
    for _ in range(2):
        request = caller.build(method, uri, ("To", f"<{to}>"), sender=own)
        for _ in range(3):
            caller.send(request)
            world.run(0.1)
        assert set(caller.statuses) == {401 if method == "REGISTER" else 407}
        tags.append({r.to_tag for r in caller.responses if r.branch == request.branch})
    first, second = tags
    assert (len(first), len(second)) == (1, 1)
    assert first != second


# --- §17.1.3, §17.2.3: what belongs together -----------------------------------------------------
@pytest.mark.rfc("TXN-12")
def test_a_response_belongs_to_the_branch_and_method_of_its_request(size: Size) -> None:
    world, caller, bob = pair(size)
    _, arrived = started(world, caller, bob, "MESSAGE")
    source = bob.arrived[-1][2]
    other = arrived.respond(200, to_tag="x")
    other.set("CSeq", "1 OPTIONS")
    bob.send(other, source)
    other = arrived.respond(200, to_tag="x")
    other.replace_top("Via", (other.first("via") or "").replace("branch=z9hG4bK", "branch=z9hG4bKn"))
    bob.send(other, source)
    # Who can forge has the branch perhaps, and not what else §8.2.6.2 has copied.
    for name, value in (
        ("Call-ID", "another"),
        ("From", "<sip:mallory@elsewhere.example>;tag=another"),
        ("CSeq", f"{arrived.cseq_number + 1} MESSAGE"),
    ):
        other = arrived.respond(200, to_tag="x")
        other.set(name, value)
        bob.send(other, source)
    world.run(0.2)
    assert caller.statuses == []
    right = arrived.respond(200, to_tag="x")
    right.set("From", f"Somebody <sip:else@where.example>;x=y;tag={arrived.from_tag}")
    right.set("To", "<sip:what@else.example>;tag=may-differ")
    bob.send(right, source)
    world.run(0.2)
    assert caller.statuses == [200]


@pytest.mark.rfc("TXN-13")
def test_a_request_belongs_to_branch_sent_by_and_method(size: Size) -> None:
    world, caller, bob = pair(size)
    message, _ = started(world, caller, bob, "MESSAGE")
    via = message.first("via") or ""
    for other in (via.replace(":5060", ":5062"), via.replace("branch=z9hG4bK", "branch=z9hG4bKn")):
        copy = Request.build("MESSAGE", BOB, [("Via", other), *_rest(message)])
        caller.send(copy)
        world.run(0.1)
    assert len(bob.requests("MESSAGE")) == 3
    spelled = via.replace("branch", "Branch").replace("SIP/2.0/UDP", "SIP / 2.0 / udp")
    caller.send(Request.build("MESSAGE", BOB, [("Via", spelled), *_rest(message)]))
    world.run(0.1)
    assert len(bob.requests("MESSAGE")) == 3


@pytest.mark.rfc("TXN-14")
def test_requests_without_the_cookie_are_matched_by_what_rfc_2543_had(size: Size) -> None:
    world, caller, bob = pair(size)
    old = caller.build("INVITE", BOB, ("Via", "SIP/2.0/UDP 192.0.2.66:5060;branch=1"))
    for _ in range(3):
        caller.send(old)
        world.run(0.05)
    [arrived] = bob.requests("INVITE")
    rows = [("Via", old.first("via") or ""), *_rest(old)]
    changes = (
        ("Via", "SIP/2.0/UDP 192.0.2.66:5060;branch=2"),
        ("Call-ID", "another"),
        ("CSeq", "2 INVITE"),
        ("From", "<sip:m@x>;tag=o"),
    )
    for name, value in changes:
        changed = Request.build("INVITE", BOB, [(n, value if n == name else v) for n, v in rows])
        caller.send(changed)
        world.run(0.05)
        bob.answer(bob.requests("INVITE")[-1], 404)  # of one stranger no more than two may ring
        world.run(0.05)
    caller.send(Request.build("INVITE", f"{BOB};other", rows))
    world.run(0.05)
    assert len(bob.requests("INVITE")) == 2 + len(changes)
    caller.send(Request.build("INVITE", BOB, [(n, v + ";tag=in" * (n == "To")) for n, v in rows]))
    world.run(0.05)
    assert caller.statuses[-1] == 481  # another To tag is no repetition either
    bob.answer(arrived, 486, tag="busy")
    world.run(0.1)
    refusal = next(r for r in caller.responses if r.status == 486)
    wrong = ack_of(old, refusal)
    wrong.set("To", f"<{BOB}>;tag=other")
    caller.send(wrong)
    world.run(2)
    before = caller.statuses.count(486)
    assert before > 1  # that ACK was of something else
    caller.send(ack_of(old, refusal))
    world.run(10)
    assert caller.statuses.count(486) == before


def _rest(request: Request) -> list[tuple[str, str]]:
    names = ("Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact")
    return [(name, request.first(name.lower()) or "") for name in names]


# --- §9: CANCEL ------------------------------------------------------------------------------
@pytest.mark.rfc("TXN-17")
def test_a_cancel_waits_for_a_provisional_and_says_what_the_invite_said(size: Size) -> None:
    world, caller, bob = pair(size, Path="<sip:10.1.0.2:5070;lr>", Supported="path")
    invite = caller.build("INVITE", BOB, ("Require", "100rel"))
    caller.send(invite)
    world.run(0.1)
    [arrived] = bob.requests("INVITE")
    caller.send(cancel_of(invite))
    world.run(1)
    assert bob.requests("CANCEL") == []
    bob.answer(arrived, 180)
    world.run(0.2)
    [cancel] = bob.requests("CANCEL")
    assert cancel.rows("via") == arrived.rows("via")[:1]
    for name in ("from", "to", "call-id", "route"):
        assert cancel.rows(name) == arrived.rows(name), name
    assert cancel.rows("route")
    assert cancel.rows("cseq") == ["1 CANCEL"]
    assert cancel.uri_text == arrived.uri_text
    assert cancel.rows("require") == cancel.rows("proxy-require") == []


@pytest.mark.rfc("TXN-17")
def test_only_an_invite_is_cancelled(size: Size) -> None:
    world, caller, bob = pair(size)
    message, arrived = started(world, caller, bob, "MESSAGE")
    bob.answer(arrived, 100)
    caller.send(cancel_of(message))
    world.run(1)
    assert bob.requests("CANCEL") == []


@pytest.mark.rfc("TXN-18")
def test_a_cancel_is_answered_and_ends_the_invite_unless_it_comes_too_late(size: Size) -> None:
    world, caller, bob = pair(size)
    stray = caller.build("INVITE", BOB)
    caller.send(cancel_of(stray))
    world.run(0.1)
    assert caller.statuses == [481]
    caller.arrived.clear()
    invite, arrived = started(world, caller, bob, "INVITE")
    bob.answer(arrived, 180)
    world.run(0.1)
    caller.send(cancel_of(invite))
    world.run(0.1)
    assert (200, "CANCEL") in [(r.status, r.cseq_method) for r in caller.responses]
    [cancel] = bob.requests("CANCEL")
    bob.answer(cancel, 200)
    bob.answer(arrived, 487)
    world.run(0.1)
    assert caller.statuses[-1] == 487
    bob.arrived.clear()
    invite, arrived = started(world, caller, bob, "INVITE")
    bob.answer(arrived, 200)
    world.run(0.1)
    caller.send(cancel_of(invite))
    world.run(1)
    ours = [(r.status, r.cseq_method) for r in caller.responses if r.branch == invite.branch]
    assert ours[-2:] == [(200, "INVITE"), (200, "CANCEL")]
    assert bob.requests("CANCEL") == []


@pytest.mark.rfc("TXN-19")
@pytest.mark.parametrize("method", ["OPTIONS", "MESSAGE"])
def test_a_user_agent_answers_one_of_two_copies_and_the_proxy_passes_both(
    size: Size, method: str
) -> None:
    """What comes by two ways is merged where it is answered (§8.2.2.2), and nowhere else.

    A stranger's OPTIONS is answered without state, so twice alike.
    """
    world, caller, bob = pair(size)
    for uri in (BOB, f"sip:echo@{DOMAIN}"):
        request = caller.build(method, uri)
        for way in range(2):
            via = f"SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK{way}{len(uri)}"
            caller.send(Request.build(method, uri, [("Via", via), *_rest(request)]))
    world.run(0.3)
    passed = 0 if method == "OPTIONS" else 2
    assert len(bob.requests(method)) == passed
    assert sorted(caller.statuses) == ([200, 482] if passed else [200, 200, 200, 200])
