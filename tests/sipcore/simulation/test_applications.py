"""Applications: the worked examples of docs/applications.md, and what else the interface promises."""

from __future__ import annotations

from datetime import time
from typing import cast

import pytest

from sipcore.apps.after_hours import AfterHours
from sipcore.apps.callback import Callback
from sipcore.apps.echo import Echo
from sipcore.apps.own_call import OwnCall
from sipcore.apps.sdp import HOLD
from sipcore.apps.user_agent import IncomingCall, OutgoingCall, UserAgent
from sipcore.calls import Call
from sipcore.campus import CampusService
from sipcore.directory.opening_hours import OpeningHours
from sipcore.eventlog import Counter, Kind
from sipcore.message import Request, Response
from sipcore.routing import Fork, Group, Plan, Query
from sipcore.transport.flow import Address
from sipcore.transport.memory import KIND, Conditions
from tests.sipcore.conformance.peer import Peer
from tests.sipcore.simulation.phone import Answer as Script
from tests.sipcore.simulation.phone import (
    Outgoing,
    Phone,
    PhoneDialog,
    answer_after,
    refuse_with,
    ring_forever,
    silent,
)
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.test_crashes import kill_all
from tests.sipcore.simulation.test_rules import sent, stranger
from tests.sipcore.simulation.test_vanished import ends, restart
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

NAMES = ["anna", "bob", "reception", "porter"]
HOUR_S = 3600
UNTIL_MORNING_S = 11 * HOUR_S
"""From 23:13 in Stockholm on a Tuesday, where virtual time begins."""


class Desk(UserAgent):
    """Does what a test tells it."""

    name = "desk"
    seen: list[tuple[str, object]]

    def on_call(self, call: IncomingCall) -> None:
        call.ring()
        self.later(5.0, lambda: call.answer(b"late"))

    def on_offer(self, call: OwnCall, body: bytes) -> bytes | None:
        return b"answer to " + body if body else None

    def on_request(self, call: OwnCall, request: Request) -> int:
        return 200 if request.method == "INFO" else 405

    def on_response(self, call: Call, response: Response) -> None:
        response.append("X-Desk", str(response.status))


def make_world(size: Size, seed: int = 1, conditions: Conditions = KIND) -> World:
    return World(seed, size, NAMES, conditions, services=[Echo, Callback, AfterHours, Desk])


def desk(world: World) -> Desk:
    """One worker's."""
    service = cast("CampusService", world.workers[0].application)
    return cast("Desk", service.agents["desk"])


def flush(world: World) -> None:
    """Somebody else than the network has given a worker something to do."""
    world.nodes[0].flush(0)


def services_hold_nothing(world: World) -> bool:
    services = [cast("CampusService", worker.application) for worker in world.workers]
    return not any(len(agent) for service in services for agent in service.agents)


def at_rest(world: World) -> None:
    world.run(100)
    world.check_calls()
    world.check_nothing_left()
    assert services_hold_nothing(world)


def description(name: str) -> bytes:
    return b"v=0\r\no=%s 7 7 IN IP4 10.1.0.9\r\ns=%s\r\n" % (name.encode(), name.encode())


# --- callback: place calls, join them, end them -------------------------------------------------
def called_back(world: World, number: str = "1001") -> tuple[Phone, Phone]:
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    anna.sdp, bob.sdp = description("anna"), description("bob")
    return anna, bob


def dialog_of(phone: Phone) -> PhoneDialog:
    [dialog] = phone.dialogs.values()
    return dialog


def test_a_message_with_a_number_connects_the_two_phones(size: Size) -> None:
    world = make_world(size)
    anna, bob = called_back(world)
    bob.on_invite = answer_after(60.0)  # he takes his time: hers is connected, and waits
    asked = anna.message("callback", b" 1001 ")
    world.run(2)
    assert asked.status == 200
    [ring] = [r for r in anna.received if r.method == "INVITE"]
    assert ring.from_.uri_text == f"sip:callback@{DOMAIN}"
    assert ring.body == HOLD
    assert dialog_of(anna).acknowledged
    world.run(60)
    [his] = [r for r in bob.received if r.method == "INVITE"]
    assert his.from_.uri_text == f"sip:anna@{DOMAIN}"
    assert not his.body
    assert bob.acks == [anna.sdp]  # his offer, her answer
    [offer] = [r for r in anna.received if r.method == "INVITE" and r.to_tag]
    assert offer.body == bob.sdp.replace(b"o=bob 7 7", b"o=- 1 2").replace(b"10.1.0.9", b"0.0.0.0")
    world.run(30)
    assert not dialog_of(anna).ended
    assert not dialog_of(bob).ended


