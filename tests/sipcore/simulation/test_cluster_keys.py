"""The cluster key is changed: what was signed with the one before works for as long as it is kept."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Kind
from tests.sipcore.conformance.test_outbound import Edged
from tests.sipcore.simulation.test_calls import make_world, registered
from tests.sipcore.simulation.test_crashes import kill_all
from tests.sipcore.simulation.world import KEY, SIZES, Size, World

NEW = b"n" * 32

pytestmark = [
    pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"]),
    pytest.mark.parametrize("kept", [True, False], ids=["kept", "taken away"]),
]


def change_keys(world: World, kept: bool) -> None:
    """All workers start again with a new key, and perhaps the one before."""
    world.cluster_keys = (NEW, KEY) if kept else (NEW,)
    kill_all(world)
    world.run(2)


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_call_of_the_key_before(size: Size, kept: bool, who: str) -> None:
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    call = anna.call("bob")
    world.run(2)
    [hers], [his] = call.dialogs.values(), bob.dialogs.values()
    change_keys(world, kept)
    if who == "caller":
        bye, other = anna.hang_up(hers), his
    else:
        bye, other = bob.hang_up(his), hers
    world.run(5)
    assert bye is not None
    assert (bye.status, other.ended) == ((200, True) if kept else (481, False))
    if kept:
        world.run(400)
        world.check_calls()
        world.check_nothing_left()
        assert {end.fields["cause"] for end in world.records_of(Kind.CALL_END)} == {"completed"}


@pytest.mark.rfc("REG-25")
def test_a_path_of_the_key_before(size: Size, kept: bool) -> None:
    edged = Edged(size, "UDP through a NAT")
    path = edged.path()
    change_keys(edged.world, kept)
    edged.back("MESSAGE", path)
    assert len(edged.phone.requests("MESSAGE")) == kept
    if not kept:
        assert edged.registrar.statuses == [403]
    since = edged.path()
    edged.back("MESSAGE", since)
    assert len(edged.phone.requests("MESSAGE")) == kept + 1


def test_calls_since_are_of_the_new_key(size: Size, kept: bool) -> None:
    """The key before can be taken away when the calls of its time are over."""
    world = make_world(size)
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    change_keys(world, kept)
    call = anna.call("bob")
    world.run(2)
    [hers] = call.dialogs.values()
    change_keys(world, kept=False)
    bye = anna.hang_up(hers)
    world.run(5)
    assert bye is not None
    assert bye.status == 200
    assert all(dialog.ended for dialog in bob.dialogs.values())
