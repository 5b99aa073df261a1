"""Places that nobody may have us send to, whoever names them: in a Contact or in the DNS."""

from __future__ import annotations

import pytest

from sipcore.locate import Answer
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.world import SIZES, Size, World

BY_ITS_FLOW = [
    (f"{host}:5070", 200)  # the phone is where it registered from
    for host in ("224.0.0.1", "255.255.255.255", "0.0.0.0", "127.0.0.1", "[ff02::1]", "[::1]")  # noqa: S104
]


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
@pytest.mark.parametrize(
    ("place", "status"), [*BY_ITS_FLOW, ("10.1.0.2:0", 480), ("bad.example", 480)]
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_contact_that_leads_nowhere_is_not_sent_to(
    size: Size, place: str, status: int, method: str
) -> None:
    world = World(1, size, ["anna", "bob"], dual_stack=True)
    world.zone["bad.example", "A"] = Answer(300.0, addresses=["224.0.0.1", "127.0.0.1"])
    world.zone["bad.example", "AAAA"] = Answer(300.0, addresses=["ff02::1", "::1"])
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    bob.contact = f"sip:bob@{place}"
    bob.register()
    world.run(1)
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    world.sent.clear()
    asked = anna.call("bob") if method == "INVITE" else anna.message("bob", b"hello")
    world.run(60)
    assert {flow.remote for flow in world.sent} <= {anna.address, bob.address}
    assert asked.status == status
