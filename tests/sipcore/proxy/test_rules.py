"""Before a request is routed: what ends it, and our own Routes (RFC 3261 §16.3, §16.4)."""

from __future__ import annotations

from typing import Final

import pytest

from sipcore.errors import MalformedMessage
from sipcore.message import Request, Uri, parse_via
from sipcore.proxy import loop_hash, refusal, strip_own_maddr, take_own_routes
from tests.sipcore.examples import a_request, in_words

OURS: Final = frozenset({"10.0.0.1", "campus.example"})
PEER: Final = "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKpeer"


def is_ours(uri: Uri) -> bool:
    return uri.host in OURS


def own_branch(value: str) -> str:
    """Of a Via with our address, as the worker has it."""
    via = parse_via(value)
    return via.branch if via.host in OURS else ""


def refused(request: Request) -> tuple[int, str] | None:
    """Status and Unsupported of the refusal, whose To has the new tag."""
    response = refusal(request, own_branch, lambda _: "new")
    if response is None:
        return None
    assert response.to_tag == "new"
    return response.status, response.first("unsupported") or ""


# --- what ends a request -----------------------------------------------------------------------------
@pytest.mark.section("3261 16.3")
@pytest.mark.parametrize(
    ("uri", "outcome"),
    [
        ("sip:bob@campus.example", None),
        ("sips:bob@campus.example", None),
        ("SIP:bob@campus.example", None),
        ("tel:+4930", None),
        ("urn:service:sos", None),
        ("mailto:bob@campus.example", (416, "")),
        ("im:bob@campus.example", (416, "")),
        ("nobodyKnowsThisScheme:totallyopaquecontent", (416, "")),
    ],
)
def test_schemes_that_are_routed(uri: str, outcome: tuple[int, str] | None) -> None:
    assert refused(a_request(uri=uri)) == outcome


@pytest.mark.section("3261 16.3")
@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        (["Max-Forwards: 0"], (483, "")),
        (["Max-Forwards: 00"], (483, "")),
        (["Max-Forwards: 1"], None),
        (["Max-Forwards: 255"], None),
        (["Max-Forwards: 256"], None),  # as if there were none (RFC 4475 §3.1.2.4)
        (["Max-Breadth: 1"], None),
        (["Proxy-Require: teleport"], (420, "teleport")),
        (["Proxy-Require: Teleport, sec-agree"], (420, "teleport, sec-agree")),
        (["Proxy-Require: a", "Proxy-Require: b"], (420, "a, b")),
        (["Proxy-Require:"], None),
        (["Require: teleport"], None),  # for the phone
        (["Max-Forwards: 0", "Proxy-Require: teleport"], (483, "")),
    ],
    ids=in_words,
)
def test_rows_that_end_a_request(rows: list[str], outcome: tuple[int, str] | None) -> None:
    assert refused(a_request(*rows)) == outcome


def test_a_request_that_does_not_count_its_hops_goes_on() -> None:
    assert refused(a_request(without="Max-Forwards")) is None


@pytest.mark.section("3261 20.29")
@pytest.mark.parametrize(
    ("method", "outcome"),
    [("BYE", (420, "x")), ("OPTIONS", (420, "x")), ("ACK", None), ("CANCEL", None)],
)
def test_no_ack_and_no_cancel_is_refused_for_what_it_requires(
    method: str, outcome: tuple[int, str] | None
) -> None:
    assert refused(a_request("Proxy-Require: x", method=method)) == outcome


@pytest.mark.parametrize("row", ["Max-Forwards: many", "Max-Breadth: many", "Max-Breadth: -1"])
def test_numbers_that_are_none_are_malformed(row: str) -> None:
    with pytest.raises(MalformedMessage) as error:
        refused(a_request(row))
    assert error.value.status == 400


@pytest.mark.parametrize(
    ("uri", "row", "status"),
    [("mailto:x", "Max-Forwards: 0", 416), ("sip:x@y", "Max-Breadth: many", 483)],
)
def test_the_first_thing_wrong_is_what_is_said(uri: str, row: str, status: int) -> None:
    rows = [row] if row.startswith("Max-Forwards") else ["Max-Forwards: 0", row]
    assert refused(a_request(*rows, uri=uri)) == (status, "")


