"""Calls whose ends vanished: they are asked inside the dialog, and what is gone ends the call."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from sipcore.message import Request
from sipcore.transaction import ServerTransaction
from sipcore.transport.memory import KIND, Conditions
from tests.sipcore.simulation.phone import Phone, PhoneDialog
from tests.sipcore.simulation.test_calls import registered, talked_for
from tests.sipcore.simulation.test_crashes import kill_all
from tests.sipcore.simulation.test_rules import holder, stranger
from tests.sipcore.simulation.world import DOMAIN, SIZES, Node, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

PROBE_S = 300
DAY_S = 86_400


def make_world(
    size: Size, seed: int = 1, conditions: Conditions = KIND, **config: object
) -> World:
    return World(seed, size, ["anna", "bob", "clara"], conditions, **config)  # type: ignore[arg-type]


def talking(world: World) -> tuple[Phone, Phone, PhoneDialog, PhoneDialog]:
    """Anna called Bob: both phones, and the call as each sees it."""
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [hers] = call.dialogs.values()
    [his] = bob.dialogs.values()
    return anna, bob, hers, his


def probes(phone: Phone) -> list[Request]:
    return [r for r in phone.received if r.method == "OPTIONS"]


def vanish(phone: Phone) -> None:
    """Its battery is empty."""
    phone.network.detach(phone.address)


def restart(phone: Phone) -> None:
    """It is there again, and remembers nothing."""
    phone.dialogs.clear()


def other_node(world: World) -> Node:
    """A node that does not hold the call, where there is one."""
    return next((n for n in world.nodes if n is not holder(world)), world.nodes[0])


def ends(world: World) -> list[tuple[str, str, str]]:
    if not any(len(worker.calls) for worker in world.workers):
        world.check_calls()
    return [
        (r.fields["cause"], r.fields["by"], r.fields["reason"])
        for r in world.records_of(Kind.CALL_END)
    ]


def test_both_ends_are_asked_every_few_minutes_and_the_call_goes_on(size: Size) -> None:
    world = make_world(size)
    anna, bob, hers, _ = talking(world)
    world.run(3 * PROBE_S)
    assert len(probes(anna)) == len(probes(bob)) == 3
    assert not ends(world)
    anna.hang_up(hers)
    world.run(10)
    assert ends(world) == [("completed", "caller", "")]
    world.run(2 * PROBE_S)
    assert len(probes(anna)) == len(probes(bob)) == 3
    world.check_nothing_left()


def test_a_probe_looks_like_the_other_phone_and_leaves_its_numbers_alone(size: Size) -> None:
    world = make_world(size)
    anna, bob, hers, his = talking(world)
    bob.start(bob.in_dialog(his, "INFO"), world.nodes[0].address)
    world.run(PROBE_S)
    [to_bob], [to_anna] = probes(bob), probes(anna)
    for probe, sent_by, sent_to in ((to_bob, hers, his), (to_anna, his, hers)):
        assert probe.first("from") == sent_by.local_value
        assert probe.first("to") == sent_by.remote_value
        assert probe.cseq_number == sent_by.local_cseq
        assert probe.call_id == sent_to.call_id
        assert probe.uri_text == sent_by.remote_target
    bye = anna.hang_up(hers)
    world.run(5)
    assert bye is not None
    assert bye.status == 200
    assert bye.request.cseq_number == to_bob.cseq_number + 1


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_phone_that_knows_nothing_of_the_call_any_more_ends_it(size: Size, who: str) -> None:
    world = make_world(size)
    anna, bob, hers, his = talking(world)
    gone, other, dialog = (anna, bob, his) if who == "caller" else (bob, anna, hers)
    world.run(60)
    restart(gone)
    world.run(PROBE_S)
    assert ends(world) == [("vanished", "system", f"{who} does not know the call")]
    assert dialog.ended
    assert "gone" in (other.received[-1].first("reason") or "")
    assert not [r for r in gone.received if r.method == "BYE"]
    assert talked_for(world) == pytest.approx(PROBE_S, abs=1)
    world.run(100)
    world.check_nothing_left()


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_phone_that_answers_nothing_twice_ends_the_call(size: Size, who: str) -> None:
    world = make_world(size)
    anna, bob, hers, his = talking(world)
    gone, dialog = (anna, his) if who == "caller" else (bob, hers)
    vanish(gone)
    world.run(PROBE_S + 40)
    assert not ends(world)
    world.run(PROBE_S)
    assert dialog.ended
    assert ends(world) == [("vanished", "system", f"{who} does not answer")]
    world.run(100)
    world.check_nothing_left()


def answer_probes(phone: Phone, status: int) -> None:
    """It answers requests inside a call with this status, or another answers for it.

    Past its transaction, which sends no 408: others do not know RFC 4320.
    """
    usual = phone._request

    def request(tx: ServerTransaction, request: Request, now: float) -> None:
        if request.method == "OPTIONS":
            phone.send(tx.flow, request.respond(status).to_bytes())
        else:
            usual(tx, request, now)

    phone._request = request  # type: ignore[method-assign]


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_phone_that_another_has_not_found_twice_ends_the_call(size: Size, who: str) -> None:
    """408: a proxy of its own asked it, and got no answer."""
    world = make_world(size)
    anna, bob, hers, his = talking(world)
    gone, dialog = (anna, his) if who == "caller" else (bob, hers)
    answer_probes(gone, 408)
    world.run(PROBE_S + 5)
    assert len(probes(gone)) == 1
    assert not ends(world)
    world.run(PROBE_S)  # long before timer F would have given up
    assert dialog.ended
    assert ends(world) == [("vanished", "system", f"{who} does not answer")]
    world.run(100)
    world.check_nothing_left()


@pytest.mark.parametrize("status", [404, 405, 486, 500])
def test_who_answers_a_probe_whatever_it_is_is_there(size: Size, status: int) -> None:
    world = make_world(size)
    anna, bob, _, _ = talking(world)
    for phone in (anna, bob):
        answer_probes(phone, status)
    world.run(4 * PROBE_S)
    assert len(probes(bob)) == 4
    assert not ends(world)


def test_one_answer_in_between_counts_from_the_beginning(size: Size) -> None:
    world = make_world(size)
    _, bob, _, _ = talking(world)
    for _ in range(4):
        vanish(bob)
        world.run(PROBE_S)
        world.run(40)  # one probe is lost with all its retransmissions
        bob.network.attach(bob.address, bob._receive)
        world.run(PROBE_S - 40)
    assert not ends(world)


def test_both_phones_gone_leave_one_record(size: Size) -> None:
    world = make_world(size)
    anna, bob, _, _ = talking(world)
    vanish(anna)
    vanish(bob)
    world.run(3 * PROBE_S)
    [(cause, _, _)] = ends(world)
    assert cause == "vanished"
    world.check_nothing_left()


def test_loss_alone_ends_no_call(size: Size) -> None:
    lossy = Conditions(loss=0.2, duplication=0.1, max_delay_s=0.3)
    for seed in range(5):
        world = make_world(size, seed, lossy)
        anna = Phone(world, "anna", ("10.1.0.1", 5060))
        bob = Phone(world, "bob", ("10.1.0.2", 5060))
        anna.register(3600)
        bob.register(3600)
        world.run(40)
        call = anna.call("bob")
        world.run(30)
        assert call.status == 200, world
        world.run(10 * PROBE_S)
        assert not ends(world), world
        for dialog in call.dialogs.values():
            anna.hang_up(dialog)
        world.run(700)
        world.check_calls()
        world.check_nothing_left()


def test_probes_go_on_after_all_workers_were_killed(size: Size) -> None:
    world = make_world(size)
    anna, bob, hers, _ = talking(world)
    world.run(100)
    kill_all(world)
    world.run(PROBE_S + 2)
    assert len(probes(anna)) == len(probes(bob)) == 1
    assert probes(bob)[0].cseq_number == hers.local_cseq  # no leap: hers must still count
    vanish(bob)
    world.run(2 * PROBE_S + 40)
    assert hers.ended
    assert ends(world) == [("vanished", "system", "callee does not answer")]
    world.run(100)
    world.check_nothing_left()


def test_calls_in_a_journal_of_the_version_before_are_adopted(size: Size) -> None:
    world = make_world(size)
    _, bob, hers, _ = talking(world)
    for node in world.nodes:
        for place in node.slots:
            for row in place.journal:
                for dialog in row.get("dialogs", ()):
                    del dialog[10:]  # it knew nothing of sessions
    kill_all(world)
    restart(bob)
    world.run(PROBE_S + 5)
    assert hers.ended
    assert ends(world) == [("vanished", "system", "callee does not know the call")]


def test_after_a_crash_the_other_phone_still_accepts_its_bye(size: Size) -> None:
    """Requests since the journal's last row are unknown: our BYE leaps over them."""
    world = make_world(size)
    anna, bob, hers, his = talking(world)
    for _ in range(3):
        anna.start(anna.in_dialog(hers, "INFO"), world.nodes[0].address)
        world.run(1)
    kill_all(world)
    restart(anna)
    world.run(PROBE_S + 5)
    assert his.ended
    [bye] = [r for r in bob.received if r.method == "BYE"]
    assert bye.cseq_number > hers.local_cseq


