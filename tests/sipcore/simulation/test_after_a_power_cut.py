"""Phones that have all started at the same second."""

from __future__ import annotations

import pytest

from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.world import SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

NAMES = [f"phone{n}" for n in range(40)]


def test_they_are_told_to_come_back_at_different_times_and_ring_as_long_as_they_asked(
    size: Size,
) -> None:
    world = World(1, size, NAMES)
    phones = [Phone(world, name, (f"10.1.0.{n}", 5060)) for n, name in enumerate(NAMES, 1)]
    registered = [phone.register(1000) for phone in phones]
    world.run(1)
    told = [int(r.finals[0].contacts[0].params["expires"] or 0) for r in registered]
    assert [800 <= seconds <= 1000 for seconds in told] == [True] * 40
    per_ten_seconds = [len([s for s in told if s // 10 == ten]) for ten in range(80, 101)]
    assert max(per_ten_seconds) <= 6  # of forty, where all of them came at once
    world.run(990)
    call = phones[0].call("phone1")
    world.run(1)
    assert call.status == 200
    world.run(20)
    late = phones[0].call("phone2")
    world.run(1)
    assert late.status == 480
