"""A phone that died in a call: the call ends, whatever other phones its owner has."""

from __future__ import annotations

import pytest

from tests.sipcore.simulation.phone import Phone, PhoneDialog, ring_forever
from tests.sipcore.simulation.test_vanished import PROBE_S, ends
from tests.sipcore.simulation.world import SIZES, Size, World

pytestmark = [
    pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"]),
    pytest.mark.parametrize("who", ["caller", "callee"]),
]

OTHERS = [("UDP", "other"), ("TLS", "other"), ("UDP", ""), ("TLS", "")]
"""Transport and instance of the other phone; "": as some write none, and the device is the same."""
HOSTS = {"anna": "10.1.0.1", "bob": "10.1.0.2"}


def phone(world: World, name: str, host: str, transport: str, instance: str) -> Phone:
    made = Phone(world, name, (host, 5060), transport=transport, instance=instance)
    done = made.register(7200)
    world.run(1)
    assert done.status == 200
    return made


def talking(
    world: World, who: str, transport: str, instance: str, other: tuple[str, str]
) -> tuple[Phone, PhoneDialog, Phone]:
    """The phone that is to die, the dialog of the one that stays, and another phone of the dead one's owner."""
    kinds = {"anna": ("UDP", "x"), "bob": ("UDP", "y")}
    name = "anna" if who == "caller" else "bob"
    kinds[name] = (transport, instance)
    anna, bob = (phone(world, n, HOSTS[n], *kinds[n]) for n in ("anna", "bob"))
    call = anna.call("bob")
    world.run(2)
    [hers], [his] = call.dialogs.values(), bob.dialogs.values()
    second = phone(world, name, "10.1.0.9", *other)
    return (anna, his, second) if who == "caller" else (bob, hers, second)


def dies(world: World, gone: Phone, how: str) -> None:
    """Its network is gone; how the server learns of it, or not."""
    world.network.detach(gone.address)
    if gone.transport == "UDP":
        if how == "heard":
            world.unreachable.add(gone.address)
        return
    for node in world.nodes:
        if gone.address in node._connections:
            node.cut(gone.address, unheard=how != "heard")


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("instance", ["dead", ""])
@pytest.mark.parametrize(
    ("transport", "how"),
    [("UDP", "heard"), ("UDP", "unheard"), ("TLS", "heard"), ("TLS", "unheard"), ("TCP", "heard")],
)
def test_the_call_ends_for_the_other_side(
    size: Size, who: str, transport: str, how: str, instance: str, other: tuple[str, str]
) -> None:
    stream = transport if transport != "UDP" else "TLS"
    kind = "TLS" if transport == "TCP" else transport  # on this network all streams are alike
    world = World(1, size, ["anna", "bob"], tls=True, stream=stream)
    if stream == "TCP":
        other = ("UDP", other[1])
    gone, dialog, _ = talking(world, who, kind, instance, other)
    dies(world, gone, how)
    world.run(2 * PROBE_S + 50)
    assert dialog.ended
    [(cause, by, _)] = ends(world)
    assert (cause, by) == ("vanished", "system")
    world.run(100)
    world.check_nothing_left()


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_a_phone_that_has_registered_anew_goes_on_with_its_call(
    size: Size, who: str, transport: str
) -> None:
    world = World(1, size, ["anna", "bob"], tls=True)
    gone, dialog, second = talking(world, who, "TLS", "same", ("TLS", "other"))
    dies(world, gone, "heard")
    back = Phone(world, gone.name, (gone.address[0], 5062), transport=transport, instance="same")
    back.dialogs = gone.dialogs
    back.register(7200)
    world.run(4 * PROBE_S)
    assert not ends(world)
    assert not dialog.ended
    assert [r.method for r in back.received] == ["OPTIONS"] * 4
    assert second.received == []


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_a_phone_that_has_forgotten_its_call_when_it_is_back_ends_it(
    size: Size, who: str, transport: str
) -> None:
    world = World(1, size, ["anna", "bob"], tls=True)
    gone, dialog, _ = talking(world, who, "TLS", "same", ("TLS", "other"))
    dies(world, gone, "heard")
    back = Phone(world, gone.name, (gone.address[0], 5062), transport=transport, instance="same")
    back.register(7200)
    world.run(PROBE_S + 10)
    assert dialog.ended
    assert ends(world) == [("vanished", "system", f"{who} does not know the call")]


@pytest.mark.parametrize("how", ["heard", "unheard"])
@pytest.mark.parametrize("transport", ["UDP", "TLS"])
def test_a_call_whose_phone_dies_while_it_rings_ends(
    size: Size, who: str, transport: str, how: str
) -> None:
    """The living phone stops ringing at the latest when nobody rings for so long (timer C)."""
    world = World(1, size, ["anna", "bob"], tls=True)
    anna = phone(world, "anna", "10.1.0.1", transport if who == "caller" else "UDP", "")
    bob = phone(world, "bob", "10.1.0.2", transport if who == "callee" else "UDP", "")
    bob.on_invite = ring_forever
    second = phone(world, "anna" if who == "caller" else "bob", "10.1.0.9", "UDP", "other")
    second.on_invite = ring_forever
    anna.call("bob")
    world.run(2)
    dies(world, anna if who == "caller" else bob, how)
    world.run(300)
    assert len(ends(world)) == 1
    living = bob if who == "caller" else second
    assert [r.method for r in living.received] == ["INVITE", "CANCEL"]
    world.run(100)
    world.check_nothing_left()


def test_a_phone_that_registers_anew_while_it_is_asked_goes_on_with_its_call(
    size: Size, who: str
) -> None:
    """It was silent once before; what was sent to where it is no more does not count as the second time."""
    world = World(1, size, ["anna", "bob"])
    name, other = ("anna", "bob") if who == "caller" else ("bob", "anna")
    gone = Phone(world, name, ("203.0.113.9", 40_123), instance="same")
    gone.contact = f"sip:{name}@192.168.4.4:5060"
    gone.register(7200)
    stays = phone(world, other, HOSTS[other], "UDP", "")
    caller = gone if who == "caller" else stays
    caller.call("bob")
    world.run(2)
    world.network.detach(gone.address)
    world.run(2 * PROBE_S - 1.7)  # it is being asked for the second time
    back = Phone(world, name, ("203.0.113.9", 40_999), instance="same")
    back.contact, back.dialogs = gone.contact, gone.dialogs
    back.register(7200)
    world.run(0.1)
    world.unreachable.add(gone.address)
    world.run(2 * PROBE_S)
    assert not ends(world)
    assert [r.method for r in back.received] == ["OPTIONS"] * 2