def test_a_caller_who_left_the_echo_alone_is_missed(size: Size) -> None:
    world = make_world(size)
    anna = registered(world, "anna", "10.1.0.1")
    anna.call("echo")
    world.run(2)
    restart(anna)
    world.run(PROBE_S)
    assert ends(world) == [("vanished", "system", "caller does not know the call")]
    world.run(100)
    world.check_nothing_left()


def test_a_stranger_in_a_call_is_asked_too(size: Size) -> None:
    world = make_world(size)
    bob, mallory = registered(world, "bob", "10.1.0.2"), stranger(world)
    mallory.start(mallory.build("INVITE", f"sip:bob@{DOMAIN}", body=b"v=0\r\n"), mallory._node())
    world.run(2)
    world.run(PROBE_S)
    assert len(probes(mallory)) == len(probes(bob)) == 1
    vanish(mallory)
    world.run(2 * PROBE_S + 40)
    assert ends(world) == [("vanished", "system", "caller does not answer")]


def test_only_the_dialog_that_vanished_ends_when_two_phones_answered(size: Size) -> None:
    world = make_world(size, seed=3)
    anna = registered(world, "anna", "10.1.0.1")
    phones = [registered(world, "bob", f"10.1.0.1{i}") for i in range(2)]
    call = anna.call("bob")
    world.run(3)
    assert len(call.dialogs) == 2
    restart(phones[0])
    world.run(PROBE_S)
    assert sorted(d.ended for d in call.dialogs.values()) == [False, True]
    assert not ends(world)
    for dialog in call.dialogs.values():
        anna.hang_up(dialog)
    world.run(100)
    assert ends(world) == [("completed", "caller", "")]
    world.check_nothing_left()


