"""What a phone's address, line and device are, the other side of a call cannot find out from us.

All bytes that it gets are searched. What the phone itself writes (its Contact, its sent-by, its
session) is its own, and goes on as it is.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from sipcore.directory import Account, Device, Directory, Domain, DomainAddress
from sipcore.eventlog.context import from_base64url
from sipcore.transport.flow import Address
from tests.sipcore.simulation.phone import Phone, refuse_with
from tests.sipcore.simulation.test_rules import stranger
from tests.sipcore.simulation.world import DOMAIN, REALM, SIZES, Size, World, ha1, secret_of

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

NAT: Address = ("203.0.113.77", 40_123)
"""Where the network sees the phone."""
INSIDE = "192.168.7.9:5062"
"""What it writes of itself."""
LINE, DEVICE = 1_936_287_605, 1_819_044_973


def directory() -> Directory:
    accounts, addresses = [], []
    for line, device, name, number in (
        (LINE, DEVICE, "quetzal", "1001"),
        (LINE + 1_000_000, DEVICE + 1_000_000, "anna", "1000"),
    ):
        secret = secret_of(name)
        kept = Device(device, ha1("MD5", name, secret), ha1("SHA-256", name, secret))
        accounts.append(Account(line, name, DOMAIN, devices=(kept,)))
        addresses += [DomainAddress(DOMAIN, name, line), DomainAddress(DOMAIN, number, line)]
    return Directory(
        version=2, realm=REALM, domains=[Domain(DOMAIN)], accounts=accounts, addresses=addresses
    )


class Reader:
    """Keeps every byte that a phone gets."""

    def __init__(self, phone: Phone) -> None:
        self.datagrams: list[bytes] = []

        def receive(data: bytes, source: Address, now: float) -> None:
            self.datagrams.append(data)
            phone._receive(data, source, now)

        phone.network.attach(phone.address, receive)

    def methods(self) -> set[str]:
        return {data.split(b" ")[0].decode() for data in self.datagrams}


def forms_of(number: int, size: int) -> Iterator[bytes]:
    """A number in decimal and hexadecimal, and its bytes in either order."""
    yield str(number).encode()
    for packed in (number.to_bytes(size, "big"), number.to_bytes(size, "little")):
        yield packed
        yield packed.hex().encode()
        yield packed.hex().upper().encode()


def forms_of_text(text: str) -> Iterator[bytes]:
    """A text, its hexadecimal digits, and base64 at each of the three places it can begin at."""
    raw = text.encode()
    yield raw
    yield raw.hex().encode()
    for before in range(3):
        encoded = b64encode(b"\0" * before + raw)
        inner = encoded[(0, 2, 3)[before] :].rstrip(b"=")[:-1]  # the rest depends on neighbours
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def decoded(data: bytes) -> Iterator[bytes]:
    """What base64 or base64url may be in it, at each of the four places it can begin at."""
    for run in re.findall(rb"[A-Za-z0-9+/_-]{6,}", data):
        text = run.decode()
        for start in range(4):
            piece = text[start:]
            yield from_base64url(piece[: len(piece) // 4 * 4])
            if len(piece) % 4 > 1:
                yield from_base64url(piece + "=" * (-len(piece) % 4))


def found_in(datagrams: list[bytes], secrets: dict[str, list[bytes]]) -> set[tuple[str, bytes]]:
    """Which secret was found, and in which line."""
    found = set()
    for data in datagrams:
        for line in data.split(b"\r\n"):
            pieces = [line, *decoded(line)]
            for what, forms in secrets.items():
                if any(form in piece for form in forms for piece in pieces):
                    found.add((what, line))
    return found


def secrets(*, user: bool) -> dict[str, list[bytes]]:
    address = int(ip_address(NAT[0]))
    out = {
        "address": [*forms_of(address, 4), *forms_of_text(NAT[0])],
        "port": [str(NAT[1]).encode(), *forms_of_text(f"{NAT[0]}:{NAT[1]}")],
        "line": list(forms_of(LINE, 4)),
        "device": list(forms_of(DEVICE, 4)),
    }
    if user:
        out["user"] = list(forms_of_text("quetzal"))
    return out


def world_of(size: Size) -> World:
    world = World(7, size, ["anna"])
    world.change_directory(directory(), None)
    return world


def behind_nat(world: World) -> Phone:
    """Quetzal's phone: it knows of no NAT, and does not name its user in its Contact."""
    phone = Phone(world, "quetzal", NAT)
    phone.place = INSIDE
    phone.contact = f"sip:x4@{INSIDE}"
    phone.sdp = b"v=0\r\nc=IN IP4 192.168.7.9\r\n"
    registering = phone.register()
    world.run(1)
    assert registering.status == 200
    return phone


