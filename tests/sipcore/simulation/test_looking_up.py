"""Names that nobody answers for: they take time from whoever wrote them, and from nobody else."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Counter
from sipcore.locate import Answer, Question
from sipcore.locate.limits import MAX_PER_ASKER, MAX_QUEUED_PER_ASKER
from sipcore.message import Request
from tests.sipcore.simulation.phone import Outgoing, Phone
from tests.sipcore.simulation.world import DOMAIN, ONE, SIZES, Size, World

GOOD = "good.example"
SILENT = Answer(5.0, failed=True)


def make_world(size: Size = ONE) -> World:
    world = World(1, size, ["anna", "bob", "mallory"])
    world.zone[GOOD, "A"] = Answer(300.0, addresses=["192.0.2.80"])
    Phone(world, "zoe", ("192.0.2.80", 5060))
    return world


def registered(world: World, name: str, number: int, contact: str | None = None) -> Phone:
    phone = Phone(world, name, (f"10.1.0.{number}", 5060))
    phone.register(contact=contact)
    world.run(1)
    return phone


def dead(world: World, number: int) -> str:
    """A name whose servers say nothing."""
    host = f"h.dead{number}.test"
    world.zone[host, "A"] = SILENT
    return f"{host}:5060"


def asked(world: World, method: str, phone: Phone, uri: str) -> Outgoing:
    request = phone.build(method, uri, call_id="same")  # one worker: shares are each worker's own
    return phone.start(request, world.nodes[0].address)


def slow(questions: list[Question]) -> int:
    return sum(".dead" in name for name, _ in questions)


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
@pytest.mark.parametrize("method", ["MESSAGE", "INVITE", "OPTIONS"])
def test_names_that_nobody_answers_for_take_the_share_of_who_called_them(
    size: Size, method: str
) -> None:
    world = make_world(size)
    anna, mallory = registered(world, "anna", 1), registered(world, "mallory", 3)
    for number in range(60):
        asked(world, method, mallory, f"sip:x@{dead(world, number)}")
    world.run(0.5)
    assert slow(world.asked) == MAX_PER_ASKER
    good = asked(world, "INVITE", anna, f"sip:zoe@{GOOD}:5060")
    world.run(0.5)
    assert good.status == 200


def test_what_finds_no_room_is_told_to_come_later() -> None:
    world = make_world()
    mallory = registered(world, "mallory", 3)
    sent = [
        asked(world, "MESSAGE", mallory, f"sip:x@{dead(world, number)}")
        for number in range(MAX_QUEUED_PER_ASKER + 40)
    ]
    world.run(1)
    refused = [outgoing for outgoing in sent if outgoing.status]
    assert {outgoing.status for outgoing in refused} == {503}
    assert {outgoing.finals[0].first("retry-after") for outgoing in refused} == {"5"}
    world.run(60)
    statuses = [outgoing.status for outgoing in sent]
    # Eight were asked for at once, some more when those had no answer; no turn came to the others.
    assert (statuses.count(500), statuses.count(503)) == (17, len(sent) - 17)
    [worker] = world.workers
    assert worker.counts.total[Counter.LOOKUP_LIMITED] == len(sent) - 17
    world.check_nothing_left()


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_full_queue_waits_and_then_calls_go_through(method: str) -> None:
    world = make_world()
    anna = registered(world, "anna", 1)
    for worker in world.workers:
        worker.next_hops.locator.questions.shares.most = 2
    for number, name in enumerate(("bob", "mallory"), 2):
        asked(world, "MESSAGE", registered(world, name, number), f"sip:x@{dead(world, number)}")
    world.run(1)
    good = asked(world, method, anna, f"sip:zoe@{GOOD}:5060")
    world.run(2)
    assert good.status == 0
    world.run(4)
    assert good.status == 200


def test_a_number_that_enum_cannot_be_asked_for_now_is_called_later() -> None:
    world = World(1, ONE, ["mallory"], enum_suffix="e164.arpa")
    mallory = registered(world, "mallory", 3)
    for worker in world.workers:
        worker.next_hops.locator.questions.shares.most = 0
        worker.next_hops.locator.waiting.most = 0
    outgoing = asked(world, "INVITE", mallory, "tel:+4687654321")
    world.run(1)
    assert (outgoing.status, outgoing.finals[0].first("retry-after")) == (503, "5")


# --- strangers ------------------------------------------------------------------------------------
def stranger_request(method: str, via: str, **headers: str) -> Request:
    values = {
        "Via": f"SIP/2.0/UDP {via};branch=z9hG4bKs",
        "Max-Forwards": "70",
        "From": "<sip:x@stranger.dead1.test>;tag=s",
        "To": f"<sip:bob@{DOMAIN}>",
        "Call-ID": "stranger",
        "CSeq": f"1 {method}",
        "Contact": "<sip:x@contact.dead2.test>",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Request.build(method, f"sip:bob@{DOMAIN}", list(values.items()))


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "REGISTER", "SUBSCRIBE", "BYE"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Route": "<sip:route.dead3.test;lr>"},
        {"Record_Route": "<sip:record.dead3.test;lr>"},
        {"Path": "<sip:path.dead3.test;lr>", "Supported": "path"},
        {"Reply_To": "<sip:reply.dead3.test>"},
    ],
    ids=lambda headers: next(iter(headers), "plain"),
)
def test_nothing_is_looked_up_for_strangers(method: str, headers: dict[str, str]) -> None:
    world = make_world()
    registered(world, "bob", 2)
    for via in ("via.dead4.test", "via.dead4.test:9;maddr=m.dead5.test", "203.0.113.9:9;rport"):
        request = stranger_request(method, via, **headers)
        world.unreachable.add(("203.0.113.9", 9))
        world.unreachable.add(("203.0.113.9", 5060))
        world.network.send(request.to_bytes(), ("203.0.113.9", 5060), world.nodes[0].address)
        world.run(40)
    assert world.asked == []


def test_what_strangers_ask_of_a_named_contact_takes_the_share_of_its_owner() -> None:
    world = make_world()
    contacts = ", ".join(f"<sip:bob@{dead(world, number)}>" for number in range(10))
    anna = registered(world, "anna", 1)
    registered(world, "bob", 2, contacts)
    world.asked.clear()
    request = stranger_request("MESSAGE", "203.0.113.9:5060")
    world.network.send(request.to_bytes(), ("203.0.113.9", 5060), world.nodes[0].address)
    world.run(1)
    assert slow(world.asked) == MAX_PER_ASKER
    good = asked(world, "MESSAGE", anna, f"sip:zoe@{GOOD}:5060")
    world.run(0.5)
    assert good.status == 200
