"""What people and phones write for one and the same extension, and what is none of ours."""

from __future__ import annotations

import pytest

from tests.sipcore.conformance.peer import Peer
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.test_rules import sent
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

HOST = "10.0.0.1"
"""What the set-up page may have told phones as their domain."""
BOBS = [
    f"sip:1001;phone-context={HOST}@{DOMAIN};user=phone",
    f"sip:1001;phone-context={DOMAIN}@{HOST};user=phone",
    f"sip:1001;phone-context={DOMAIN.upper()}@{DOMAIN}",
    f"sip:1001;phone-context={DOMAIN}@{DOMAIN};user=dialstring",
    f"tel:1001;phone-context={HOST}",
    f"tel:1001;phone-context={DOMAIN}",
    f"sip:10%2001@{DOMAIN}",
    f"sip:%201001%20@{DOMAIN}",
    f"sip:10%2001@{DOMAIN};user=phone",
    f"sip:1001;npdi@{DOMAIN}",
    f"sip:1001;npdi=yes;rn=+4612@{DOMAIN}",
    f"sip:10%2001;npdi@{DOMAIN}",
    "tel:1001;npdi;rn=+4612",
]


@pytest.mark.parametrize("uri", BOBS)
def test_an_extension_rings_however_it_is_dialled(size: Size, uri: str) -> None:
    world = World(1, size, ["anna", "bob"])
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    assert sent(anna, anna.build("MESSAGE", uri, body=b"x")).status == 200
    assert bob.messages == [b"x"]


@pytest.mark.parametrize(
    "uri",
    [
        f"sip:1001;phone-context=elsewhere.example@{DOMAIN};user=phone",
        f"sip:1001;phone-context=10.0.0.99@{DOMAIN}",
        "tel:1001;phone-context=10.0.0.99",
        f"sip:bob%20@{DOMAIN}",
        f"sip:bob;npdi@{DOMAIN}",
        f"sip:1001%00@{DOMAIN}",
        f"sip:;npdi@{DOMAIN}",
        f"sip:%20@{DOMAIN}",
    ],
)
def test_another_plans_number_and_no_number_reach_nobody(size: Size, uri: str) -> None:
    world = World(1, size, ["anna", "bob"])
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    assert sent(anna, anna.build("MESSAGE", uri)).status == 404
    assert bob.messages == []


@pytest.mark.parametrize("user", ["999", "112", "911", "sos"])
@pytest.mark.parametrize("parameter", ["", ";user=phone"])
def test_an_emergency_number_at_a_foreign_domain_is_somebody_there(
    size: Size, user: str, parameter: str
) -> None:
    world = World(1, size, ["anna"])
    anna, there = registered(world, "anna", "10.1.0.1"), Peer(world, ("203.0.113.5", 5060))
    anna.start(anna.build("MESSAGE", f"sip:{user}@203.0.113.5{parameter}"), world.nodes[0].address)
    world.run(1)
    assert [r.uri_text for r in there.requests()] == [f"sip:{user}@203.0.113.5{parameter}"]


@pytest.mark.parametrize("uri", [f"sip:999@{DOMAIN}", f"sip:112@{HOST};user=phone", "tel:911", f"sip:9%2099@{DOMAIN}"])
def test_an_emergency_number_here_is_told_what_to_do(size: Size, uri: str) -> None:
    world = World(1, size, ["anna"])
    anna = registered(world, "anna", "10.1.0.1")
    call = sent(anna, anna.build("INVITE", uri))
    assert call.status == 404
    assert call.finals[0].reason == "No Emergency Calls Here"