@pytest.mark.parametrize("who", ["anna", "bob"])
def test_whoever_hangs_up_ends_both_calls(size: Size, who: str) -> None:
    world = make_world(size)
    anna, bob = called_back(world)
    anna.message("callback", b"bob")
    world.run(20)
    phone = anna if who == "anna" else bob
    bye = phone.hang_up(dialog_of(phone))
    world.run(5)
    assert bye is not None
    assert bye.status == 200
    assert dialog_of(anna).ended
    assert dialog_of(bob).ended
    assert sorted(ends(world)) == [("completed", "callee", ""), ("completed", "system", "")]
    begun = [r.fields for r in world.records_of(Kind.CALL_BEGIN)]
    assert [(r["caller_line"], r["callee_line"]) for r in begun] == [(None, 1), (1, 2)]
    at_rest(world)


@pytest.mark.parametrize("status", [486, 480])
def test_when_the_other_does_not_take_the_call_hers_ends(size: Size, status: int) -> None:
    world = make_world(size)
    anna, bob = called_back(world)
    bob.on_invite = refuse_with(status, 2.0)
    anna.message("callback", b"bob")
    world.run(10)
    assert dialog_of(anna).ended
    at_rest(world)


def test_nobody_is_called_who_is_not_there(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    anna.message("callback", b"bob")
    world.run(10)
    assert dialog_of(anna).ended
    at_rest(world)


def test_giving_up_while_the_other_rings_stops_the_ringing(size: Size) -> None:
    world = make_world(size)
    anna, bob = called_back(world)
    bob.on_invite = ring_forever
    anna.message("callback", b"bob")
    world.run(5)
    anna.hang_up(dialog_of(anna))
    world.run(5)
    assert [r.method for r in bob.received] == ["INVITE", "CANCEL"]
    assert ("cancelled", "caller", "") in ends(world)
    at_rest(world)


def test_two_phones_of_hers_ring_and_one_is_used(size: Size) -> None:
    world = make_world(size, seed=3)
    phones = [registered(world, "anna", f"10.1.0.1{i}") for i in range(3)]
    bob = registered(world, "bob", "10.1.0.2")
    phones[0].message("callback", b"bob")
    world.run(20)
    live = [d for p in phones for d in p.dialogs.values() if not d.ended]
    assert len(live) == 1
    assert all(d.acknowledged for p in phones for d in p.dialogs.values())
    bob.hang_up(dialog_of(bob))
    at_rest(world)


def test_strangers_connect_nobody(size: Size) -> None:
    world = make_world(size)
    anna, mallory = registered(world, "anna", "10.1.0.1"), stranger(world)
    message = mallory.build("MESSAGE", f"sip:callback@{DOMAIN}", body=b"anna")
    assert sent(mallory, message).status == 200
    world.run(10)
    assert not [r for r in anna.received if r.method == "INVITE"]


@pytest.mark.parametrize(
    "number",
    [
        "sip:bob@elsewhere.example",
        "echo",
        "nobody",
        "112",
        "",
        "bob\r\nX-Forged: yes",
        "two words",
        "bob\r\nforged",
        "<sip:bob>",
        "\udcff",
    ],
)
def test_a_service_calls_nobody_but_users_of_ours(size: Size, number: str) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    anna.message("callback", number.encode("utf-8", "surrogateescape"))
    world.run(10)
    assert dialog_of(anna).ended
    at_rest(world)


@pytest.mark.parametrize("number", ["sip:mallory@192.0.2.66", "echo"])
def test_a_service_is_no_way_out_for_those_it_calls_for(size: Size, number: str) -> None:
    world = make_world(size)
    anna, mallory = registered(world, "anna", "10.1.0.1"), stranger(world)
    anna.message("callback", number.encode())
    world.run(10)
    assert not mallory.received
    assert {r.fields["status"] for r in world.records_of(Kind.CALL_END)} == {200, 403}
    at_rest(world)


def test_calls_of_a_service_survive_loss(size: Size) -> None:
    lossy = Conditions(loss=0.1, duplication=0.1, max_delay_s=0.3)
    for seed in range(8):
        world = make_world(size, seed, lossy)
        anna = Phone(world, "anna", ("10.1.0.1", 5060))
        bob = Phone(world, "bob", ("10.1.0.2", 5060))
        anna.register()
        bob.register()
        world.run(40)
        anna.message("callback", b"bob")
        world.run(60)
        for phone in (anna, bob):
            for dialog in phone.dialogs.values():
                phone.hang_up(dialog)
        world.run(700)
        at_rest(world)


def test_a_call_whose_service_was_killed_ends_for_both(size: Size) -> None:
    world = make_world(size)
    anna, bob = called_back(world)
    anna.message("callback", b"bob")
    world.run(20)
    kill_all(world)
    world.run(10)
    assert dialog_of(anna).ended
    assert dialog_of(bob).ended
    assert [cause for cause, _, _ in ends(world)] == ["lost", "lost"]
    at_rest(world)


@pytest.mark.parametrize("seed", range(25))
def test_killed_at_any_moment_a_joined_call_leaves_no_phone_in_it(size: Size, seed: int) -> None:
    world = make_world(size, seed)
    anna, bob = called_back(world)
    bob.on_invite = answer_after(1.0)
    anna.message("callback", b"bob")
    world.run(world.random.uniform(0.0, 3.0))
    kill_all(world)
    world.run(700)
    for phone in (anna, bob):
        assert all(d.ended for d in phone.dialogs.values()), f"{world}: {phone.name} is still in"
    at_rest(world)


def test_a_phone_that_vanished_from_a_joined_call_ends_it_for_the_other(size: Size) -> None:
    world = make_world(size)
    anna, bob = called_back(world)
    anna.message("callback", b"bob")
    world.run(20)
    hers = dialog_of(anna)
    restart(bob)
    world.run(310)
    assert hers.ended
    assert sorted(cause for cause, _, _ in ends(world)) == ["completed", "vanished"]
    at_rest(world)


# --- after hours: see and change a plan ----------------------------------------------------------
@pytest.mark.parametrize(
    ("hours", "who"), [(0, "porter"), (11, "reception"), (18, "porter"), (11 + 4 * 24, "porter")]
)
@pytest.mark.parametrize("dialled", ["reception", "1002"])
def test_the_porter_answers_for_the_reception_after_hours(
    size: Size, hours: int, who: str, dialled: str
) -> None:
    world = make_world(size)
    world.run(hours * HOUR_S)
    phones = [registered(world, name, f"10.1.0.{i}") for i, name in enumerate(NAMES)]
    call = phones[0].call(dialled)
    world.run(3)
    assert call.status == 200
    assert [p.name for p in phones if p.dialogs and p is not phones[0]] == [who]
    phones[0].hang_up(next(iter(call.dialogs.values())))
    [begin] = world.records_of(Kind.CALL_BEGIN)
    assert begin.fields["callee_line"] == NAMES.index(who) + 1
    at_rest(world)


@pytest.mark.parametrize(
    ("days", "who"),
    [
        ([(2, time(10), time(11))], "reception"),
        ([(2, time(11), time(17))], "porter"),
        ([(3, time(10), time(17))], "porter"),
    ],
)
def test_the_administrators_opening_hours_count(
    size: Size, days: list[tuple[int, time, time]], who: str
) -> None:
    world = make_world(size)
    world.run(UNTIL_MORNING_S)  # 10:13 on a Wednesday
    phones = [registered(world, name, f"10.1.0.{i}") for i, name in enumerate(NAMES)]
    world.change_directory(world.directory.with_parts(2, [OpeningHours(days)]), [])
    call = phones[0].call("reception")
    world.run(3)
    assert call.status == 200
    assert [p.name for p in phones if p.dialogs and p is not phones[0]] == [who]
    phones[0].hang_up(next(iter(call.dialogs.values())))
    world.run(3)


def test_nobody_else_is_redirected(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    porter = registered(world, "porter", "10.1.0.3")
    assert sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}", body=b"v=0\r\n")).status == 200
    assert bob.dialogs
    assert not porter.dialogs


# --- the rest of the interface ---------------------------------------------------------------------
def test_a_service_may_ring_and_answer_later(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    call = anna.call("desk")
    world.run(2)
    assert [r.status for r in call.responses][-1] == 180
    world.run(5)
    assert call.status == 200
    assert call.finals[0].body == b"late"
    [dialog] = call.dialogs.values()
    anna.hang_up(dialog)
    at_rest(world)
    assert len(world.records_of(Kind.CALL_RING)) == 1


def test_a_caller_who_gives_up_before_the_late_answer_leaves_nothing(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    call = anna.call("desk")
    world.run(2)
    anna.cancel(call)
    world.run(20)
    assert call.status == 487
    at_rest(world)


def test_a_service_owns_its_dialog(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    call = anna.call("desk")
    world.run(10)
    [dialog] = call.dialogs.values()
    for method, status in (("INFO", 200), ("OPTIONS", 200), ("REFER", 405)):
        inside = anna.start(anna.in_dialog(dialog, method), anna.route_address(dialog))
        world.run(3)
        assert inside.status == status
    offer = anna.in_dialog(dialog, "INVITE")
    offer.body = b"new"
    changed = anna.start(offer, anna.route_address(dialog))
    world.run(3)
    assert changed.status == 200
    assert changed.finals[0].body == b"answer to new"
    refused = anna.reinvite(dialog)
    world.run(3)
    assert refused.status == 488
    anna.hang_up(dialog)
    at_rest(world)


def test_a_service_sees_and_marks_the_responses_to_calls(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = refuse_with(486, 1.0)
    call = anna.call("bob")
    world.run(5)
    marks = [r.rows("x-desk") for r in call.responses if r.status not in (100, 407)]
    assert marks == [["180"], ["486"]]


def test_a_message_of_a_service_reaches_every_phone(size: Size) -> None:
    world = make_world(size)
    phones = [registered(world, "anna", f"10.1.0.1{i}") for i in range(2)]
    desk(world).message("1000", b"lunch")
    flush(world)
    world.run(5)
    assert [p.messages for p in phones] == [[b"lunch"], [b"lunch"]]
    at_rest(world)


def test_messages_of_a_service_wait_for_each_other_and_are_small(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    for body in (b"one", b"two"):  # RFC 3428 §8: not two at a time
        desk(world).message("anna", body)
    desk(world).message("bob", b"x" * 1300)
    desk(world).message("nobody", b"is he there?")
    flush(world)
    world.run(3)
    assert anna.messages == [b"one"]
    vanished_for = 41  # a time-out of a MESSAGE is told to nobody (RFC 4320)
    world.network.detach(anna.address)
    desk(world).message("anna", b"lost")
    flush(world)
    world.run(vanished_for)
    anna.network.attach(anna.address, anna._receive)
    for who in ("anna", "nobody"):
        desk(world).message(who, b"three")
    flush(world)
    world.run(3)
    assert anna.messages == [b"one", b"three"]
    assert not world.workers[0].counts.total[Counter.STRAY_RESPONSE]
    at_rest(world)


def test_a_placed_call_tells_what_comes_of_it(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    told: list[str] = []

    def place() -> OutgoingCall:
        call = desk(world).call("anna", b"v=0\r\n")
        call.on_ring = lambda: told.append("ring")
        call.on_answer = lambda: told.append("answer")
        call.on_end = lambda: told.append("end")
        flush(world)
        return call

    anna.on_invite = answer_after(1.0)
    call = place()
    world.run(3)
    assert (told, call.status) == (["ring", "answer"], 200)
    call.end()
    flush(world)
    world.run(3)
    assert told == ["ring", "answer", "end"]
    assert dialog_of(anna).ended
    told.clear()
    anna.on_invite = refuse_with(486)
    call = place()
    world.run(3)
    assert (told, call.status) == (["end"], 486)
    told.clear()
    call = place()
    call.end()
    flush(world)
    world.run(3)
    assert told == ["end"]
    at_rest(world)


def test_an_administrator_ends_the_call_of_a_service(size: Size) -> None:
    world = make_world(size)
    anna, bob = called_back(world)
    anna.message("callback", b"bob")
    world.run(20)
    worker = next(w for w in world.workers if len(w.calls))
    service = cast("CampusService", worker.application)
    service.control.end_call(next(iter(worker.calls)), worker.now)
    for node in world.nodes:
        for slot in range(len(node.slots)):
            node.flush(slot)
    world.run(5)
    assert dialog_of(anna).ended
    assert dialog_of(bob).ended
    for phone in (anna, bob):
        invite, *_, bye = [r for r in phone.received if r.method in ("INVITE", "BYE")]
        numbers = [r.cseq_number for r in phone.received if r.method == "INVITE"]
        assert bye.method == "BYE"
        assert bye.cseq_number > max(numbers)
        assert bye.from_tag == invite.from_tag
    at_rest(world)


# --- plans: one phone after the other -----------------------------------------------------------
class Hunt(UserAgent):
    """Who calls bob gets him for ten seconds, then the reception for ten, then the porter."""

    name = "hunt"

    def plan(self, query: Query, plan: Plan) -> Plan:
        if not isinstance(plan, Fork) or plan.callee.username != "bob":
            return plan
        groups = [Group(group.targets, 10.0) for group in plan.groups]
        for name in ("reception", "porter"):
            other = self.plan_for(name, query)
            if isinstance(other, Fork):
                groups += [Group(group.targets, 10.0) for group in other.groups]
        return Fork(plan.callee, tuple(groups))


def hunted(size: Size, **scripts: Script) -> tuple[World, Phone, dict[str, Phone], Outgoing]:
    """anna has called bob, where each phone behaves as its script says."""
    world = World(1, size, NAMES, services=[Hunt])
    anna = registered(world, "anna", "10.1.0.1")
    phones = {}
    for i, (name, script) in enumerate(scripts.items()):
        phones[name] = registered(world, name, f"10.1.0.{i + 2}")
        phones[name].on_invite = script
    outgoing = anna.call("bob")
    world.run(1)
    return world, anna, phones, outgoing


@pytest.mark.rfc("PRX-40")
def test_phones_ring_one_after_the_other_for_as_long_as_the_plan_says(size: Size) -> None:
    world, anna, phones, outgoing = hunted(
        size, bob=ring_forever, reception=silent, porter=answer_after(2.0)
    )
    begun: dict[str, int] = {}
    for second in range(30):
        for name, phone in phones.items():
            if any(r.method == "INVITE" for r in phone.received):
                begun.setdefault(name, second)
        world.run(1)
    assert list(begun) == ["bob", "reception", "porter"]
    assert begun["reception"] in range(8, 12)
    assert begun["porter"] in range(18, 22)
    invites = [r for phone in phones.values() for r in phone.received if r.method == "INVITE"]
    assert {r.first("max-breadth") for r in invites} == {"60"}  # never two at a time
    assert [r.method for r in phones["bob"].received][-1] == "CANCEL"
    assert outgoing.status == 200
    anna.hang_up(next(iter(outgoing.dialogs.values())))
    at_rest(world)


@pytest.mark.rfc("PRX-24")
def test_after_a_6xx_nobody_else_rings(size: Size) -> None:
    world, _, phones, outgoing = hunted(
        size, bob=refuse_with(603, 9.0), reception=ring_forever, porter=ring_forever
    )
    world.run(40)
    assert outgoing.status == 603
    assert not any(r.method == "INVITE" for r in phones["reception"].received)
    at_rest(world)


def test_who_gives_up_while_the_second_rings_stops_it(size: Size) -> None:
    world, anna, phones, outgoing = hunted(
        size, bob=silent, reception=ring_forever, porter=ring_forever
    )
    world.run(12)
    anna.cancel(outgoing)
    world.run(2)
    assert outgoing.status == 487
    assert [r.method for r in phones["reception"].received][-1] == "CANCEL"
    assert not any(r.method == "INVITE" for r in phones["porter"].received)
    at_rest(world)


@pytest.mark.parametrize("later", ["it goes on to ring", "the caller gives up"])
def test_a_phone_that_rings_when_its_time_is_over_is_stopped(size: Size, later: str) -> None:
    """Its INVITE was lost at first; nobody else would tell it (RFC 3261 §9.1)."""
    world, anna, phones, outgoing = hunted(size, bob=ring_forever, reception=ring_forever)
    late = phones["bob"]
    receive, late_from = late._receive, world.network.now + 9.5

    def deaf(data: bytes, source: Address, now: float) -> None:
        if now >= late_from:
            receive(data, source, now)

    world.network.attach(late.address, deaf)
    again = anna.call("bob")
    world.run(15)
    if later == "the caller gives up":
        anna.cancel(again)
    world.run(20)
    heard = [r.method for r in late.received if r.call_id == again.request.call_id]
    assert heard == ["INVITE", "CANCEL"]
    anna.cancel(outgoing)
    anna.cancel(again)
    world.run(200)
    world.check_calls()
    world.check_nothing_left()


def test_a_call_given_up_is_given_up_also_when_its_time_comes(size: Size) -> None:
    world, anna, _, outgoing = hunted(size, bob=silent, reception=silent)
    anna.cancel(outgoing)
    world.run(60)
    assert outgoing.status == 487
    [end] = [r for r in world.records_of(Kind.CALL_END) if r.fields["status"]]
    assert (end.fields["cause"], end.fields["by"]) == ("cancelled", "caller")
    at_rest(world)


def test_a_caller_without_contact_is_hung_up_by_a_service_too(size: Size) -> None:
    world = make_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    invite = caller.build("INVITE", f"sip:echo@{DOMAIN}", body=b"v=0\r\n")
    invite.remove("Contact")
    caller.send(invite)
    world.run(1)
    assert set(caller.statuses) == {200}
    for worker in world.workers:
        service = cast("CampusService", worker.application)
        for call in worker.calls:
            service.control.end_call(call, world.network.now)
    for node in world.nodes:
        for slot in range(len(node.slots)):
            node.flush(slot)
    world.run(1)
    assert len(caller.requests("BYE")) == 1
