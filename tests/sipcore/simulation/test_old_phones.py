"""Phones that give up where SHA-256 is offered first, as pjsip 2.10 and old Twinkle do."""

from __future__ import annotations

from hashlib import md5

import pytest

from sipcore.directory import Domain
from sipcore.eventlog import Kind
from sipcore.message import Response, parse_auth_params
from tests.sipcore.simulation.phone import Outgoing, Phone
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.world import (
    DOMAIN,
    ONE,
    REALM,
    SIZES,
    Size,
    World,
    ha1,
    secret_of,
    tls_address,
)

sizes = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

RETRY_S = 300
"""After which pjsip tries to register again."""
SHA_FIRST = ["SHA-256", "MD5"]


def hexadecimal(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


class OldPhone(Phone):
    """Reads the first challenge alone, and gives up where that is not of MD5."""

    def __init__(self, world: World, transport: str = "UDP", name: str = "bob") -> None:
        super().__init__(world, name, ("10.1.0.2", 5060), transport=transport)
        self.offered: list[list[str]] = []
        """The algorithms of each challenge."""
        self.is_mute = False
        """Whether it answers no challenge at all."""

    def _authenticate(self, outgoing: Outgoing, response: Response, now: float) -> None:
        proxy = response.status == 407
        rows = response.rows("proxy-authenticate" if proxy else "www-authenticate")
        challenges = [parse_auth_params(row) for row in rows]
        self.offered.append([challenge["algorithm"] for challenge in challenges])
        if challenges[0]["algorithm"] == "MD5" and not self.is_mute:
            outgoing.authenticated = True
            self.answer(outgoing, challenges[0]["nonce"], proxy=proxy)
        else:
            outgoing.finals.append(response)

    def answer(self, outgoing: Outgoing, nonce: str, *, proxy: bool) -> None:
        """Send it again with MD5 credentials."""
        request = outgoing.request
        self._cseq += 1
        key = ha1("MD5", self.name, secret_of(self.name)).decode()
        ha2 = hexadecimal(f"{request.method}:{request.uri_text}")
        digest = hexadecimal(f"{key}:{nonce}:00000001:c:auth:{ha2}")
        request.set("CSeq", f"{self._cseq} {request.method}")
        request.set(
            "Proxy-Authorization" if proxy else "Authorization",
            f'Digest username="{self.name}", realm="{REALM}", nonce="{nonce}", '
            f'uri="{request.uri_text}", response="{digest}", algorithm=MD5, qop=auth, '
            'nc=00000001, cnonce="c"',
        )
        self._launch(outgoing)


def told(world: World) -> list[tuple[int, int]]:
    return [(r.fields["line"], r.fields["device"]) for r in world.records_of(Kind.DEVICE_MD5)]


@pytest.mark.parametrize("transport", ["UDP", "TLS"])
@sizes
def test_such_a_phone_registers_at_its_fourth_try(size: Size, transport: str) -> None:
    world = World(1, size, ["anna", "bob"], tls=True)
    phone = OldPhone(world, transport)
    # What a source was offered is each node's own memory.
    there = tls_address(0) if transport == "TLS" else world.nodes[0].address
    phone._node = lambda: there  # type: ignore[method-assign]
    tries = []
    for _ in range(4):
        tries.append(phone.register(1000))
        world.run(RETRY_S)
    assert [done.status for done in tries] == [401, 401, 401, 200]
    assert phone.offered == [SHA_FIRST, SHA_FIRST, SHA_FIRST, ["MD5"]]
    assert told(world) == [(2, 102)]
    call = registered(world, "anna", "10.1.0.1").call("bob")
    world.run(2)
    assert call.status == 200


def known(world: World) -> OldPhone:
    """One that has registered by MD5 alone."""
    phone = OldPhone(world)
    for _ in range(4):
        done = phone.register(1000)
        world.run(1)
    assert done.status == 200
    phone.offered.clear()
    return phone


def test_it_calls_and_refreshes_as_long_as_it_does_so_every_ten_minutes() -> None:
    world = World(1, ONE, ["anna", "bob"])
    registered(world, "anna", "10.1.0.1").register(7200)
    phone = known(world)
    for _ in range(5):
        world.run(590)
        phone.register(1000)
        world.run(1)
        call = phone.call("anna")
        world.run(2)
        assert call.status == 200
    assert phone.offered == [["MD5"]] * 10
    assert told(world) == [(2, 102)]


def test_ten_minutes_later_both_are_offered_again() -> None:
    world = World(1, ONE, ["anna", "bob"])
    phone = known(world)
    world.run(601)
    phone.register(1000)
    world.run(1)
    assert phone.offered == [SHA_FIRST]


def test_credentials_of_md5_that_are_too_old_are_answered_with_md5_alone() -> None:
    """It sends what it sent an hour ago; another algorithm would have it give up."""
    world = World(1, ONE, ["anna", "bob"])
    phone = known(world)
    last = phone.register(1000)
    world.run(1)
    row = last.request.first("authorization")
    assert row is not None
    world.run(3000)
    phone.offered.clear()
    request = phone.build("REGISTER", f"sip:{DOMAIN}", call_id=phone.register_call_id)
    request.set("To", f"<sip:bob@{DOMAIN}>")
    request.set("Authorization", row)
    again = phone.start(request, world.nodes[0].address)
    world.run(1)
    assert phone.offered == [["MD5"]]
    assert again.status == 200


def test_a_phone_that_answers_in_between_is_none_of_them() -> None:
    """Each REGISTER of a usual phone is challenged once and answered."""
    world = World(1, ONE, ["anna", "bob"])
    phone = registered(world, "bob", "10.1.0.2")
    for _ in range(9):
        done = phone.register()
        world.run(1)
        challenge = next(r for r in done.responses if r.status == 401)
        rows = [parse_auth_params(row) for row in challenge.rows("www-authenticate")]
        assert [row["algorithm"] for row in rows] == SHA_FIRST
    assert told(world) == []


def test_a_request_that_comes_again_counts_once() -> None:
    """The network has lost our answers."""
    world = World(1, ONE, ["anna", "bob"])
    phone = OldPhone(world)
    request = phone.build("REGISTER", f"sip:{DOMAIN}")
    request.set("To", f"<sip:bob@{DOMAIN}>")
    request.set("Via", "SIP/2.0/UDP 10.1.0.2:5060;branch=z9hG4bKsame;rport")
    for _ in range(9):
        world.network.send(request.to_bytes(), phone.address, world.nodes[0].address)
        world.run(1)
    phone.register()
    world.run(1)
    assert phone.offered == [SHA_FIRST]


def test_another_source_is_offered_both() -> None:
    world = World(1, ONE, ["anna", "bob"])
    known(world)
    other = OldPhone(world)
    other.address = ("10.1.0.2", 5070)
    other.place = "10.1.0.2:5070"
    world.network.attach(other.address, other._receive)
    other.register()
    world.run(1)
    assert other.offered == [SHA_FIRST]


@pytest.mark.parametrize("algorithms", [("SHA-256",), ("MD5",)])
def test_a_domain_that_offers_one_algorithm_offers_that_alone(algorithms: tuple[str, ...]) -> None:
    world = World(1, ONE, ["anna", "bob"])
    domains = [Domain(DOMAIN, algorithms)]
    world.change_directory(world.directory.changed(version=2, domains=domains), None)
    phone = OldPhone(world)
    phone.is_mute = True
    for _ in range(6):
        phone.register()
        world.run(1)
    assert phone.offered == [list(algorithms)] * 6


def test_where_md5_comes_first_too_sha_256_is_left_out_after_three_challenges() -> None:
    """Some give up at any algorithm that they do not know, whatever stands before it."""
    world = World(1, ONE, ["anna", "bob"])
    domains = [Domain(DOMAIN, ("MD5", "SHA-256"))]
    world.change_directory(world.directory.changed(version=2, domains=domains), None)
    phone = OldPhone(world)
    phone.is_mute = True
    for _ in range(5):
        phone.register()
        world.run(1)
    assert phone.offered == [["MD5", "SHA-256"]] * 3 + [["MD5"]] * 2
