"""Workers that are killed: what was recorded stays recorded, calls go on or are closed."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from tests.sipcore.simulation.phone import Phone, answer_after, ring_forever
from tests.sipcore.simulation.test_calls import make_world, registered, talked_for
from tests.sipcore.simulation.world import SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])


def kill_all(world: World, after_s: float = 0.5) -> None:
    """Every worker of every node dies at once."""
    for node in world.nodes:
        for slot in range(len(node.slots)):
            node.kill_worker(slot, after_s)


def test_an_answered_call_goes_on_and_its_end_is_recorded(size: Size) -> None:
    world = make_world(size)
    anna, _ = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    kill_all(world)
    world.run(8)
    bye = anna.hang_up(dialog)
    world.run(400)
    assert bye is not None
    assert bye.status == 200
    world.check_calls()
    world.check_nothing_left()
    assert talked_for(world) == pytest.approx(10, abs=0.3)


def test_a_bye_during_the_outage_ends_the_call_when_it_comes_again(size: Size) -> None:
    world = make_world(size)
    anna, _ = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [dialog] = call.dialogs.values()
    kill_all(world, after_s=3.0)
    bye = anna.hang_up(dialog)
    world.run(400)
    assert bye is not None
    assert bye.status == 200
    world.check_calls()
    world.check_nothing_left()


def test_a_call_that_rings_is_recorded_as_lost(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = ring_forever
    anna.call("bob")
    world.run(2)
    kill_all(world)
    world.run(400)
    world.check_calls()
    [end] = world.records_of(Kind.CALL_END)
    assert end.fields["cause"] == "lost"


def test_an_acknowledged_registration_survives(size: Size) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    kill_all(world)
    world.run(2)
    bob.on_invite = answer_after(1.0)
    call = anna.call("bob")
    world.run(5)
    assert call.status == 200
    for dialog in call.dialogs.values():
        anna.hang_up(dialog)
    world.run(400)
    world.check_calls()
    world.check_nothing_left()


@pytest.mark.parametrize("seed", range(20))
def test_killed_at_a_random_moment_of_a_call_nothing_is_missing_or_double(
    size: Size, seed: int
) -> None:
    world = make_world(size, seed)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    bob.on_invite = answer_after(0.2)
    call = anna.call("bob")
    start = world.network.now

    def hang_up(now: float) -> None:
        for dialog in call.dialogs.values():
            anna.hang_up(dialog)

    world.network.at_time(start + 2.0, hang_up)
    moment = world.random.uniform(0.0, 2.3)
    world.network.at_time(start + moment, lambda _: kill_all(world, 0.3))
    world.run(700)
    contexts = {r.context for r in world.records_of(Kind.CALL_BEGIN)}
    answered = {r.context for r in world.records_of(Kind.CALL_ANSWER)}
    if not call.dialogs:
        # Answered by the callee while nobody forwarded it: the caller never knew.
        for phone_dialog in bob.dialogs.values():
            assert phone_dialog.ended, f"{world}: the callee still waits for its ACK"
    ended = {r.context for r in world.records_of(Kind.CALL_END)}
    assert contexts - answered <= ended, f"{world}: an unanswered call has no end"
    if call.dialogs:
        assert answered <= ended, f"{world}: an answered call has no end"


def phones_of_one_account(world: World, count: int) -> list[Phone]:
    return [
        Phone(world, "anna", (f"10.1.1.{i}", 5060), instance=f"instance-{i}") for i in range(count)
    ]


def test_devices_that_register_at_once_are_all_listed(size: Size) -> None:
    for seed in range(25):
        world = make_world(size, seed)
        phones = phones_of_one_account(world, 4)
        outgoing = [phone.register() for phone in phones]
        world.run(5)
        assert [o.status for o in outgoing] == [200] * 4, world
        query = phones[0].register(contact="")
        world.run(2)
        assert query.status == 200
        live = world.nodes[0].slots[0].worker
        assert live is not None
        contacts = {b.contact for b in live.bindings.bindings(1, world.network.at)}
        assert contacts == {phone.contact for phone in phones}, world


def test_a_star_at_another_node_removes_what_was_just_registered(size: Size) -> None:
    for seed in range(25):
        world = make_world(size, seed)
        one, two = phones_of_one_account(world, 2)
        one.register()
        two.register()
        world.run(3)
        star = one.register(expires=0, contact="*")
        world.run(3)
        assert star.status == 200
        assert not star.finals[0].rows("contact"), world
        for worker in world.workers:
            assert not worker.bindings.bindings(1, world.network.at), world