def converse(world: World, caller: Phone, callee: Phone, to: str, hidden: Phone) -> None:
    """A call with all that may go on in it, ended by the phone behind the NAT."""
    call = caller.start(caller.build("INVITE", to, body=b"v=0\r\n"), caller._node())
    world.run(3)
    assert call.status == 200
    [hers] = call.dialogs.values()
    [his] = callee.dialogs.values()
    world.run(310)  # both are asked whether they are there
    for phone, dialog in ((caller, hers), (callee, his)):
        phone.reinvite(dialog)
        world.run(10)
        phone.start(phone.in_dialog(dialog, "INFO"), phone._node())
        world.run(10)
    bye = hidden.hang_up(hers if hidden is caller else his)
    world.run(5)
    assert bye is not None
    assert bye.status == 200


def assert_it_learns_its_own_address(own: Reader) -> None:
    """Each response to it says where it was seen (RFC 3581 §4), those of others like ours."""
    responses = [data for data in own.datagrams if data.startswith(b"SIP/2.0 ")]
    assert len(responses) > 5
    for data in responses:
        [via] = re.findall(rb"Via: (.*)\r\n", data)
        assert via.startswith(b"SIP/2.0/UDP " + INSIDE.encode() + b";")
        assert via.endswith(b";received=203.0.113.77;rport=40123")


def test_a_stranger_who_calls_a_number_reads_nothing_of_the_phone(size: Size) -> None:
    world = world_of(size)
    phone, mallory = behind_nat(world), stranger(world)
    reader = Reader(mallory)
    number = f"sip:1001@{DOMAIN}"
    converse(world, mallory, phone, number, phone)
    phone.on_invite = refuse_with(486, 1)
    refused = mallory.start(mallory.build("INVITE", number, body=b"v=0\r\n"), mallory._node())
    world.run(5)
    assert refused.status == 486
    assert {"SIP/2.0", "OPTIONS", "INFO", "INVITE", "BYE"} <= reader.methods()
    assert not found_in(reader.datagrams, secrets(user=True))


@pytest.mark.parametrize("to", ["anna", "1000"])
def test_who_is_called_reads_nothing_of_the_phone_but_who_calls(size: Size, to: str) -> None:
    """Who calls is in From, and for phones of ours in P-Asserted-Identity."""
    world = world_of(size)
    phone = behind_nat(world)
    anna = Phone(world, "anna", ("10.1.0.1", 5060))
    anna.register()
    world.run(1)
    reader = Reader(anna)
    own = Reader(phone)
    converse(world, phone, anna, f"sip:{to}@{DOMAIN}", phone)
    assert_it_learns_its_own_address(own)
    anna.on_invite = lambda *_: None
    call = phone.call(to)
    world.run(1)
    phone.cancel(call)
    phone.message(to, b"hello")
    world.run(40)
    assert {"INVITE", "ACK", "OPTIONS", "INFO", "BYE", "CANCEL", "MESSAGE"} <= reader.methods()
    assert not found_in(reader.datagrams, secrets(user=False))


def test_the_search_finds_what_it_looks_for(size: Size) -> None:
    """Each secret in each form, wherever it stands in what is encoded."""
    del size
    planted = {"address": ip_address(NAT[0]).packed, "line": LINE.to_bytes(4, "big")}
    for what, raw in planted.items():
        for before in range(4):
            text = b64encode(b"b" * before + raw + b"after").rstrip(b"=")
            for line in (b"Route: <sip:h;lr;ct=" + text + b">", b"X-" + text, raw.hex().encode()):
                assert {w for w, _ in found_in([line], secrets(user=True))} == {what}
    for word in ("quetzal", NAT[0]):
        for before in range(3):
            encoded = b64encode(b"b" * before + word.encode() + b"after")
            assert found_in([b"X: " + encoded], secrets(user=True))