# --- loops (RFC 5393 §4.2) ---------------------------------------------------------------------------
def own_via(loop: str) -> str:
    return f"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKours.1.{loop}"


@pytest.mark.section("5393 4.2")
@pytest.mark.parametrize(
    ("vias", "status"),
    [
        ([PEER], None),
        ([PEER, "{same}"], 482),
        ([PEER, "{other}"], None),  # a spiral
        ([PEER, "{other}", "{same}"], 482),
        ([PEER, PEER, PEER, "{same}"], 482),
        ([f"{PEER}, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKours.1.{{hash}}"], 482),
        (["{same}"], None),  # on top: whoever wrote it sent this
        (["{same}", PEER], None),
        ([PEER, "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours.1.{hash}"], None),  # not ours
        ([PEER, "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKours{hash}"], None),  # no suffix
        ([PEER, "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKours.1.{hash}0"], None),
    ],
    ids=in_words,
)
def test_what_was_here_before_as_it_is_now_is_a_loop(vias: list[str], status: int | None) -> None:
    known = loop_hash(a_request())
    words = {"same": own_via(known), "other": own_via("00000000"), "hash": known}
    outcome = refused(a_request(*(via.format(**words) for via in vias)))
    assert outcome == (None if status is None else (status, ""))


@pytest.mark.section("5393 4.2.1")
@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"method": "CANCEL"}, True),  # CANCEL and ACK have the branch of their INVITE
        ({"rows": ["Subject: other"]}, True),
        ({"rows": ["Contact: <sip:other@192.0.2.1>"]}, True),
        ({"rows": ["Via: SIP/2.0/UDP 192.0.2.200;branch=z9hG4bKother"]}, True),
        ({"rows": ["Max-Forwards: 9"]}, True),
        ({"rows": ['From: "Anna" <sip:other@campus.example>;tag=a']}, True),
        ({"rows": ["CSeq: 2 INVITE"]}, False),
        ({"rows": ["From: <sip:anna@campus.example>;tag=other"]}, False),
        ({"rows": ["To: <sip:bob@campus.example>;tag=other"]}, False),
        ({"rows": ["Call-ID: other"]}, False),
        ({"rows": ["Route: <sip:elsewhere.example;lr>"]}, False),
        ({"rows": ["Proxy-Require: other"]}, False),
        ({"rows": ['Proxy-Authorization: Digest realm="other"']}, False),
        ({"uri": "sip:1001@campus.example"}, False),
        ({"uri": "sip:bob@campus.example;x=1"}, False),
    ],
    ids=str,
)
def test_a_loop_is_known_by_what_routing_depends_on(change: dict[str, object], same: bool) -> None:
    method, uri = str(change.get("method", "INVITE")), str(change.get("uri", ""))
    rows = change.get("rows", [])
    assert isinstance(rows, list)
    changed = a_request(*rows, method=method, uri=uri or "sip:bob@campus.example")
    assert (loop_hash(changed) == loop_hash(a_request())) is same


def test_all_rows_of_a_route_count_for_a_loop() -> None:
    routes = [f"Route: <sip:{host};lr>" for host in ("a", "b", "c")]
    seen = {loop_hash(a_request(*routes[:count])) for count in range(4)}
    seen.add(loop_hash(a_request(*reversed(routes))))
    assert len(seen) == 5
    assert all(len(text) == 8 for text in seen)


def test_bytes_that_are_no_utf_8_have_a_hash() -> None:
    one, other = (a_request(f"Call-ID: {byte}") for byte in ("\udcfe", "\udcff"))
    assert loop_hash(one) != loop_hash(other)


# --- our own Routes ----------------------------------------------------------------------------------
HEAD: Final = "<sip:10.0.0.1:5060;lr;ct="
BOB: Final = "sip:bob@192.0.2.2"
FOREIGN: Final = "<sip:edge.example;lr>"
OWN: Final = "<sip:10.0.0.1;lr>"


def taken(uri: str, rows: list[str]) -> tuple[str, list[str], str]:
    """What our Route said, what is left of the Route, and the Request-URI."""
    request = a_request(*(f"Route: {row}" for row in rows), uri=uri)
    own = take_own_routes(request, is_ours, "ct", (HEAD,))
    said = "" if not own.found else f"ct={own.token}"
    if own.uri is not None:
        said += f" of {own.uri.text}"
    assert request.has("route") is bool(request.values("route"))
    return said, request.values("route"), request.uri_text


