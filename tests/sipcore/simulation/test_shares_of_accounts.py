"""Whatever one account sends, others are answered."""

from __future__ import annotations

import pytest

from tests.sipcore.conformance.peer import phone
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.world import ONE, World


@pytest.mark.parametrize("size", [1, 2, 3], ids=["one flooding account", "two", "three"])
def test_an_account_that_floods_a_silent_phone_leaves_room_for_all_others(size: int) -> None:
    names = ["bob", "clara", "dora", "flood1", "flood2", "flood3"]
    world = World(1, ONE, names, max_transactions=400)
    bob, dora = phone(world, "bob", "10.2.0.2"), phone(world, "dora", "10.5.0.2")
    clara = phone(world, "clara", "10.3.0.2")
    floods = [phone(world, f"flood{n + 1}", f"10.4.{n}.2") for n in range(size)]
    world.run(40)
    world.network.detach(bob.address)
    for _ in range(500):
        for flood in floods:
            flood.message("bob", b"x")
    world.run(5)
    refreshed, call = clara.register(), clara.call("dora")
    fresh = Phone(world, "dora", ("10.6.0.9", 5060)).register()
    world.run(3)
    assert (refreshed.status, call.status, fresh.status) == (200, 200, 200)
    assert dora.dialogs