def test_a_call_of_a_day_is_ended_at_both_sides(size: Size) -> None:
    world = make_world(size)
    anna, bob, hers, his = talking(world)
    world.run(DAY_S - 10)
    assert not ends(world)
    world.run(10)
    assert hers.ended
    assert his.ended
    assert all("longest" in (p.received[-1].first("reason") or "") for p in (anna, bob))
    assert ends(world) == [("too_long", "system", "")]
    assert talked_for(world) == pytest.approx(DAY_S, abs=1)
    world.run(100)
    world.check_nothing_left()


def test_the_longest_time_counts_through_a_crash(size: Size) -> None:
    world = make_world(size, max_call_s=1000.0)
    *_, hers, his = talking(world)
    world.run(500)
    kill_all(world)
    world.run(400)
    assert not ends(world)
    world.run(110)
    assert hers.ended
    assert his.ended
    assert ends(world) == [("too_long", "system", "")]
    assert talked_for(world) == pytest.approx(1000, abs=1)
    world.run(100)
    world.check_nothing_left()


def test_what_passes_another_node_reaches_the_holder_of_the_call(size: Size) -> None:
    """The numbers of probes and BYEs come from where the requests were seen."""
    world = make_world(size)
    anna, bob, hers, _ = talking(world)
    for node in (other_node(world), holder(world), other_node(world)):
        anna.start(anna.in_dialog(hers, "INFO"), node.address)
        world.run(1)
    world.run(PROBE_S)
    assert probes(bob)[-1].cseq_number == hers.local_cseq
    assert not ends(world)
