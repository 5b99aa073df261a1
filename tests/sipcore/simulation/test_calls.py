"""Calls through the whole service in virtual time, with one worker and with two nodes of three."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.proxy.branch import Branch
from sipcore.transaction.client import InviteClientTransaction
from sipcore.transport.memory import KIND, Conditions
from tests.sipcore.simulation.phone import (
    Phone,
    answer_after,
    answer_at_once,
    refuse_with,
    ring_forever,
    silent,
)
from tests.sipcore.simulation.world import AT_ONCE_S, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

ANNA, BOB = ("10.1.0.1", 5060), ("10.1.0.2", 5060)


def make_world(size: Size, seed: int = 1, conditions: Conditions = KIND) -> World:
    return World(seed, size, ["anna", "bob", "clara"], conditions)


def registered(world: World, name: str, host: str, **kw: str) -> Phone:
    phone = Phone(world, name, (host, 5060), **kw)
    outgoing = phone.register()
    world.run(1.0)
    assert outgoing.status == 200
    return phone


def end_of(world: World) -> dict[str, object]:
    """The fields of the only `call.end` record, after everything has come to rest."""
    world.run(400)
    world.check_calls()
    world.check_nothing_left()
    [end] = world.records_of(Kind.CALL_END)
    return end.fields


def talked_for(world: World) -> float:
    """Seconds between answer and end, as the portal folds them."""
    [answer] = world.records_of(Kind.CALL_ANSWER)
    [end] = world.records_of(Kind.CALL_END)
    duration: float | None = end.fields["duration_s"]
    return end.at - answer.at if duration is None else duration


def test_a_call_is_answered_and_ended_by_the_caller(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(1)
    [dialog] = call.dialogs.values()
    assert call.status == 200
    world.run(10)
    assert all(d.acknowledged for d in bob.dialogs.values())
    bye = anna.hang_up(dialog)
    end = end_of(world)
    assert bye is not None
    assert bye.status == 200
    assert (end["cause"], end["by"]) == ("completed", "caller")
    assert talked_for(world) == pytest.approx(11, abs=0.2)


def test_the_called_party_hangs_up(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    anna.call("1001")
    world.run(5)
    [dialog] = bob.dialogs.values()
    bye = bob.hang_up(dialog)
    end = end_of(world)
    assert bye is not None
    assert bye.status == 200
    assert (end["cause"], end["by"]) == ("completed", "callee")


@pytest.mark.rfc("PRX-26")
@pytest.mark.parametrize(
    ("status", "cause"),
    [(486, "busy"), (603, "rejected"), (480, "unreachable"), (404, "unreachable"), (500, "failed")],
)
def test_a_refusal_reaches_the_caller_and_the_record(size: Size, status: int, cause: str) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = refuse_with(status, 2.0)
    call = anna.call("bob")
    end = end_of(world)
    assert call.status == status
    assert end["cause"] == cause


@pytest.mark.rfc("PRX-27")
def test_an_overloaded_branch_is_no_overloaded_proxy(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = refuse_with(503)
    call = anna.call("bob")
    end_of(world)
    assert call.status == 500  # RFC 3261 §16.7: a 503 is not passed on


@pytest.mark.rfc("PRX-12")
def test_an_unregistered_friend_is_unreachable_at_once(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    call = anna.call("bob")
    world.run(AT_ONCE_S)
    assert call.status == 480
    assert end_of(world)["cause"] == "unreachable"


@pytest.mark.rfc("PRX-35")
def test_a_caller_who_gives_up_cancels_the_ringing_phone(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(3)
    anna.cancel(call)
    end = end_of(world)
    assert call.status == 487
    assert (end["cause"], end["by"]) == ("cancelled", "caller")
    assert "CANCEL" in [r.method for r in bob.received]


@pytest.mark.rfc("PRX-32", "PRX-35")
def test_a_cancel_before_the_first_ring_waits_for_it(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = lambda phone, tx, request, now: phone.network.after(
        5.0, lambda _: phone.respond(tx, request, 180, "late")
    )
    bob.transactions.timers = type(bob.transactions.timers)(trying_s=100.0)
    call = anna.call("bob")
    world.run(1)
    anna.cancel(call)
    world.run(1)
    assert "CANCEL" not in [r.method for r in bob.received]
    end = end_of(world)
    assert "CANCEL" in [r.method for r in bob.received]
    assert call.status == 487
    assert end["cause"] == "cancelled"


@pytest.mark.rfc("PRX-35")
@pytest.mark.parametrize("delay_ms", range(0, 60, 6))
def test_a_cancel_that_crosses_the_answer_leaves_one_outcome(size: Size, delay_ms: int) -> None:
    world = make_world(size, seed=delay_ms)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = answer_after(1.0)
    call = anna.call("bob")
    invited = world.network.now
    world.network.at_time(invited + 1.0 + delay_ms / 1000, lambda _: anna.cancel(call))
    world.run(3)
    assert call.status == (200 if call.dialogs else 487)
    assert len(bob.dialogs) == len(call.dialogs)
    for dialog in call.dialogs.values():
        anna.hang_up(dialog)
    end = end_of(world)
    assert end["cause"] == ("completed" if call.dialogs else "cancelled")


@pytest.mark.rfc("PRX-25")
def test_a_phone_that_never_answers_at_all_times_out(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = silent
    world.network.detach(bob.address)
    call = anna.call("bob")
    end = end_of(world)
    assert call.status == 408
    assert end["cause"] == "no_answer"


@pytest.mark.rfc("PRX-21", "PRX-33")
def test_timer_c_ends_a_phone_that_rings_for_ever(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    call = anna.call("bob")
    world.run(180)
    assert call.status == 0
    end = end_of(world)
    assert call.status == 487  # as the phone answers its CANCEL
    assert end["duration_s"] is None
    # And not as if the caller had given up.
    assert (end["cause"], end["by"], end["status"]) == ("no_answer", "system", 408)


def three_phones(world: World, scripts: list[object]) -> list[Phone]:
    phones = []
    for i, script in enumerate(scripts):
        phone = registered(world, "bob", f"10.1.0.{i + 10}")
        phone.on_invite = script  # type: ignore[assignment]
        phones.append(phone)
    return phones


@pytest.mark.rfc("PRX-32")
def test_of_three_phones_the_first_to_answer_wins_and_the_others_stop(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    phones = three_phones(world, [ring_forever, answer_after(2.0), ring_forever])
    call = anna.call("bob")
    world.run(4)
    [dialog] = call.dialogs.values()
    for loser in (phones[0], phones[2]):
        [cancel] = [r for r in loser.received if r.method == "CANCEL"]
        assert "Call completed elsewhere" in (cancel.first("reason") or "")
    anna.hang_up(dialog)
    assert end_of(world)["cause"] == "completed"


@pytest.mark.rfc("PRX-26", "PRX-27")
@pytest.mark.parametrize(
    ("statuses", "best"),
    [((486, 486, 486), 486), ((480, 486, 404), 486), ((486, 603, 480), 603), ((503, 503, 503), 500)],
)
def test_when_all_phones_refuse_the_best_refusal_is_given(
    size: Size, statuses: tuple[int, ...], best: int
) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    three_phones(world, [refuse_with(s, 1.0 + i) for i, s in enumerate(statuses)])
    call = anna.call("bob")
    end_of(world)
    assert call.status == best


@pytest.mark.rfc("PRX-23")
def test_two_phones_that_answer_at_once_make_two_dialogs_and_one_call(size: Size) -> None:
    world = make_world(size, seed=3)
    anna = registered(world, "anna", "10.1.0.1")
    three_phones(world, [answer_at_once, answer_at_once, ring_forever])
    call = anna.call("bob")
    world.run(3)
    assert len(call.dialogs) == 2
    for dialog in call.dialogs.values():
        anna.hang_up(dialog)
    end = end_of(world)
    assert end["cause"] == "completed"


@pytest.mark.rfc("PRX-44")
def test_lower_q_rings_only_after_higher_q_failed(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    desk = registered(world, "bob", "10.1.0.10", q="1.0")
    mobile = registered(world, "bob", "10.1.0.11", q="0.5")
    desk.on_invite = refuse_with(486, 2.0)
    mobile.on_invite = answer_at_once
    call = anna.call("bob")
    world.run(1)
    assert not [r for r in mobile.received if r.method == "INVITE"]
    world.run(3)
    assert call.status == 200
    for dialog in call.dialogs.values():
        anna.hang_up(dialog)
    assert end_of(world)["cause"] == "completed"


def test_a_reinvite_passes_within_the_call(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    again = anna.reinvite(dialog)
    world.run(2)
    assert again.status == 200
    assert len([r for r in bob.received if r.method == "INVITE"]) == 2
    anna.hang_up(dialog)
    assert end_of(world)["cause"] == "completed"


@pytest.mark.rfc("MSG-03")
def test_a_message_is_relayed_and_answered(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    message = anna.message("bob", b"lunch?")
    world.run(2)
    assert message.status == 200
    assert bob.messages == [b"lunch?"]
    world.run(100)
    world.check_nothing_left()
    assert not world.records_of(Kind.CALL_BEGIN)


def test_a_forged_tag_or_route_reaches_nobody(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    node = world.nodes[0].address
    before = len(bob.received)
    for method in ("BYE", "INVITE", "INFO"):
        request = anna.build(method, bob.contact)
        request.set("To", f"<{bob.contact}>;tag=forged")
        outgoing = anna.start(request, node)
        routed = anna.build(method, bob.contact)
        routed.set("To", f"<{bob.contact}>;tag=forged")
        routed.append("Route", f"<sip:{node[0]}:{node[1]};lr;ct=AAAA>")
        with_route = anna.start(routed, node)
        world.run(3)
        assert outgoing.status == 481
        assert with_route.status == 481
    assert len(bob.received) == before
    world.run(200)
    world.check_nothing_left()


def test_a_token_of_another_call_opens_nothing(size: Size) -> None:
    world = make_world(size)
    anna, _ = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    stolen: Request = anna.in_dialog(dialog, "BYE")
    stolen.set("Call-ID", "another-call")
    outgoing = anna.start(stolen, world.nodes[0].address)
    world.run(2)
    assert outgoing.status == 481
    anna.hang_up(dialog)
    assert end_of(world)["cause"] == "completed"


def test_echo_answers_a_call_and_returns_a_message(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    call = anna.call("echo", b"v=0\r\ns=mine\r\n")
    message = anna.message("echo", b"hello")
    world.run(3)
    assert call.status == 200
    assert call.finals[0].body == b"v=0\r\ns=mine\r\n"
    assert message.status == 200
    assert anna.messages == [b"hello"]
    [dialog] = call.dialogs.values()
    anna.hang_up(dialog)
    assert end_of(world)["by"] == "caller"


def test_calls_survive_loss_duplication_and_reordering(size: Size) -> None:
    unkind = Conditions(loss=0.1, duplication=0.1, min_delay_s=0.001, max_delay_s=0.3)
    for seed in range(10):
        world = make_world(size, seed, unkind)
        anna = Phone(world, "anna", ANNA)
        bob = Phone(world, "bob", BOB)
        anna.register()
        bob.register()
        world.run(40)
        bob.on_invite = answer_after(3.0)
        call = anna.call("bob")
        world.run(60)
        for dialog in call.dialogs.values():
            anna.hang_up(dialog)
        world.run(700)
        assert call.status, f"{world}: no final response"
        world.check_calls()
        world.check_nothing_left()


def test_an_answered_call_keeps_no_body_while_its_transactions_last(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    registered(world, "bob", "10.1.0.2")
    call = anna.call("bob", body=b"v=0\r\ns=kept\r\n")
    world.run(2)
    assert call.status == 200
    accepted = [
        tx
        for worker in world.workers
        for tx in worker.transactions._clients.values()
        if isinstance(tx, InviteClientTransaction)
    ]
    assert len(accepted) == 1
    branch = accepted[0].owner
    assert isinstance(branch, Branch)
    assert branch.fork.request.body == b""
    world.run(40)
    assert not any(len(worker.transactions) for worker in world.workers)
