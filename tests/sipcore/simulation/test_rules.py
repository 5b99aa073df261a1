"""What is refused, and what is let through, seen from outside (RFC 3261 §16.3, §16.4, Trust)."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from time import process_time
from typing import Any

import pytest

from sipcore.bindings import BindingChange
from sipcore.calls.limits import AFTER_S, MOST_ANSWERS
from sipcore.campus import registrations
from sipcore.campus.limits import ACCOUNTS_AT_ONCE
from sipcore.campus.rights import RightsSweep
from sipcore.directory import AccountState
from sipcore.eventlog import Kind
from sipcore.message import Request, parse_auth_params, parse_message
from sipcore.node.worker import Worker
from sipcore.routing.decide import EMERGENCY_TEXT
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Address, Flow
from tests.sipcore.conformance.peer import Peer, come_to_rest, peer_of
from tests.sipcore.simulation.phone import Outgoing, Phone, answer_after, ring_forever
from tests.sipcore.simulation.test_calls import make_world, registered
from tests.sipcore.simulation.world import (
    AT_ONCE_S,
    DOMAIN,
    REALM,
    SIZES,
    Node,
    Size,
    World,
    ha1,
    secret_of,
)

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])


def stranger(world: World) -> Phone:
    """Somebody with an address in a foreign domain, who never authenticates."""
    phone = Phone(world, "mallory", ("192.0.2.66", 5060))
    build = phone.build

    def foreign(method: str, to: str, **kw: object) -> Request:
        request = build(method, to, **kw)  # type: ignore[arg-type]
        request.set("From", "<sip:mallory@elsewhere.example>;tag=m")
        return request

    phone.build = foreign  # type: ignore[method-assign]
    return phone


def sent(phone: Phone, request: Request, wait_s: float = 5.0) -> Outgoing:
    outgoing = phone.start(request, phone.world.nodes[0].address)
    phone.world.run(wait_s)
    return outgoing


def suspend(world: World, account_id: int, *, end_calls: bool = False) -> None:
    account = world.directory.account(account_id)
    assert account is not None
    changed = replace(account, state=AccountState.SUSPENDED, end_calls=end_calls)
    directory = world.directory.changed(version=world.directory.version + 1, accounts=[changed])
    world.change_directory(directory, [account_id])


@pytest.mark.rfc("PRX-04")
def test_max_forwards_zero_ends_here(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    request = anna.build("MESSAGE", f"sip:bob@{DOMAIN}")
    request.set("Max-Forwards", "0")
    assert sent(anna, request).status == 483
    assert not bob.received


@pytest.mark.rfc("PRX-05")
def test_an_unknown_proxy_require_is_named(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    registered(world, "bob", "10.1.0.2")
    request = anna.build("MESSAGE", f"sip:bob@{DOMAIN}")
    request.append("Proxy-Require", "teleport, path")
    outgoing = sent(anna, request)
    assert outgoing.status == 420
    assert outgoing.finals[0].first("unsupported") == "teleport, path"


@pytest.mark.rfc("PRX-03")
def test_an_unknown_scheme_is_refused(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    assert sent(anna, anna.build("MESSAGE", "nobody:knows@this")).status == 416


@pytest.mark.rfc("PRX-13", "PRX-15")
def test_a_request_forwarded_has_our_via_and_one_hop_less(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    request = anna.build("MESSAGE", f"sip:bob@{DOMAIN}")
    request.append("X-Kept", "as it is")
    assert sent(anna, request).status == 200
    [received] = bob.received
    assert received.max_forwards == 69
    assert len(received.values("via")) == 2
    assert received.uri_text == bob.contact
    assert received.first("x-kept") == "as it is"
    assert received.first("proxy-authorization") is None


def test_from_must_be_the_authenticated_account(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    request = anna.build("MESSAGE", f"sip:bob@{DOMAIN}")
    request.set("From", f"<sip:clara@{DOMAIN}>;tag=x")
    assert sent(anna, request).status == 403
    assert not bob.received


@pytest.mark.rfc("REG-04")
def test_registering_for_somebody_else_is_refused(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    request = anna.build("REGISTER", f"sip:{DOMAIN}")
    request.set("To", f"<sip:bob@{DOMAIN}>")
    assert sent(anna, request).status == 403


def test_a_stranger_may_call_our_users(size: Size) -> None:
    world = make_world(size)
    bob = registered(world, "bob", "10.1.0.2")
    mallory = stranger(world)
    outgoing = sent(mallory, mallory.build("MESSAGE", f"sip:bob@{DOMAIN}"))
    assert outgoing.status == 200
    assert len(bob.received) == 1


def test_unknown_and_unregistered_look_the_same_to_a_stranger(size: Size) -> None:
    world = make_world(size)
    mallory = stranger(world)
    statuses = {
        sent(mallory, mallory.build("INVITE", f"sip:{who}@{DOMAIN}")).status
        for who in ("bob", "nobody", "77777")
    }
    assert statuses == {480}


@pytest.mark.rfc("PRX-10")
def test_a_stranger_is_relayed_nowhere(size: Size) -> None:
    world = make_world(size)
    bob = registered(world, "bob", "10.1.0.2")
    mallory = stranger(world)
    assert sent(mallory, mallory.build("MESSAGE", "sip:x@203.0.113.5")).status == 403
    routed = mallory.build("MESSAGE", f"sip:bob@{DOMAIN}")
    routed.append("Route", "<sip:203.0.113.5;lr>")
    assert sent(mallory, routed).status == 403
    assert not bob.received


@pytest.mark.rfc("PRX-10")
def test_a_device_of_ours_reaches_other_domains(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    peer = Phone(world, "bob", ("203.0.113.5", 5060))
    assert sent(anna, anna.build("MESSAGE", "sip:x@203.0.113.5")).status == 200
    assert len(peer.received) == 1


def test_emergency_numbers_are_answered_at_once_with_what_to_do(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    for number in (f"sip:112@{DOMAIN}", "urn:service:sos"):
        outgoing = sent(anna, anna.build("INVITE", number), AT_ONCE_S)
        assert outgoing.status == 404
        assert outgoing.finals[0].first("reason") == EMERGENCY_TEXT


@pytest.mark.rfc("PRX-38")
@pytest.mark.section("5393 4.2")
@pytest.mark.parametrize(("name", "status"), [("mallory", 482), ("anna", 407)])
def test_a_request_that_comes_back_unchanged_is_a_loop(size: Size, name: str, status: int) -> None:
    """A contact that leads back to us, by a proxy that does not even count the hops.

    In the name of one of us it comes without credentials, and is asked for them before all else.
    """
    world = make_world(size)
    caller = stranger(world) if name == "mallory" else registered(world, name, "10.1.0.1")
    bob = peer_of(world, "bob", "10.1.0.2")

    def bounce(request: Request) -> None:
        if request.method == "INVITE":
            copy = request.copy()
            copy.uri_text = f"sip:bob@{DOMAIN}"
            copy.set("Max-Forwards", "60")
            copy.push("Via", bob.via())
            bob.send(copy)

    bob.on_request = bounce
    call = caller.start(caller.build("INVITE", f"sip:bob@{DOMAIN}"), world.nodes[0].address)
    world.run(0.3)
    [invite] = bob.requests("INVITE")
    assert bob.statuses == [status]
    bob.answer(invite, status)
    world.run(0.3)
    assert call.finals[-1].status == status
    come_to_rest(world)


@pytest.mark.rfc("PRX-07")
def test_a_strict_router_before_us_is_understood(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    bye = anna.in_dialog(dialog, "BYE")
    ours = dialog.routes[0].strip("<>")
    bye.uri_text = ours  # a strict router put our Record-Route URI here, the target last
    bye.remove("Route")
    bye.append("Route", f"<{dialog.remote_target}>")
    outgoing = anna.start(bye, anna.route_address(dialog))
    world.run(3)
    assert outgoing.status == 200
    assert bob.received[-1].method == "BYE"
    assert bob.received[-1].uri_text == bob.contact


def test_a_revoked_device_loses_its_registration_and_a_suspended_caller_the_call(
    size: Size,
) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    account = world.directory.account(1)
    assert account is not None
    gone = replace(account, state=AccountState.SUSPENDED, end_calls=True)
    world.change_directory(world.directory.changed(version=2, accounts=[gone]), [1])
    world.run(1)
    assert [r.method for r in bob.received][-1] == "BYE"
    assert "BYE" in [r.method for r in anna.received]
    [dialog] = call.dialogs.values()
    assert dialog.ended
    for worker in world.workers:
        assert not worker.bindings.bindings(1, world.network.at)
    bob_account = world.directory.account(2)
    assert bob_account is not None
    bare = replace(bob_account, devices=())
    world.change_directory(world.directory.changed(version=3, accounts=[bare]), [2])
    world.run(1)
    for worker in world.workers:
        assert not worker.bindings.bindings(2, world.network.at)
    world.run(300)
    world.check_calls()
    world.check_nothing_left()


@pytest.mark.parametrize("read_anew", [False, True], ids=["bulk update", "read anew"])
def test_everybody_loses_his_rights_in_one_change(size: Size, read_anew: bool) -> None:
    names = [f"student{i}" for i in range(450)]
    world = World(1, size, names)
    phones = [registered(world, names[i], f"10.1.0.{i % 250 + 1}") for i in (0, 200, 449)]
    calls = [phones[0].call(names[449]), phones[1].call(names[449])]
    world.run(2)
    assert [call.status for call in calls] == [200, 200]
    gone = [
        replace(account, state=AccountState.SUSPENDED, end_calls=True)
        for account in world.directory.accounts()
    ]
    changed = world.directory.changed(version=2, accounts=gone)
    world.change_directory(changed, None if read_anew else [account.id for account in gone])
    world.run(1)
    for phone in phones:
        assert all(dialog.ended for dialog in phone.dialogs.values())
    assert not any(line.bindings for line in world.store.load())
    world.run(300)
    world.check_calls()
    world.check_nothing_left()


def test_a_change_of_everybody_is_taken_in_small_steps(size: Size) -> None:
    world = make_world(size)
    worker = world.workers[0]
    steps: list[tuple[float, list[int]]] = []
    sweep = RightsSweep(worker, lambda ids, now: steps.append((now, list(ids))))
    sweep.add(range(30_000), 0.0)
    sweep.add([7], 0.0)
    assert len(steps) == 2  # the first step; and who came alone waits for nobody
    for turn in range(1, 30_000 // ACCOUNTS_AT_ONCE):
        assert len(steps) == 1 + turn  # one for each turn of the loop
        worker.advance(0.01 * turn, 0.0)
    assert worker.idle
    assert max(len(ids) for _, ids in steps) == ACCOUNTS_AT_ONCE
    assert sorted(i for _, ids in steps for i in ids) == sorted([*range(30_000), 7])


def test_a_suspended_account_cannot_register(size: Size) -> None:
    world = make_world(size)
    suspend(world, 1)
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    unknown = Phone(world, "nobody", ("10.1.0.9", 5060))
    one, two = anna.register(), unknown.register()
    world.run(2)
    assert one.status == two.status == 401


def bob_behind_nat(world: World) -> Phone:
    """Registered with the address he has at home, which leads nowhere."""
    bob = Phone(world, "bob", ("198.51.100.7", 33000))
    bob.contact = "sip:bob@192.168.1.20:5060"
    bob.register()
    world.run(1)
    return bob


def test_a_phone_behind_nat_is_reached_where_it_registered_from(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    bob = bob_behind_nat(world)
    call = anna.call("bob")
    world.run(2)
    assert call.status == 200
    [dialog] = call.dialogs.values()
    bye = anna.hang_up(dialog)
    world.run(2)
    assert bye is not None
    assert bye.status == 200
    assert [r.method for r in bob.received] == ["INVITE", "BYE"]


def test_one_icmp_error_unregisters_nobody_behind_nat(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    bob = bob_behind_nat(world)
    world.unreachable.add(bob.address)
    missed = anna.call("bob")
    world.run(2)
    assert missed.status == 480
    world.unreachable.clear()  # his router has started again
    call = anna.call("bob")
    world.run(2)
    assert call.status == 200
    [dialog] = call.dialogs.values()
    anna.hang_up(dialog)
    world.run(40)
    world.check_calls()


def test_a_caller_behind_nat_gets_the_other_sides_bye(size: Size) -> None:
    world = make_world(size)
    bob = registered(world, "bob", "10.1.0.2")
    anna = Phone(world, "anna", ("198.51.100.7", 33000))
    anna.contact = "sip:anna@192.168.1.20:5060"
    call = anna.call("bob")
    world.run(2)
    assert call.status == 200
    [dialog] = bob.dialogs.values()
    bye = bob.hang_up(dialog)
    world.run(3)
    assert bye is not None
    assert bye.status == 200


def test_a_ringing_call_is_cancelled_when_its_caller_is_suspended(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(2)
    account = world.directory.account(1)
    assert account is not None
    gone = replace(account, state=AccountState.SUSPENDED, end_calls=True)
    world.change_directory(world.directory.changed(version=2, accounts=[gone]), [1])
    world.run(3)
    assert call.status == 487
    world.run(300)
    world.check_calls()
    [end] = [r for r in world.records if r.kind == "call.end"]
    assert end.fields["cause"] == "terminated"


def test_a_phone_whose_connection_is_gone_is_unavailable(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    gone = Flow("TCP", world.nodes[0].address, bob.address, 7)
    for worker in world.workers:
        [binding] = worker.bindings.bindings(2, world.network.at)
        moved = replace(binding, flow=gone)
        worker.bindings.replace(2, worker.bindings.version(2), [moved])
    deliver = world.network.send

    def send(data: bytes, source: Address, destination: Address) -> None:
        if destination == bob.address and data.startswith(b"INVITE"):
            for worker in world.workers:  # what the node tells when a connection is closed
                worker.send_failed(data, world.network.now, world.network.at)
            for node in world.nodes:
                for slot in range(len(node.slots)):
                    node.flush(slot)
        else:
            deliver(data, source, destination)

    world.network.send = send  # type: ignore[method-assign]
    call = anna.call("bob")
    world.run(2)
    assert call.status == 480


@pytest.mark.parametrize(
    ("sender", "status"),
    [
        (f"sip:clara@{DOMAIN}.", 403),
        (f"sip:clara@{DOMAIN.upper()}.", 403),
        ("tel:1002", 403),
        ("tel:1002;phone-context=+46", 403),
        ("urn:service:sos", 403),
        (f"sip:anna@{DOMAIN}.", 200),
    ],
)
def test_no_spelling_of_from_makes_somebody_else_of_me(
    size: Size, sender: str, status: int
) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    request = anna.build("MESSAGE", f"sip:bob@{DOMAIN}")
    request.set("From", f"<{sender}>;tag=x")
    assert sent(anna, request).status == status
    assert len(bob.received) == (status == 200)


@pytest.mark.rfc("PRX-48")
@pytest.mark.parametrize("name", ["P-Asserted-Identity", "Remote-Party-ID"])
def test_what_a_peer_asserts_of_itself_is_not_passed_on(size: Size, name: str) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    clara = f"<sip:clara@{DOMAIN}>"

    def answer(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        tx.respond(request.respond(486, to_tag="t", headers=[(name, clara)]), now)

    bob.on_invite = answer
    request = anna.build("INVITE", f"sip:bob@{DOMAIN}")
    request.append(name, clara)
    request.append(name, "<tel:1002>")
    call = sent(anna, request)
    ours = [f"<sip:anna@{DOMAIN}>"] if name == "P-Asserted-Identity" else []
    assert bob.received[-1].rows(name.lower()) == ours
    assert not call.finals[-1].has(name.lower())


@pytest.mark.rfc("SEC-09")
@pytest.mark.parametrize("host", ["10.0.0.1", "10.0.0.1:5060", DOMAIN, f"{DOMAIN.upper()}.:5060"])
def test_a_contact_that_leads_back_to_us_is_refused(size: Size, host: str) -> None:
    world = make_world(size)
    bob = Phone(world, "bob", ("10.0.0.1", 5070))  # on the machine of the server
    outgoing = bob.register(contact=f"<sip:bob@{host};transport=udp;x=1>")
    world.run(2)
    assert outgoing.status == 403
    taken_away = bob.register(contact=f"<sip:bob@{host}>;expires=0")
    world.run(2)
    assert taken_away.status == 200
    beside = bob.register()
    world.run(2)
    assert beside.status == 200


def test_a_device_revoked_while_it_registers_is_not_registered(size: Size) -> None:
    world = make_world(size)
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    account = world.directory.account(2)
    assert account is not None
    bare = world.directory.changed(version=2, accounts=[replace(account, devices=())])
    spread = world.spread

    def revoke_first(change: BindingChange, writer: Worker) -> None:
        if world.directory is not bare:  # the store has the binding, the worker waits to hear it
            world.change_directory(bare, [2])
        spread(change, writer)

    world.spread = revoke_first  # type: ignore[method-assign]
    bob.register()
    bob.register()
    world.run(2)
    assert len(world.store) == 0
    for worker in world.workers:
        assert not worker.bindings.bindings(2, world.network.at)
    world.run(60)
    world.check_nothing_left()


def test_a_call_answered_while_its_caller_is_suspended_ends_all_the_same(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = answer_after(1.0)
    bob._cancelled = lambda tx, request: bob.respond(tx, request, 200, "c")  # type: ignore[method-assign]
    call = anna.call("bob")
    world.run(0.9)
    account = world.directory.account(1)
    assert account is not None
    gone = replace(account, state=AccountState.SUSPENDED, end_calls=True)
    world.change_directory(world.directory.changed(version=2, accounts=[gone]), [1])
    world.run(3)
    assert call.status == 200
    assert [r.method for r in bob.received][-1] == "BYE"
    assert [r.method for r in anna.received][-1] == "BYE"
    world.run(300)
    world.check_calls()
    world.check_nothing_left()
    [end] = [r for r in world.records if r.kind == "call.end"]
    assert end.fields["cause"] == "terminated"


def two_phones_of_bob(world: World, second_after_s: float) -> tuple[Phone, Phone]:
    """One answers at once, the other for all that, whoever cancels it."""
    quick, slow = registered(world, "bob", "10.1.0.2"), registered(world, "bob", "10.1.0.3")
    slow.on_invite = answer_after(second_after_s)
    slow._cancelled = lambda tx, request: slow.respond(tx, request, 200, "c")  # type: ignore[method-assign]
    return quick, slow


@pytest.mark.parametrize("second_after_s", [2.0, 31.0])
def test_a_phone_that_answers_when_the_call_is_over_is_hung_up(
    size: Size, second_after_s: float
) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    quick, slow = two_phones_of_bob(world, second_after_s)
    call = anna.call("bob")
    world.run(1)
    [first] = call.dialogs.values()
    anna.hang_up(first)
    world.run(60)
    assert len(call.dialogs) == 2
    assert [r.method for r in slow.received][-1] == "BYE"
    assert [r.method for r in anna.received] == ["BYE"]
    assert [r.method for r in quick.received] == ["INVITE", "BYE"]
    world.run(300)
    world.check_calls()
    world.check_nothing_left()


def test_an_answer_that_is_repeated_after_the_hang_up_is_none(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    quick, slow = two_phones_of_bob(world, 1.0)
    answers: list[tuple[ServerTransaction, Request]] = []
    script = quick.on_invite

    def remember(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        answers.append((tx, request))
        script(phone, tx, request, now)

    quick.on_invite = remember
    call = anna.call("bob")
    world.run(3)
    assert len(call.dialogs) == 2
    [(_, tag)] = quick.accepted
    anna.hang_up(call.dialogs[tag])
    world.run(1)
    quick.respond(*answers[0], 200, tag, quick.sdp)
    world.run(1)
    for dialog in call.dialogs.values():
        anna.hang_up(dialog)
    world.run(1)
    quick.respond(*answers[0], 200, tag, quick.sdp)
    world.run(300)
    assert [r.method for r in anna.received] == []
    assert [r.method for r in slow.received][-1] == "BYE"
    world.check_calls()
    world.check_nothing_left()


def holder(world: World) -> Node:
    """The node that holds the only call."""
    return next(n for n in world.nodes if any(p.worker and len(p.worker.calls) for p in n.slots))


@pytest.mark.parametrize(
    ("sender", "tag", "status"),
    [
        (f"sip:clara@{DOMAIN}", "", 403),
        (f"sip:1002@{DOMAIN}", "", 403),
        ("tel:1002", "", 403),
        (f"sip:1000@{DOMAIN}", "", 200),  # anna's number
        (f"sip:anna@{DOMAIN}", "other", 481),
        (f"sip:anna@{DOMAIN}", "", 200),
    ],
)
def test_a_token_opens_its_call_to_its_parties_alone(
    size: Size, sender: str, tag: str, status: int
) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    request = anna.in_dialog(dialog, "MESSAGE")
    request.set("From", f"<{sender}>;tag={tag or call.request.from_tag}")
    before = len(bob.received)
    node = holder(world)
    outgoing = anna.start(request, node.address)
    world.run(2)
    assert outgoing.status == status
    assert len(bob.received) - before == (status == 200)


@pytest.mark.parametrize(("tag", "status"), [("", 200), ("other", 481)])
def test_a_token_opens_a_call_that_is_held_elsewhere_to_its_tags_alone(
    size: Size, tag: str, status: int
) -> None:
    """At every node: whoever does not hold the call knows the caller's tag from the token."""
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    for node in world.nodes:
        request = anna.in_dialog(dialog, "MESSAGE")
        request.set("From", f"<sip:anna@{DOMAIN}>;tag={tag or call.request.from_tag}")
        before = len(bob.received)
        outgoing = anna.start(request, node.address)
        world.run(2)
        assert outgoing.status == status
        assert len(bob.received) - before == (status == 200)


