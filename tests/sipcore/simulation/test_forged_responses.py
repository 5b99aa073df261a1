"""Responses and network errors that somebody forges: they move no transaction and end no call."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Counter
from sipcore.message import Request
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Address
from tests.sipcore.simulation.phone import Phone, silent
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.test_vanished import PROBE_S, ends, make_world, probes, talking
from tests.sipcore.simulation.world import SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

ELSEWHERE: Address = ("192.0.2.99", 5060)
GUESSES = 8
"""How far ahead of the last branch that was seen the forger tries."""


def count_of(world: World, counter: Counter) -> int:
    return sum(worker.counts.total[counter] for worker in world.workers)


def answer_slowly(phone: Phone, delay_s: float) -> None:
    """It takes its time before it answers what comes inside a call."""
    usual = phone._request

    def request(tx: ServerTransaction, request: Request, now: float) -> None:
        if request.method == "OPTIONS":
            phone.network.after(delay_s, lambda later: usual(tx, request, later))
        else:
            usual(tx, request, now)

    phone._request = request  # type: ignore[method-assign]


def answer_by(
    phone: Phone, source: Address, status: int = 481, *rows: tuple[str, str]
) -> None:
    """In its place another answers what comes inside a call, who has read it; `rows` are changed."""
    usual = phone._request

    def request(tx: ServerTransaction, request: Request, now: float) -> None:
        if request.method != "OPTIONS":
            usual(tx, request, now)
            return
        response = request.respond(status)
        for name, value in rows:
            response.set(name, value)
        phone.network.send(response.to_bytes(), source, tx.flow.remote)

    phone._request = request  # type: ignore[method-assign]


# --- branches ------------------------------------------------------------------------------------
def branches_seen_by(phone: Phone) -> set[str]:
    """The branches of what it sends to itself, through every worker."""
    seen = len(phone.received)
    for _ in range(40):
        phone.message(phone.name, b"x")
    phone.world.run(1)
    return {r.branch.removeprefix("z9hG4bK").partition(".")[0] for r in phone.received[seen:]}


def guesses(seen: set[str]) -> set[str]:
    """What the next branch may be, where one follows from another: counted on, whole or in part."""
    out = set()
    for unique in seen:
        for ahead in range(1, GUESSES + 1):
            out.add(f"{int(unique, 16) + ahead:016x}")
            out.add(f"{unique[:10]}{int(unique[10:] or '0', 16) + ahead:x}")
    return {f"z9hG4bK{unique}.0" for unique in out - seen}


def forge(world: World, branches: set[str]) -> None:
    for branch in branches:
        for node in world.nodes:
            host, port = node.address
            for call_id in range(8):  # one for each worker of the node, and more
                data = (
                    f"SIP/2.0 481 No\r\nVia: SIP/2.0/UDP {host}:{port};branch={branch}\r\n"
                    "From: <sip:x@y>;tag=1\r\nTo: <sip:x@y>;tag=2\r\n"
                    f"Call-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
                )
                world.network.send(data.encode(), ELSEWHERE, node.address)


@pytest.mark.section("3261 17.1.3")
def test_who_has_seen_branches_of_ours_cannot_answer_a_probe_of_others(size: Size) -> None:
    """Who sends messages to himself reads our branches; the next ones follow from none of them."""
    world = make_world(size)
    clara = registered(world, "clara", "10.1.0.3")
    anna, bob, hers, his = talking(world)
    for phone in (anna, bob):
        answer_slowly(phone, 0.5)
    world.run(PROBE_S - 5)
    branches = guesses(branches_seen_by(clara))
    while not (probes(anna) and probes(bob)):
        world.run(0.02)
    forge(world, branches)
    world.run(30)
    assert not ends(world)
    assert not hers.ended
    assert not his.ended
    assert count_of(world, Counter.STRAY_RESPONSE) >= len(branches)


@pytest.mark.section("3261 17.1.3")
def test_a_branch_has_64_bits_of_its_own(size: Size) -> None:
    """Of any two branches all digits differ as chance has it."""
    world = make_world(size)
    seen = sorted(branches_seen_by(registered(world, "clara", "10.1.0.3")))
    assert len(seen) == 40
    assert {len(unique) for unique in seen} == {16}
    for position in range(16):
        assert len({unique[position] for unique in seen}) > 8


# --- what a response must have in common with its request ---------------------------------------
@pytest.mark.section("3261 17.1.3", "3261 8.1.3.3")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Call-ID", "another@call"),
        ("From", "<sip:bob@campus.example>;tag=another"),
        ("From", "<sip:bob@campus.example>"),
        ("CSeq", "77 OPTIONS"),
    ],
)
def test_the_branch_alone_is_not_enough(size: Size, name: str, value: str) -> None:
    world = make_world(size)
    _, bob, hers, his = talking(world)
    answer_by(bob, bob.address, 481, (name, value))
    world.run(PROBE_S + 10)
    assert probes(bob)
    assert not ends(world)
    assert not hers.ended
    assert not his.ended
    assert count_of(world, Counter.STRAY_RESPONSE) == len(probes(bob))
    assert count_of(world, Counter.RESPONSE_ELSEWHERE) == 0


@pytest.mark.section("3261 17.1.3", "3261 18.1.2")
def test_an_answer_from_another_host_is_taken_and_counted(size: Size) -> None:
    """A server with several addresses, or a trunk that has connected anew."""
    world = make_world(size)
    _, bob, _, _ = talking(world)
    answer_by(bob, ELSEWHERE, 200)
    world.run(3 * PROBE_S)
    assert len(probes(bob)) == 3  # no retransmissions: the first answer was enough
    assert not ends(world)
    assert count_of(world, Counter.RESPONSE_ELSEWHERE) == 3
    assert count_of(world, Counter.STRAY_RESPONSE) == 0


@pytest.mark.parametrize("status", [481, 408])
def test_who_was_not_asked_must_say_twice_that_a_call_is_gone(size: Size, status: int) -> None:
    """All that a forger can know is in it; still one answer from elsewhere ends no call."""
    world = make_world(size)
    _, bob, hers, _ = talking(world)
    answer_by(bob, ELSEWHERE, status)
    world.run(PROBE_S + 10)
    assert not ends(world)
    world.run(PROBE_S)
    [(cause, _, reason)] = ends(world)
    assert cause == "vanished"
    assert reason.startswith("callee does not")
    assert hers.ended


def test_answers_of_the_phone_in_between_count_from_the_beginning(size: Size) -> None:
    world = make_world(size)
    _, bob, _, _ = talking(world)
    usual = bob._request
    for _ in range(3):
        answer_by(bob, ELSEWHERE)
        world.run(PROBE_S)
        bob._request = usual  # type: ignore[method-assign]
        world.run(PROBE_S)
    assert len(probes(bob)) == 6
    assert not ends(world)


# --- network errors ------------------------------------------------------------------------------
@pytest.mark.section("3261 18.4")
@pytest.mark.parametrize(
    ("destination", "fails"),
    [(ELSEWHERE, False), (("10.1.0.2", 5061), False), (("10.1.0.2", 5060), True)],
)
def test_an_icmp_error_counts_for_the_destination_of_its_request_alone(
    size: Size, destination: Address, fails: bool
) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = silent
    call = anna.call("bob")
    while not bob.received:
        world.run(0.002)  # before its 100
    start = bob.received[0].to_bytes()[:500]
    for node in world.nodes:
        for slot, place in enumerate(node.slots):
            assert place.worker is not None
            place.worker.unreachable(start, destination, world.network.now, world.network.at)
            node.flush(slot)
    world.run(1)
    assert call.status == (500 if fails else 0)
    anna.cancel(call)
    world.run(100)
    world.check_nothing_left()
