"""What one datagram of a stranger has us send: to an address that may be forged (RFC 3261 §26.3.2.4).

The victim of a forged source answers nothing. Each shape states how many packets it gets in ten
minutes, and how many bytes for one of the attacker's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from sipcore.apps.echo import Echo
from tests.sipcore.simulation.phone import Phone, answer_at_once, refuse_with, ring_forever
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

VICTIM = ("192.0.2.66", 5060)
OTHER = "198.51.100.9"
JUNK = (
    f'Digest username="anna", realm="campus", nonce="n", uri="sip:{DOMAIN}",'
    ' response="00000000000000000000000000000000", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'
)


class Shape(NamedTuple):
    """A datagram, and the most that it may lead to."""

    name: str
    method: str
    uri: str
    packets: int
    times: float
    sender: str = "x@elsewhere.example"
    headers: tuple[str, ...] = ()
    via: str = "192.0.2.66:5060"
    to_tag: str = ""


ANNA, BOB, NOBODY = (f"sip:{name}@{DOMAIN}" for name in ("anna", "bob", "nobody"))
US = f"sip:{DOMAIN}"
SHAPES = [
    Shape("OPTIONS to ourselves", "OPTIONS", US, 1, 3.0),
    Shape("OPTIONS to a line", "OPTIONS", ANNA, 1, 3.0),
    Shape("OPTIONS to nobody", "OPTIONS", NOBODY, 1, 3.0),
    Shape("REGISTER without credentials", "REGISTER", US, 1, 3.0, sender=f"anna@{DOMAIN}"),
    Shape(
        "REGISTER with junk", "REGISTER", US, 1, 3.0, f"anna@{DOMAIN}", (f"Authorization: {JUNK}",)
    ),
    Shape("REGISTER of another domain", "REGISTER", "sip:other.example", 1, 3.0),
    Shape("INVITE in our name", "INVITE", BOB, 1, 3.0, sender=f"anna@{DOMAIN}"),
    Shape(
        "INVITE with junk", "INVITE", BOB, 1, 3.0, f"anna@{DOMAIN}", (f"Proxy-Authorization: {JUNK}",)
    ),
    Shape("INVITE to nobody", "INVITE", NOBODY, 1, 3.0),
    Shape("INVITE to a foreign domain", "INVITE", "sip:x@other.example", 1, 3.0),
    Shape("INVITE to a number", "INVITE", "tel:+4612345678", 1, 3.0),
    Shape("INVITE with a Route", "INVITE", ANNA, 1, 3.0, headers=("Route: <sip:192.0.2.1;lr>",)),
    Shape("INVITE without hops", "INVITE", ANNA, 1, 3.0, headers=("Max-Forwards: 0",)),
    Shape("INVITE with Proxy-Require", "INVITE", ANNA, 1, 3.0, headers=("Proxy-Require: x",)),
    Shape("INVITE of an unknown scheme", "INVITE", "mailto:anna@x.example", 1, 3.0),
    Shape("INVITE to sips in the open", "INVITE", f"sips:anna@{DOMAIN}", 1, 3.0),
    Shape("INVITE inside no call", "INVITE", ANNA, 1, 3.0, to_tag=";tag=t"),
    Shape("BYE inside no call", "BYE", ANNA, 1, 3.0, to_tag=";tag=t"),
    Shape("CANCEL of nothing", "CANCEL", ANNA, 1, 3.0),
    Shape("ACK of nothing", "ACK", ANNA, 0, 0.0, to_tag=";tag=t"),
    Shape("MESSAGE to nobody", "MESSAGE", NOBODY, 1, 3.0),
    Shape("MESSAGE to a line", "MESSAGE", ANNA, 1, 3.0),
    Shape("MESSAGE to echo", "MESSAGE", f"sip:echo@{DOMAIN}", 1, 3.0),
    Shape("INVITE with the Via of another host", "INVITE", NOBODY, 1, 3.0, via=f"{OTHER}:5060"),
    Shape("INVITE with a name in the Via", "INVITE", NOBODY, 1, 3.0, via="other.example"),
    Shape("INVITE with rport", "INVITE", NOBODY, 1, 3.0, via="192.0.2.66:5060;rport"),
    Shape("INVITE with a maddr", "INVITE", NOBODY, 1, 3.0, via=f"192.0.2.66;maddr={OTHER}"),
    Shape("INVITE without a body to echo", "INVITE", f"sip:echo@{DOMAIN}", 1, 3.0),
    # What a phone makes of an INVITE is the phone's: bounded by how many may ring (`perimeter`).
    Shape("INVITE that rings", "INVITE", ANNA, 12, 14.0),
    Shape("INVITE answered by a phone", "INVITE", BOB, 23, 42.0),
    Shape("INVITE declined by a phone", "INVITE", f"sip:carl@{DOMAIN}", 12, 19.0),
]


def make_world(size: Size) -> World:
    world = World(1, size, ["anna", "bob", "carl"], services=[Echo])
    scripts: list[tuple[str, Callable[..., None]]] = [
        ("anna", ring_forever),
        ("bob", answer_at_once),
        ("carl", refuse_with(486)),
    ]
    for number, (name, script) in enumerate(scripts):
        phone = Phone(world, name, (f"10.1.0.{number + 1}", 5060))
        phone.on_invite = script
        phone.register()
    world.run(2)
    return world


def datagram(shape: Shape) -> bytes:
    rows = [
        f"{shape.method} {shape.uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {shape.via};branch=z9hG4bK1",
        f"From: <sip:{shape.sender}>;tag=1",
        f"To: <{shape.uri if shape.method != 'REGISTER' else 'sip:' + shape.sender}>{shape.to_tag}",
        "Call-ID: 1",
        f"CSeq: 1 {shape.method}",
        *shape.headers,
    ]
    if shape.method == "INVITE":
        rows.append("Contact: <sip:x@192.0.2.66>")
    return "\r\n".join([*rows, "", ""]).encode()


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_what_one_datagram_leads_to(size: Size, shape: Shape) -> None:
    world = make_world(size)
    sent = datagram(shape)
    came: list[bytes] = []
    elsewhere: list[bytes] = []
    world.network.attach(VICTIM, lambda data, source, now: came.append(data))
    world.network.attach((OTHER, 5060), lambda data, source, now: elsewhere.append(data))
    world.network.send(sent, VICTIM, world.nodes[0].address)
    world.run(600)
    assert elsewhere == []
    assert world.asked == []
    assert len(came) <= shape.packets
    assert sum(map(len, came)) <= shape.times * len(sent)