@pytest.mark.section("3261 16.4")
@pytest.mark.parametrize(
    ("rows", "said", "left"),
    [
        ([], "", []),
        ([FOREIGN], "", [FOREIGN]),
        ([FOREIGN, OWN], "", [FOREIGN, OWN]),
        # Ours, as we record-route and as others write it.
        ([f"{HEAD}token>"], "ct=token", []),
        ([f"{HEAD}token>", FOREIGN], "ct=token", [FOREIGN]),
        ([f"{HEAD}token>, {FOREIGN}"], "ct=token of sip:10.0.0.1:5060;lr;ct=token", [FOREIGN]),
        ([f"{HEAD}one>", f"{HEAD}two>", FOREIGN], "ct=one", [FOREIGN]),
        ([f"{HEAD}one>", OWN], "ct=one", []),
        ([f"{HEAD}one>", FOREIGN, OWN], "ct=one", [FOREIGN, OWN]),
        ([f"{HEAD}t;x=1>"], "ct=t of sip:10.0.0.1:5060;lr;ct=t;x=1", []),
        ([f"{HEAD}t>;x=1"], "ct=t of sip:10.0.0.1:5060;lr;ct=t", []),
        ([f"{HEAD}t?h=1>"], "ct=t of sip:10.0.0.1:5060;lr;ct=t?h=1", []),
        (["<sip:10.0.0.1:5060;ct=token;lr>"], "ct=token of sip:10.0.0.1:5060;ct=token;lr", []),
        (['"Us" <sip:10.0.0.1;lr;ct=t>'], "ct=t of sip:10.0.0.1;lr;ct=t", []),
        ([OWN], "ct=None of sip:10.0.0.1;lr", []),
        (["<sip:campus.example>"], "ct=None of sip:campus.example", []),
        # Several of ours: the first one's token, and all of them off.
        (["<sip:10.0.0.1;lr;ct=a>", "<sip:10.0.0.1;lr;ct=b>"], "ct=a of sip:10.0.0.1;lr;ct=a", []),
        ([f"{OWN}, {OWN}, {FOREIGN}, {OWN}"], "ct=None of sip:10.0.0.1;lr", [FOREIGN, OWN]),
        ([OWN, OWN, FOREIGN], "ct=None of sip:10.0.0.1;lr", [FOREIGN]),
        ([OWN, FOREIGN], "ct=None of sip:10.0.0.1;lr", [FOREIGN]),
        # The user part is the token of a flow: that of another flow stays.
        (
            ["<sip:one@10.0.0.1;lr>", "<sip:two@10.0.0.1;lr>"],
            "ct=None of sip:one@10.0.0.1;lr",
            ["<sip:two@10.0.0.1;lr>"],
        ),
        (["<sip:one@10.0.0.1;lr>", "<sip:one@10.0.0.1;lr>"], "ct=None of sip:one@10.0.0.1;lr", []),
        (["<sip:one@10.0.0.1;lr>", OWN], "ct=None of sip:one@10.0.0.1;lr", []),
        ([OWN, "<sip:two@10.0.0.1;lr>"], "ct=None of sip:10.0.0.1;lr", []),
        (
            ["<sip:one@10.0.0.1;lr>", OWN, "<sip:two@10.0.0.1;lr>", FOREIGN],
            "ct=None of sip:one@10.0.0.1;lr",
            ["<sip:two@10.0.0.1;lr>", FOREIGN],
        ),
        ([""], "", []),
        (["", FOREIGN], "", [FOREIGN]),
    ],
    ids=in_words,
)
def test_our_own_routes_are_taken_off_the_top(rows: list[str], said: str, left: list[str]) -> None:
    assert taken(BOB, rows) == (said, left, BOB)


STRICT: Final = "sip:10.0.0.1;lr;ct=token"


