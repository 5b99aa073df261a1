"""Places that nobody may have us send to, whoever names them: in a Contact or in the DNS."""

from __future__ import annotations

import pytest

from sipcore.directory import OpenNetworks
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


# --- private networks ------------------------------------------------------------------------------
@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize(
    ("place", "source", "opened", "is_sent"),
    [
        ("192.168.7.2", "10.1.0.1", (), False),
        ("pbx.example", "10.1.0.1", (), False),  # which the DNS says is 192.168.7.2
        ("192.168.7.2", "203.0.113.5", (), False),
        ("10.200.0.9", "203.0.113.5", (), False),
        ("[fd00::9]", "10.1.0.1", (), False),
        ("192.168.7.2", "192.168.1.9", (), True),  # a phone of such a network itself
        ("192.168.7.2", "10.1.0.1", ("192.168.0.0/16",), True),
        ("pbx.example", "10.1.0.1", ("192.168.7.2/32",), True),
        ("198.51.100.7", "10.1.0.1", (), True),
    ],
)
def test_an_account_reaches_no_private_network_but_its_own_or_an_open_one(
    size: Size, method: str, place: str, source: str, opened: tuple[str, ...], is_sent: bool
) -> None:
    world = World(1, size, ["anna"], dual_stack=True, parts=[OpenNetworks(opened)])
    world.zone["pbx.example", "A"] = Answer(300.0, addresses=["192.168.7.2"])
    anna = Phone(world, "anna", (source, 5060))
    world.sent.clear()
    uri = f"sip:desk@{place}"
    asked = anna.start(anna.build(method, uri), anna._node())
    world.run(40)
    others = {flow.remote[0] for flow in world.sent} - {source}
    address = "192.168.7.2" if place == "pbx.example" else place.strip("[]")
    assert others == ({address} if is_sent else set())
    assert asked.status == (408 if is_sent else 403)


def test_a_name_that_leads_into_a_private_network_and_elsewhere_leads_elsewhere() -> None:
    world = World(1, SIZES[0], ["anna"])
    world.zone["pbx.example", "A"] = Answer(300.0, addresses=["192.168.7.2", "198.51.100.7"])
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    world.sent.clear()
    anna.start(anna.build("MESSAGE", "sip:desk@pbx.example"), anna._node())
    world.run(40)
    assert {flow.remote[0] for flow in world.sent} == {anna.address[0], "198.51.100.7"}