def test_a_token_opens_nothing_when_its_call_is_over(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    node = holder(world)
    anna.hang_up(dialog)
    world.run(2)
    before = len(bob.received)
    for method in ("MESSAGE", "INVITE", "REFER"):
        outgoing = anna.start(anna.in_dialog(dialog, method), node.address)
        world.run(2)
        assert outgoing.status == 481
    assert len(bob.received) == before
    [other_side] = bob.dialogs.values()
    crossing = bob.start(bob.in_dialog(other_side, "BYE"), node.address)
    world.run(2)
    assert crossing.status == 200


@pytest.mark.parametrize(
    ("sender", "tag", "passes"),
    [
        (f"sip:anna@{DOMAIN}", "", True),
        (f"sip:clara@{DOMAIN}", "", False),
        ("tel:1002", "", False),
        (f"sip:anna@{DOMAIN}", "other", False),
    ],
)
def test_an_ack_is_held_to_the_token_as_every_request_of_a_call(
    size: Size, sender: str, tag: str, passes: bool
) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    victim = Phone(world, "victim", ("203.0.113.9", 5060))
    heard: list[Request] = []
    victim.ack_received = lambda request, flow, now: heard.append(request)  # type: ignore[method-assign]
    assert dialog.ack is not None
    ack = dialog.ack.copy()
    ack.uri_text = "sip:victim@203.0.113.9"
    ack.set("From", f"<{sender}>;tag={tag or call.request.from_tag}")
    world.network.send(ack.to_bytes(), anna.address, holder(world).address)
    world.run(2)
    assert len(heard) == passes


def test_an_ack_that_a_bye_has_overtaken_still_arrives(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    node = holder(world)
    anna.hang_up(dialog)
    world.run(2)
    [other_side] = bob.dialogs.values()
    other_side.acknowledged = False
    assert dialog.ack is not None
    world.network.send(dialog.ack.to_bytes(), anna.address, node.address)
    world.run(2)
    assert other_side.acknowledged


def test_an_account_places_no_more_than_its_share_of_calls(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    at_once = world.nodes[0].slots[0].worker.config.max_calls_per_account  # type: ignore[union-attr]
    # Each worker counts its own: calls of one Call-ID are all of the same.
    calls = [
        sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}", call_id="same"), 0.1)
        for _ in range(at_once + 1)
    ]
    assert [call.status for call in calls] == [0] * at_once + [403]
    [refused] = calls[-1].finals
    assert refused.reason == "Too Many Calls"
    assert "Too many calls" in (refused.first("reason") or "")
    begun = world.records_of(Kind.CALL_BEGIN)
    ended = world.records_of(Kind.CALL_END)
    assert len(begun) == at_once + 1
    assert [(end.fields["cause"], end.fields["status"]) for end in ended] == [("rejected", 403)]
    assert "Too many calls" in ended[0].fields["reason"]
    assert begun[-1].fields["callee_line"] is None  # bob has missed nothing
    anna.cancel(calls[0])
    world.run(1)
    again = sent(anna, anna.build("INVITE", f"sip:bob@{DOMAIN}", call_id="same"), 0.1)
    assert again.status == 0
    assert sent(bob, bob.build("INVITE", f"sip:clara@{DOMAIN}", call_id="same"), 0.1).status == 480


def test_a_call_whose_phones_are_both_gone_is_ended_after_a_day(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    anna.call("bob")
    for hours, held in ((23, 1), (2, 0)):
        world.run(hours * 3600)
        for node in world.nodes:
            for slot, place in enumerate(node.slots):
                assert place.worker is not None
                place.worker.sweep(world.network.now, world.network.at)
                node.flush(slot)
        assert sum(len(worker.calls) for worker in world.workers) == held
    world.run(100)
    assert [p.received[-1].method for p in (anna, bob)] == ["BYE", "BYE"]
    [end] = [r for r in world.records if r.kind == "call.end"]
    assert end.fields["cause"] == "too_long"
    world.check_nothing_left()


@pytest.mark.parametrize("per_row", [1, 8, 500])
def test_many_routes_of_ours_cost_no_more_than_their_length(size: Size, per_row: int) -> None:
    world = make_world(size)
    mallory = stranger(world)
    request = mallory.build("OPTIONS", f"sip:{DOMAIN}")
    for _ in range(min(240, 2_300 // per_row)):
        request.append("Route", ",".join(["<sip:10.0.0.1>"] * per_row))
    begun = process_time()
    assert sent(mallory, request).status == 200
    assert process_time() - begun < 1.0  # it was seven seconds


@pytest.mark.parametrize("contacts", [1, 2])
def test_a_path_that_leads_back_here_is_not_followed(size: Size, contacts: int) -> None:
    world = make_world(size)
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    request = bob.build("REGISTER", f"sip:{DOMAIN}")
    request.set("To", f"<sip:bob@{DOMAIN}>")
    request.remove("Contact")
    for number in range(contacts):
        request.append("Contact", f"<sip:bob@10.0.0.1:5060;x={number}>")
    request.append("Path", "<sip:10.0.0.1;lr>")
    request.append("Supported", "path")
    assert sent(bob, request).status == 200
    world.sent.clear()
    mallory = stranger(world)
    assert sent(mallory, mallory.build("MESSAGE", f"sip:bob@{DOMAIN}"), 40).status == 480
    assert {flow.remote for flow in world.sent} == {mallory.address}


# --- one party's fault is its own ------------------------------------------------------------------
INSTANCE = ';+sip.instance="<urn:uuid:1>";reg-id=1'
UNREADABLE = '"a, b'


def registering(phone: Phone, contact: str, cseq: int, supported: str) -> Outgoing:
    """A REGISTER whose authenticated copy has this CSeq; "" for a contact: a query."""
    request = phone.build("REGISTER", f"sip:{DOMAIN}", call_id=f"same@{phone.name}")
    request.set("To", f"<sip:{phone.name}@{DOMAIN}>")
    request.set("Contact", contact)
    if not contact:
        request.remove("Contact")
    request.set("Supported", supported)
    request.set("CSeq", f"{cseq - 1} REGISTER")
    phone._cseq = cseq - 1
    return phone.start(request, phone.world.nodes[0].address)


@pytest.mark.rfc("REG-12")
@pytest.mark.parametrize("contact", ["", "<sip:other@10.1.0.1:5080>"], ids=["query", "new"])
def test_a_registration_that_cannot_be_answered_holds_up_nobody(size: Size, contact: str) -> None:
    world = make_world(size)
    anna, bob = Phone(world, "anna", ("10.1.0.1", 5060)), Phone(world, "bob", ("10.1.0.2", 5060))
    registering(anna, f"<sip:anna@10.1.0.1>{INSTANCE}", 10, "outbound, path")
    world.run(1)
    bad = registering(anna, contact, 10, UNREADABLE)
    other = bob.register()
    world.run(2)
    assert (bad.status, other.status) == (400, 200)
    assert (anna.register().status, bob.register().status) == (0, 0)  # on their way
    world.run(2)
    assert all(worker.application.idle for worker in world.workers)
    suspend(world, 1)
    world.run(2)
    assert [line for line in world.store.load() if line.line_id == 1 and line.bindings] == []


@pytest.mark.source  # compiled functions are found without their module's names
@pytest.mark.rfc("REG-12")
def test_a_fault_of_ours_in_one_registration_holds_up_nobody(
    size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is in writing the 200, after the store has taken it; then in reading the next."""
    world = make_world(size)
    anna, bob = Phone(world, "anna", ("10.1.0.1", 5060)), Phone(world, "bob", ("10.1.0.2", 5060))
    for name in ("answer", "process"):
        with monkeypatch.context() as patch:
            real = getattr(registrations, name)

            def broken(request: Request, *rest: Any, real: Any = real) -> Any:
                if "anna" in str(request.to):
                    raise RuntimeError("a fault of ours")
                return real(request, *rest)

            patch.setattr(registrations, name, broken)
            outcome = anna.register(), bob.register()
            world.run(2)
            assert [o.status for o in outcome] == [500, 200]
    assert all(worker.application.idle for worker in world.workers)
    again = anna.register()
    world.run(2)
    assert again.status == 200


@pytest.mark.rfc("PRX-22")
@pytest.mark.parametrize("branch", ["z9hG4bK1", "1"], ids=["RFC 3261", "RFC 2543"])
def test_a_refusal_that_cannot_be_acknowledged_is_as_good_as_none(size: Size, branch: str) -> None:
    world = make_world(size)
    registered(world, "bob", "10.1.0.2")

    def refuse(data: bytes, source: Address, now: float) -> None:
        if data.startswith(b"INVITE "):
            invite = parse_message(data)
            assert isinstance(invite, Request)
            refusal = invite.respond(486, to_tag="t")
            refusal.set("To", '"bob <sip:bob@x>;tag=t')
            world.network.send(refusal.to_bytes(), ("10.1.0.2", 5060), source)

    world.network.attach(("10.1.0.2", 5060), refuse)
    caller = Peer(world, ("192.0.2.66", 5060))
    invite = caller.build(
        "INVITE", f"sip:bob@{DOMAIN}", ("Via", f"SIP/2.0/UDP 192.0.2.66:5060;branch={branch}")
    )
    caller.send(invite)
    world.run(1)
    assert set(caller.statuses) == {502}
    come_to_rest(world)


@pytest.mark.rfc("SEC-09")
def test_a_call_is_answered_by_so_many_phones_and_no_more(size: Size) -> None:
    world = make_world(size)
    registered(world, "bob", "10.1.0.2")
    bob, caller = Peer(world, ("10.1.0.2", 5060)), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("INVITE", f"sip:bob@{DOMAIN}"))
    world.run(0.2)
    [invite] = bob.requests("INVITE")
    for i in range(100):
        bob.answer(invite, 200, tag=f"t{i}")
    world.run(1)
    taken = {r.to_tag for r in caller.responses if r.status == 200}
    assert len(taken) == MOST_ANSWERS
    for i in range(100):
        bob.answer(invite, 200, tag=f"t{i}")  # once more, since no ACK has come
    world.run(1)
    tags = [r.to_tag for r in caller.responses if r.status == 200]
    assert sorted(tags) == sorted([*taken, *taken])
    journal = [row for node in world.nodes for slot in node.slots for row in slot.journal]
    assert len(json.dumps(journal)) < 200_000


def test_a_party_that_counts_to_the_end_is_hung_up_all_the_same(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    outgoing = anna.call("bob")
    world.run(1)
    [dialog] = outgoing.dialogs.values()
    assert sent(anna, anna.in_dialog(dialog, "INFO", cseq=2**32 - 1), 1).status == 200
    suspend(world, 1, end_calls=True)
    world.run(2)
    [bye] = [r for r in bob.received if r.method == "BYE"]
    assert bye.cseq_number == 2**32 - 1
    world.check_calls()


# --- what is for us alone, and what outlives a call --------------------------------------------------
def with_credentials(request: Request, secret: str, first: Request, nc: int) -> Request:
    """The request with credentials for the nonce of another one, as phones do on their own."""
    given = parse_auth_params(first.rows("proxy-authorization")[0])
    key = ha1("SHA-256", given["username"], secret).decode()
    a2 = sha256(f"{request.method}:{request.uri_text}".encode()).hexdigest()
    middle = f"{given['nonce']}:{nc:08x}:c0ffee:auth"
    proof = sha256(f"{key}:{middle}:{a2}".encode()).hexdigest()
    request.append(
        "Proxy-Authorization",
        f'Digest username="{given["username"]}", realm="{REALM}", nonce="{given["nonce"]}", '
        f'uri="{request.uri_text}", response="{proof}", algorithm=SHA-256, qop=auth, '
        f'nc={nc:08x}, cnonce="c0ffee"',
    )
    return request


@pytest.mark.rfc("DIG-04")
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "BYE", "ACK"])
def test_credentials_for_us_are_not_seen_by_the_other_side(size: Size, method: str) -> None:
    """They were not asked for, and would let him place calls as her while their nonce is good."""
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    outgoing = anna.call("bob")
    world.run(1)
    [dialog] = outgoing.dialogs.values()
    heard: list[Request] = []
    receive = bob._receive

    def hear(data: bytes, source: Address, now: float) -> None:
        message = parse_message(data)
        if isinstance(message, Request):
            heard.append(message)
        receive(data, source, now)

    world.network.attach(bob.address, hear)
    request = anna.in_dialog(dialog, method)
    if method == "ACK":
        assert dialog.ack is not None
        request = dialog.ack.copy()
    with_credentials(request, secret_of("anna"), outgoing.request, 2)
    theirs = 'Digest username="x", realm="elsewhere", nonce="1", uri="sip:x", response="0"'
    request.append("Proxy-Authorization", theirs)
    if method == "ACK":
        anna.send(Flow("UDP", anna.address, world.nodes[0].address), request.to_bytes())
    else:
        anna.start(request, world.nodes[0].address)
    world.run(1)
    [received] = [r for r in heard if r.method == method]
    assert received.rows("proxy-authorization") == [theirs]
    assert not any(r.has("proxy-authorization") for r in bob.received if r.method == "INVITE")


@pytest.mark.rfc("PRX-16")
@pytest.mark.parametrize("name", ["ct", "xx"])
def test_the_route_of_a_call_beyond_us_is_kept_whatever_others_call_theirs(
    size: Size, name: str
) -> None:
    """Another campus may run this very software."""
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    far = Peer(world, ("203.0.113.5", 5060))
    theirs = f"<sip:203.0.113.5:5060;lr;{name}=AQoXXXX>"

    def answer(request: Request) -> None:
        if request.method == "INVITE":
            ours = [("Record-Route", row) for row in request.rows("record-route")]
            contact = ("Contact", "<sip:x@192.168.7.7>")
            response = request.respond(
                200, to_tag="t", headers=[("Record-Route", theirs), *ours, contact]
            )
            far.send(response, far.arrived[-1][2])
        elif request.method != "ACK":
            far.answer(request, 200 if theirs in request.rows("route") else 481)

    far.on_request = answer
    outgoing = sent(anna, anna.build("INVITE", "sip:x@203.0.113.5", body=b"v=0\r\n"), 2)
    assert outgoing.status == 200
    world.run(2000)
    assert far.requests("OPTIONS")  # asked whether it is still there
    assert not world.records_of(Kind.CALL_END)
    suspend(world, 1, end_calls=True)
    world.run(2)
    [bye] = far.requests("BYE")
    assert bye.rows("route") == [theirs]


def test_a_token_outlives_its_call_by_minutes_and_opens_nothing_for_others(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    registered(world, "bob", "10.1.0.2")
    outgoing = anna.call("bob")
    world.run(1)
    [dialog] = outgoing.dialogs.values()
    news = anna.in_dialog(dialog, "NOTIFY")
    late_bye = anna.in_dialog(dialog, "BYE")
    anna.hang_up(dialog)
    world.run(2)
    [home] = [n for n in world.nodes if any(w.calls._over for w in workers_of(n))]
    victim = Peer(world, ("198.51.100.77", 9999))
    attacker = Peer(world, ("203.0.113.9", 5060))

    def status_of(request: Request, sender: str = "") -> int:
        copy = request.copy()
        copy.set("Via", attacker.via())
        copy.uri_text = "sip:victim@198.51.100.77:9999"
        if sender:
            copy.set("From", f"<{sender}>;tag={request.from_tag}")
        attacker.arrived.clear()
        attacker.send(copy, home.address)
        world.run(1)
        return max(attacker.statuses, default=0)

    assert status_of(news, f"sip:clara@{DOMAIN}") == 403
    assert not victim.requests()
    status_of(news)
    assert len(victim.requests()) == 1  # of a transfer, say
    world.run(AFTER_S)
    assert (status_of(news), status_of(late_bye)) == (481, 481)
    assert len(victim.requests()) == 1
    for worker in workers_of(home):
        worker.sweep(world.network.now, world.network.at)
        assert not worker.calls._over


def workers_of(node: Node) -> list[Worker]:
    return [slot.worker for slot in node.slots if slot.worker is not None]


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_party_without_a_contact_is_reached_where_it_was(size: Size, who: str) -> None:
    world = make_world(size)
    registered(world, "bob", "10.1.0.2")
    bob, caller = Peer(world, ("10.1.0.2", 5060)), Peer(world, ("192.0.2.66", 5060))
    invite = caller.build("INVITE", f"sip:bob@{DOMAIN}")
    if who == "caller":
        invite.remove("Contact")
    caller.send(invite)
    world.run(0.3)
    [arrived] = bob.requests("INVITE")
    routes = [("Record-Route", row) for row in arrived.rows("record-route")]
    contact = [] if who == "callee" else [("Contact", "<sip:bob@10.1.0.2>")]
    bob.send(arrived.respond(200, to_tag="t", headers=[*routes, *contact]), bob.arrived[-1][2])
    world.run(0.3)
    suspend(world, 2, end_calls=True)
    world.run(1)
    assert len(bob.requests("BYE")) == len(caller.requests("BYE")) == 1


@pytest.mark.rfc("REG-01")
@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS"])
def test_who_is_here_already_needs_no_more_hops(size: Size, method: str) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    request = anna.build(method, f"sip:{DOMAIN}")
    request.set("To", f"<sip:anna@{DOMAIN}>")
    request.set("Max-Forwards", "0")
    assert sent(anna, request).status == 200


def test_an_answer_that_a_bye_has_overtaken_opens_nothing_again(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    outgoing = anna.call("bob")
    world.run(1)
    [dialog] = outgoing.dialogs.values()
    receive = bob._receive

    def slowly(data: bytes, source: Address, now: float) -> None:
        wait_s = 1.0 if data.startswith(b"INVITE") else 0.0
        world.network.after(wait_s, lambda later: receive(data, source, later))

    world.network.attach(bob.address, slowly)
    anna.reinvite(dialog)
    world.run(0.3)
    anna.start(anna.in_dialog(dialog, "BYE"), world.nodes[0].address)
    world.run(60)
    journals = [[row["op"] for row in s.journal] for n in world.nodes for s in n.slots if s.journal]
    assert journals == [["open", "open", "end"]]
    world.check_calls()


def test_little_is_kept_of_a_call_that_is_over_and_nothing_of_one_nobody_answered(
    size: Size,
) -> None:
    world = make_world(size)
    registered(world, "bob", "10.1.0.2")
    bob, caller = Peer(world, ("10.1.0.2", 5060)), Peer(world, ("192.0.2.66", 5060))
    sender = ("From", f'"{"x" * 3000}" <sip:mallory@elsewhere.example>;tag=m')
    for status in (486, 200):
        caller.send(caller.build("INVITE", f"sip:bob@{DOMAIN}", sender))
        world.run(0.2)
        bob.answer(bob.requests("INVITE")[-1], status)
        world.run(0.2)
    suspend(world, 2, end_calls=True)
    world.run(1)
    [kept] = [ended for worker in world.workers for ended in worker.calls._over.values()]
    assert kept.parties == ("sip:mallory@elsewhere.example", f"sip:bob@{DOMAIN}")


@pytest.mark.parametrize("header", ["From", "To"])
def test_who_is_called_by_a_long_name_can_hang_up(size: Size, header: str) -> None:
    world = make_world(size)
    bob, mallory = registered(world, "bob", "10.1.0.2"), stranger(world)
    invite = mallory.build("INVITE", f"sip:bob@{DOMAIN}", body=b"v=0\r\n")
    host = DOMAIN if header == "To" else "elsewhere.example"
    invite.set(header, f"<sip:{'x' * 300}@{host}>" + ";tag=m" * (header == "From"))
    assert sent(mallory, invite, 1).status == 200
    [dialog] = bob.dialogs.values()
    bye = bob.hang_up(dialog)
    world.run(1)
    assert bye is not None
    assert bye.status == 200
    [end] = world.records_of(Kind.CALL_END)
    assert (end.fields["cause"], end.fields["by"]) == ("completed", "callee")