@pytest.mark.section("3261 16.4")
@pytest.mark.parametrize(
    ("uri", "rows", "outcome"),
    [
        # A strict router put our URI into the Request-URI, and the target last.
        (STRICT, [f"<{BOB}>"], (f"ct=token of {STRICT}", [], BOB)),
        (STRICT, [FOREIGN, f"<{BOB}>"], (f"ct=token of {STRICT}", [FOREIGN], BOB)),
        (STRICT, [f"{FOREIGN}, <{BOB}>"], (f"ct=token of {STRICT}", [FOREIGN], BOB)),
        (STRICT, [f'"Bob" <{BOB}>;x=1'], (f"ct=token of {STRICT}", [], BOB)),
        (
            STRICT,
            ["<sip:10.0.0.1;lr;ct=two>", FOREIGN, f"<{BOB}>"],
            ("ct=two of sip:10.0.0.1;lr;ct=two", [FOREIGN], BOB),
        ),
        ("sip:10.0.0.1;lr", [f"<{BOB}>"], ("ct=None of sip:10.0.0.1;lr", [], BOB)),
        (STRICT, [""], (f"ct=token of {STRICT}", [], STRICT)),  # a row without a value
        # It did not: no Route, no lr, or not ours.
        (STRICT, [], ("", [], STRICT)),
        ("sip:10.0.0.1;ct=token", [FOREIGN], ("", [FOREIGN], "sip:10.0.0.1;ct=token")),
        ("sip:edge.example;lr", [FOREIGN], ("", [FOREIGN], "sip:edge.example;lr")),
        ("sip:edge.example;lr", [OWN], ("ct=None of sip:10.0.0.1;lr", [], "sip:edge.example;lr")),
    ],
)
def test_strict_routing_is_undone(
    uri: str, rows: list[str], outcome: tuple[str, list[str], str]
) -> None:
    assert taken(uri, rows) == outcome


@pytest.mark.parametrize("row", ["<sip:[>", f'{HEAD}"token">', f'{HEAD}token">'])
def test_a_route_that_cannot_be_read_is_malformed(row: str) -> None:
    with pytest.raises(MalformedMessage):
        taken(BOB, [row])


def test_without_a_parameter_no_token_is_asked_for() -> None:
    request = a_request(f"Route: {HEAD}token>")
    own = take_own_routes(request, is_ours)
    assert (own.found, own.token) == (True, None)


# --- maddr (RFC 3261 §16.4) --------------------------------------------------------------------------
SOCKETS: Final = {("10.0.0.1", 5060, "UDP"), ("10.0.0.1", 5061, "TLS"), ("10.0.0.1", 5080, "TCP")}


@pytest.mark.section("3261 16.4")
@pytest.mark.parametrize(
    ("uri", "stripped"),
    [
        ("sip:bob@campus.example;maddr=10.0.0.1", "sip:bob@campus.example"),
        ("sip:bob@campus.example:5060;maddr=10.0.0.1", "sip:bob@campus.example"),
        ("sip:bob:pw@campus.example;maddr=10.0.0.1;x=1", "sip:bob:pw@campus.example;x=1"),
        ("sip:bob@campus.example:5080;maddr=10.0.0.1;transport=tcp", "sip:bob@campus.example"),
        ("sip:bob@campus.example;transport=tls;maddr=10.0.0.1", "sip:bob@campus.example"),
        ("sips:bob@campus.example;maddr=10.0.0.1", "sips:bob@campus.example"),
        # Not one of our sockets: it stays as it is.
        ("sip:bob@campus.example;maddr=10.0.0.2", ""),
        ("sip:bob@campus.example:5070;maddr=10.0.0.1", ""),
        ("sip:bob@campus.example;maddr=10.0.0.1;transport=tcp", ""),
        ("sip:bob@campus.example;maddr", ""),
        ("sip:bob@campus.example", ""),
    ],
)
def test_a_maddr_of_ours_is_taken_out(uri: str, stripped: str) -> None:
    request = a_request(uri=uri)
    strip_own_maddr(request, lambda host, port, transport: (host, port, transport) in SOCKETS)
    assert request.uri_text == (stripped or uri)


def test_a_maddr_is_compared_without_regard_to_case() -> None:
    request = a_request(uri="sip:bob@campus.example;maddr=SIP.Campus.Example")
    strip_own_maddr(request, lambda host, port, transport: host == "sip.campus.example")
    assert request.uri_text == "sip:bob@campus.example"
