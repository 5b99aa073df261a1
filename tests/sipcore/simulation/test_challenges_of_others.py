"""Who else asks a phone for credentials in our name gets none, and learns nothing of its secret."""

from __future__ import annotations

import pytest

from sipcore.message import Request
from tests.sipcore.conformance.peer import Peer, new_world, peer_of, phone
from tests.sipcore.simulation.world import DOMAIN, REALM, SIZES, Size

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
CHALLENGES = [(407, "Proxy-Authenticate"), (401, "WWW-Authenticate")]


def challenge(realm: str) -> str:
    return f'Digest realm="{realm}", nonce="{"a" * 48}", algorithm=SHA-256, qop="auth"'


def asks_for_credentials(peer: Peer, status: int, header: str, *realms: str) -> None:
    """It answers each INVITE and BYE so."""

    def answer(request: Request) -> None:
        if request.method != "ACK":
            peer.answer(request, status, *((header, challenge(realm)) for realm in realms))

    peer.on_request = answer


@pytest.mark.parametrize(("status", "header"), CHALLENGES)
@pytest.mark.parametrize("callee", ["a foreign server", "another student"])
def test_a_challenge_of_whoever_is_called_reaches_no_phone_in_our_name(
    size: Size, status: int, header: str, callee: str
) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    if callee == "another student":
        evil, uri = peer_of(world, "bob", "10.1.0.2"), f"sip:bob@{DOMAIN}"
    else:
        evil, uri = Peer(world, ("203.0.113.5", 5060)), "sip:x@203.0.113.5"
    asks_for_credentials(evil, status, header, REALM, "elsewhere")
    outgoing = anna.start(anna.build("INVITE", uri), world.nodes[0].address)
    world.run(3)
    last = outgoing.responses[-1]
    assert last.status == status
    assert last.rows(header.lower()) == [challenge("elsewhere")]


@pytest.mark.parametrize(
    "value",
    [
        'Digest nonce="n", realm="campus"',
        'digest REALM = "campus" , nonce="n"',
        'Digest realm="cam\\pus", nonce="n"',
        "Digest realm=campus, nonce=n",
    ],
)
def test_no_spelling_of_our_realm_passes(size: Size, value: str) -> None:
    world = new_world(size)
    anna, evil = phone(world, "anna", "10.1.0.1"), Peer(world, ("203.0.113.5", 5060))
    evil.on_request = lambda request: (
        None if request.method == "ACK" else evil.answer(request, 401, ("WWW-Authenticate", value))
    )
    outgoing = anna.start(anna.build("INVITE", "sip:x@203.0.113.5"), world.nodes[0].address)
    world.run(3)
    assert [r.rows("www-authenticate") for r in outgoing.responses if r.status == 401] == [[]]


@pytest.mark.parametrize(("status", "header"), CHALLENGES)
def test_a_phone_that_hangs_up_is_asked_for_nothing_in_our_name(
    size: Size, status: int, header: str
) -> None:
    """The other side answers the BYE so: phones send it again with credentials."""
    world = new_world(size)
    anna, evil = phone(world, "anna", "10.1.0.1"), Peer(world, ("203.0.113.5", 5060))
    evil.on_request = lambda r: evil.answer(r, 200) if r.method == "INVITE" else None
    call = anna.start(anna.build("INVITE", "sip:x@203.0.113.5"), world.nodes[0].address)
    world.run(3)
    [dialog] = call.dialogs.values()
    asks_for_credentials(evil, status, header, REALM)
    bye = anna.start(anna.in_dialog(dialog, "BYE"), world.nodes[0].address)
    bye.authenticated = True  # the phone of this test would look for a challenge
    world.run(3)
    assert [(r.status, r.rows(header.lower())) for r in bye.responses] == [(status, [])]


@pytest.mark.parametrize("header", ["Authorization", "Proxy-Authorization"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS"])
def test_credentials_for_us_go_on_to_nobody(size: Size, header: str, method: str) -> None:
    world = new_world(size)
    anna, evil = phone(world, "anna", "10.1.0.1"), Peer(world, ("203.0.113.5", 5060))
    request = anna.build(method, "sip:x@203.0.113.5")
    for realm in (REALM, "elsewhere"):
        request.append(header, f'Digest username="anna", realm="{realm}", nonce="n", response="r"')
    anna.start(request, world.nodes[0].address)
    world.run(3)
    [arrived] = evil.requests(method)
    found = arrived.rows(header.lower())
    assert not [row for row in found if f'"{REALM}"' in row]
    if header == "Authorization":  # the other one the phone of this test has replaced
        assert len(found) == 1
