"""A REGISTER with credentials that cannot be good: refused early, and as all others are."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from sipcore.message import Response, parse_message
from sipcore.transport.flow import Address
from tests.sipcore.simulation.world import DOMAIN, ONE, REALM, World, ha1, secret_of

SOURCE = ("192.0.2.66", 5060)
NONCE = "0" * 48


def answers(world: World, request: bytes) -> list[Response]:
    """What comes back within two seconds."""
    came: list[bytes] = []

    def receive(data: bytes, source: Address, now: float) -> None:
        came.append(data)

    world.network.attach(SOURCE, receive)
    world.network.send(request, SOURCE, world.nodes[0].address)
    world.run(2)
    return [message for data in came if isinstance(message := parse_message(data), Response)]


def digest_of(name: str, nonce: str) -> str:
    """The right response of a person who has got the nonce from somebody else."""
    ha2 = sha256(f"REGISTER:sip:{DOMAIN}".encode()).hexdigest()
    key = ha1("SHA-256", name, secret_of(name)).decode()
    return sha256(f"{key}:{nonce}:00000001:c:auth:{ha2}".encode()).hexdigest()


def register(
    name: str = "anna", response: str = "0" * 64, changes: dict[str, str] | None = None
) -> bytes:
    rows = {
        "start": f"REGISTER sip:{DOMAIN} SIP/2.0",
        "Via": "SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bK1;rport",
        "Max-Forwards": "70",
        "From": f"<sip:{name}@{DOMAIN}>;tag=1",
        "To": f"<sip:{name}@{DOMAIN}>",
        "Call-ID": "one",
        "CSeq": "1 REGISTER",
        "Contact": "<sip:x@192.0.2.66>",
        "Authorization": f'Digest username="{name}", realm="{REALM}", nonce="{NONCE}", uri="sip:{DOMAIN}", '
        f'response="{response}", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c"',
        **(changes or {}),
    }
    lines = [rows.pop("start"), *(f"{name}: {value}" for name, value in rows.items())]
    return "\r\n".join([*lines, "", ""]).encode()


CHANGES = [
    {},
    {"From": f"<sip:nobody@{DOMAIN}>;tag=1", "To": f"<sip:nobody@{DOMAIN}>"},
    {"start": f"REGISTER sip:{DOMAIN}:5060 SIP/2.0"},
    {"start": "REGISTER sip:10.0.0.1 SIP/2.0"},
    {"start": f"REGISTER sips:{DOMAIN} SIP/2.0"},
    {"start": "REGISTER sip:elsewhere.example SIP/2.0"},
    {"start": f"REGISTER sip:{DOMAIN};maddr=192.0.2.1 SIP/2.0"},
    {"start": f"REGISTER sip:{DOMAIN};lr SIP/2.0"},
    {"To": "<sip:anna@elsewhere.example>"},
    {"To": f"<sips:anna@{DOMAIN}>"},
    {"To": "<tel:+4612345678>"},
    {"To": f"<sip:anna@{DOMAIN}>;tag=2"},
    {"To": "anna"},
    {"Max-Forwards": "0"},
    {"Max-Forwards": "many"},
    {"Require": "nothing-we-know"},
    {"Proxy-Require": "nothing-we-know"},
    {"Route": "<sip:192.0.2.1;lr>"},
    {"Route": "<sip:10.0.0.1;lr>"},
    {"Path": "<sip:192.0.2.1;lr>"},
    {"Max-Breadth": "many"},
    {"Supported": "path,,outbound"},
    {"Contact": "*"},
    {"Expires": "soon"},
    {"Via": "SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK1;maddr=192.0.2.67"},
    {"Via": "SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2"},
    {"Authorization": "Digest"},
    {"Authorization": "Basic YW5uYTpwdw=="},
    {"Authorization": f'Digest username="anna", realm="elsewhere", nonce="{NONCE}"'},
    {"User-Agent": "baresip v1.0.0 (x86_64/linux)"},
    {"CSeq": "1 INVITE"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("is_right", [False, True], ids=["wrong", "right, but for another nonce"])
def test_it_is_answered_as_one_that_takes_the_long_way(
    change: dict[str, str], is_right: bool
) -> None:
    told = []
    for extra in ({}, {"X-Unknown": "a header of nobody's"}):
        world = World(1, ONE, ["anna"])
        response = digest_of("anna", NONCE) if is_right else "0" * 64
        heard = answers(world, register("anna", response, {**change, **extra}))
        text = "".join([one.to_bytes().decode() for one in heard])
        told.append(re.sub('nonce="[0-9a-f]*"', "", text))
    assert told[0] == told[1]


def test_a_phone_with_the_right_secret_and_an_old_nonce_hears_that_it_is_stale() -> None:
    world = World(1, ONE, ["anna"])
    [answer] = answers(world, register("anna", digest_of("anna", NONCE)))
    assert "stale=true" in (answer.first("www-authenticate") or "")


def test_junk_is_challenged_where_there_is_no_room_for_a_transaction() -> None:
    world = World(1, ONE, ["anna"], max_transactions=0)
    [answer] = answers(world, register())
    assert answer.status == 401
