"""RFC 4475 and RFC 5118: what the server answers to each torture message, seen from outside."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sipcore.directory import Directory, Domain, DomainAddress
from sipcore.message import Response, parse_auth_params, parse_message
from tests.sipcore.simulation.world import REALM, SIZES, Size, World, secret_of
from tests.support.wire import digest

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

DATA = Path(__file__).parents[2] / "data" / "torture"
SOURCE = ("192.0.2.99", 5060)


def cases() -> list[Any]:
    out = []
    for folder in ("rfc4475", "rfc5118"):
        for entry in json.loads((DATA / folder / "index.json").read_text()):
            path = DATA / folder / entry["file"]
            if entry["file"] == "baddn.dat":
                path = DATA / folder / "extra" / "baddn.fixed.dat"
            out.append(pytest.param(path, entry["outcomes"], id=f"{folder}/{entry['file']}"))
    return out


EXPECTED: dict[int | None, str] = {
    # OPTIONS to the server itself
    200: "via-received-param-no-delim.dat",
    # refused for how it reads
    400: "badinv01.dat clerr.dat ncl.dat scalar02.dat quotbal.dat lwsruri.dat lwsstart.dat "
    "trws.dat mismatch01.dat mismatch02.dat insuf.dat unksm2.dat multi01.dat "
    "mcl01.dat ipv6-bad.dat",
    # REGISTER: the registrar asks for credentials
    401: "escnull.dat dblreq.dat regbadct.dat regaut01.dat cparam01.dat cparam02.dat "
    "regescrt.dat ipv6-good.dat",
    # read and understood: the proxy asks for credentials
    407: "intmeth.dat esc01.dat esc02.dat lwsdisp.dat longreq.dat semiuri.dat transports.dat "
    "mpart01.dat ltgtruri.dat escruri.dat baddate.dat badaspec.dat badbranch.dat invut.dat "
    "sdp01.dat port-ambiguous.dat port-unambiguous.dat ipv6-in-sdp.dat mult-ip-in-sdp.dat "
    "ipv6-bug-abnf-3-colons.dat ipv6-correct-abnf-2-colons.dat baddn.dat",
    416: "unkscm.dat novelsc.dat",
    420: "bext01.dat",
    # from a stranger, to somebody with no phone
    480: "inv2543.dat ipv4-mapped-ipv6.dat",
    # understood as part of a dialog that there is not
    481: "wsinv.dat via-received-param-with-delim.dat mult-ip-in-header.dat",
    483: "zeromf.dat",
    505: "badvers.dat",
    # responses: dropped
    None: "unreason.dat noreason.dat scalarlg.dat bigcode.dat bcast.dat",
}
"""The first final answer to each, from a server of the domains that most of them are meant for."""
NAMES = ("example.com", "example.org", "example.net", "company.com", "[2001:db8::10]")


def torture_world(size: Size) -> World:
    """A server of these domains, with two accounts."""
    world = World(1, size, ["user", "watson"])
    present = world.directory
    directory = Directory(
        version=2,
        realm=REALM,
        domains=[Domain(name) for name in NAMES],
        accounts=[replace(a, domain=NAMES[0]) for a in present.accounts()],
        addresses=[
            DomainAddress(name, a.username, a.id) for a in present.accounts() for name in NAMES
        ],
    )
    world.change_directory(directory, [])
    return world


def answers_to(data: bytes, size: Size) -> list[int]:
    """The final statuses a node gives to one datagram, wherever they go."""
    world = torture_world(size)
    sent: list[bytes] = []
    world.network.send = lambda data, source, destination: sent.append(data)  # type: ignore[method-assign]
    node = world.nodes[0]
    node._receive(data, SOURCE, 0.0)
    world.run(1.0)
    lines = [wire.split(b" ", 2) for wire in sent if wire.startswith(b"SIP/2.0 ")]
    return [int(line[1]) for line in lines if int(line[1]) >= 200]


def expected() -> dict[str, int | None]:
    return {file: status for status, files in EXPECTED.items() for file in files.split()}


def allowed(outcome: str, status: int | None) -> bool:
    """Whether this answer is one that the RFC's own verdict leaves open."""
    word = outcome.partition("(")[0]
    if word == "drop":
        return status is None
    if word in ("accept", "lenient-accept", "rfc2543-match", "200", "401", "415", "406", "501"):
        # Not refused for how it reads. Credentials are asked for before anything else is judged.
        return status in (None, 200, 401, 407, 480, 481)
    return word.isdigit() and status == int(word)


@pytest.mark.parametrize(("path", "outcomes"), cases())
def test_the_answer_to_a_torture_message_is_what_its_rfc_says(
    size: Size, path: Path, outcomes: list[str]
) -> None:
    finals = answers_to(path.read_bytes(), size)
    status = finals[0] if finals else None
    assert status == expected()[path.name.replace(".fixed", "")]
    assert len(set(finals)) <= 1
    assert any(allowed(outcome, status) for outcome in outcomes), (status, outcomes)


@pytest.mark.parametrize(
    ("file", "status", "contacts"),
    [
        ("cparam01.dat", 200, ["<sip:+19725552222@gw1.example.net>"]),
        ("cparam02.dat", 200, ["<sip:+19725552222@gw1.example.net;unknownparam>"]),
        # Its contact is its own address-of-record: a call to it would go round and round here. The
        # escaped header has nothing to do with that.
        ("regescrt.dat", 403, []),
    ],
)
def test_what_a_torturous_registration_leaves_behind(
    size: Size, file: str, status: int, contacts: list[str]
) -> None:
    data = (DATA / "rfc4475" / file).read_bytes()
    user = "user" if file == "regescrt.dat" else "watson"
    world = torture_world(size)
    sent: list[bytes] = []
    world.network.send = lambda data, source, destination: sent.append(data)  # type: ignore[method-assign]
    world.nodes[0]._receive(data, SOURCE, 0.0)
    world.run(0.1)
    challenge = parse_auth_params(parse_message(sent[0]).rows("www-authenticate")[0])
    head, _, body = data.partition(b"\r\n\r\n")
    row = f"Authorization: {digest(challenge, 'REGISTER', 'sip:example.com', user, secret_of(user))}"
    world.nodes[0]._receive(b"\r\n".join((head, row.encode(), b"", body)), SOURCE, 0.1)
    world.run(1.0)
    answer = parse_message(sent[1])
    assert isinstance(answer, Response)
    assert answer.status == status
    assert [value.partition(";expires=")[0] for value in answer.values("contact")] == contacts
