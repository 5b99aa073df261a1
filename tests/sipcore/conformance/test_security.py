"""Overload, reflection, limits and the server as a user agent (RFC 3261 §26, §8.2, §11)."""

from __future__ import annotations

import pytest

from sipcore.message import parse_message
from sipcore.message.limits import DEFAULT_LIMITS
from sipcore.transaction.limits import UNCOUNTED_PART
from sipcore.transport.flow import Address
from tests.sipcore.conformance.peer import Peer, come_to_rest, new_world, peer_of, phone, sent
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB, ECHO = f"sip:bob@{DOMAIN}", f"sip:echo@{DOMAIN}"


# --- SEC-01: more than we can do --------------------------------------------------------------
@pytest.mark.rfc("SEC-01")
def test_too_many_requests_are_put_off_and_taken_again_later(size: Size) -> None:
    world = World(1, size, ["anna", "bob"], max_transactions=10)
    peer_of(world, "bob", "10.1.0.2")  # never answers
    caller = Peer(world, ("192.0.2.66", 5060))
    world.run(40)
    for _ in range(150):
        caller.send(caller.build("MESSAGE", BOB))
    world.run(1)
    refused = [r for r in caller.responses if r.status == 503]
    # A quarter of the table is taken without counting; of the rest no network has a share so small.
    taken = 10 // UNCOUNTED_PART * size.workers
    assert len(refused) == 150 - taken
    assert {r.first("retry-after") for r in refused} == {"10"}
    assert sum(len(w.transactions) for w in world.workers) == 2 * taken
    again = Peer(world, caller.address)
    repeated = again.build("MESSAGE", BOB)
    for _ in range(2):
        again.send(repeated)
        world.run(0.1)
    assert again.statuses == [503, 503]
    assert len({r.to_tag for r in again.responses}) == 1  # without state, yet the same (§8.2.7)
    world.run(100)
    again.arrived.clear()
    again.send(again.build("MESSAGE", ECHO))
    world.run(1)
    assert again.statuses == [200]


# --- SEC-08: nobody is shot at through us --------------------------------------------------------
@pytest.mark.rfc("SEC-08")
@pytest.mark.parametrize(
    "via",
    [
        "203.0.113.99:5060",
        "203.0.113.99:5060;received=203.0.113.99",
        "203.0.113.99;rport",
        "203.0.113.99;rport=9999;received=203.0.113.99",
        "224.0.0.1;maddr=224.0.0.1;ttl=200",
        "x.example;maddr=203.0.113.99",
        "192.0.2.66;maddr=192.0.2.255",
        "192.0.2.66;maddr=255.255.255.255",
        "192.0.2.66;maddr=victim.example",
        "255.255.255.255",
    ],
)
def test_a_response_goes_to_where_its_request_came_from(size: Size, via: str) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    hits: list[Address] = []
    deliver = world.network.send

    def watch(data: bytes, source: Address, destination: Address) -> None:
        if data.startswith(b"SIP/2.0 "):
            hits.append(destination)
        deliver(data, source, destination)

    world.network.send = watch  # type: ignore[method-assign]
    caller.send(
        caller.build("OPTIONS", f"sip:{DOMAIN}", ("Via", f"SIP/2.0/UDP {via};branch=z9hG4bKx"))
    )
    world.run(1)
    assert {host for host, _ in hits} == {"192.0.2.66"}


@pytest.mark.rfc("SEC-08", "TRP-10", "TRP-11")
def test_responses_are_passed_on_to_nobody_but_who_asked(size: Size) -> None:
    """Not even with a multicast Via below (RFC 4475 §3.3.10)."""
    world = new_world(size)
    peer, victim = Peer(world, ("192.0.2.66", 5060)), Peer(world, ("203.0.113.99", 5060))
    host, port = world.nodes[0].address
    for below in ("203.0.113.99:5060", "255.255.255.255", "224.0.1.75"):
        rows = [
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bKstray",
            f"Via: SIP/2.0/UDP {below};branch=z9hG4bKy",
            "From: <sip:a@b>;tag=1",
            "To: <sip:c@d>;tag=2",
            "Call-ID: stray",
            "CSeq: 1 INVITE",
            "Content-Length: 0",
        ]
        for status in (180, 200, 404):
            peer.send("\r\n".join([f"SIP/2.0 {status} x", *rows, "", ""]).encode())
    world.run(1)
    assert victim.arrived == []
    assert peer.arrived == []


# --- SEC-10: limits --------------------------------------------------------------------------------
def options(caller: Peer, *rows: bytes, body: bytes = b"") -> bytes:
    """An OPTIONS with these rows too."""
    head = caller.build("OPTIONS", f"sip:{DOMAIN}").to_bytes().partition(b"\r\nContent-Length")[0]
    length = f"Content-Length: {len(body)}".encode()
    return b"\r\n".join([head, *rows, length, b"", body])


LIMITS = DEFAULT_LIMITS
LARGE = {
    "rows": ([b"X: y"] * LIMITS.header_rows, [513]),
    "a line": ([b"X: " + b"y" * LIMITS.line_length], [513]),
    "values": ([b"Accept: " + b"a/b," * (LIMITS.values_per_row + 1)], [400]),
    "parameters": ([b"Accept: a/b" + b";c=d" * (LIMITS.params_per_row + 1)], [400]),
    "a folded line": ([b"X: y" + (b"\r\n " + b"z" * 80) * (LIMITS.line_length // 80)], [513]),
    "folds": ([b"X: y" + b"\r\n z" * (LIMITS.folds + 1)], [513]),
    "quotes": ([b'X: "' + b'\\"' * LIMITS.line_length], [513]),
    "the header block": ([b"X: " + b"y" * 8000] * 5, []),  # not even looked at
}


@pytest.mark.rfc("SEC-10")
@pytest.mark.parametrize("what", LARGE)
def test_what_is_too_much_of_anything_is_refused(size: Size, what: str) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    rows, statuses = LARGE[what]
    caller.send(options(caller, *rows))
    world.run(1)
    assert caller.statuses == statuses
    least = {"rows": rows[:1], "folds": [rows[0][:-4]]}.get(what, [])  # just as much as may be
    caller.send(options(caller, *least))
    world.run(1)
    assert caller.statuses == [*statuses, 200]


@pytest.mark.rfc("SEC-10")
def test_a_request_uri_may_be_long_and_not_endless(size: Size) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    for length, status in ((2000, 480), (3000, 414)):
        caller.arrived.clear()
        caller.send(caller.build("MESSAGE", f"sip:{'x' * length}@{DOMAIN}", ("To", "<sip:x@y>")))
        world.run(1)
        assert caller.statuses == [status]


@pytest.mark.rfc("SEC-10")
def test_nested_bodies_are_nobody_but_the_ends_affair(size: Size) -> None:
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    body = b"".join(
        b"--%d\r\nContent-Type: multipart/mixed;boundary=%d\r\n\r\n" % (i, i + 1)
        for i in range(500)
    )
    caller.send(
        caller.build("MESSAGE", BOB, ("Content-Type", "multipart/mixed;boundary=0"), body=body)
    )
    world.run(0.3)
    assert bob.requests("MESSAGE")[0].body == body


# --- SEC-16, SEC-17: the server as a user agent ----------------------------------------------------------
@pytest.mark.rfc("SEC-16", "TRP-04")
@pytest.mark.parametrize("uri", [f"sip:{DOMAIN}", f"sip:{DOMAIN}:5060", "sip:10.0.0.1"])
def test_options_to_the_server_says_what_it_can(size: Size, uri: str) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("OPTIONS", uri))
    world.run(1)
    [answer] = caller.responses
    assert answer.status == 200
    assert {"INVITE", "REGISTER", "MESSAGE", "OPTIONS"} <= set(answer.values("allow"))
    assert answer.first("accept") == "application/sdp"
    assert answer.values("supported") == ["path", "outbound"]
    assert answer.to_tag


@pytest.mark.rfc("SEC-16", "SEC-17")
def test_options_that_require_what_the_server_lacks_are_refused(size: Size) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("OPTIONS", f"sip:{DOMAIN}", ("Require", "path, teleport")))
    world.run(1)
    assert caller.responses[0].status == 420
    assert caller.responses[0].values("unsupported") == ["teleport"]


@pytest.mark.rfc("SEC-16")
def test_options_to_a_user_goes_to_his_phone(size: Size) -> None:
    """From one of us; to a stranger it would tell that there is one, and we answer."""
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    caller.send(caller.build("OPTIONS", BOB))
    world.run(0.3)
    assert caller.statuses == [200]
    assert not bob.requests()
    anna = phone(world, "anna", "10.1.0.1")
    sent(anna, anna.build("OPTIONS", BOB), 0.3)
    assert len(bob.requests("OPTIONS")) == 1


@pytest.mark.rfc("SEC-17")
@pytest.mark.parametrize("method", ["SUBSCRIBE", "PUBLISH", "REFER", "INFO", "FOO"])
def test_what_a_service_cannot_do_it_says_with_what_it_can(size: Size, method: str) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    [final] = sent(anna, anna.build(method, ECHO)).finals
    assert final.status == 405
    assert "INVITE" in final.values("allow")
    assert method not in final.values("allow")


@pytest.mark.rfc("SEC-17")
@pytest.mark.parametrize(
    ("content_type", "handling", "encoding", "status"),
    [
        ("application/sdp", None, None, 200),
        ("application/sdp", "required", "identity", 200),
        ("application/x-odd", None, None, 415),
        ("application/x-odd", "required", None, 415),
        ("application/x-odd", "optional", None, 488),  # then there is no offer at all
        ("application/sdp", None, "gzip", 415),
        ("application/sdp", "optional", "gzip", 488),
    ],
)
def test_a_body_must_be_understood_unless_it_is_optional(
    size: Size, content_type: str, handling: str | None, encoding: str | None, status: int
) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    request = anna.build("INVITE", ECHO, body=b"v=0\r\n")
    request.append("Content-Type", content_type)
    if handling is not None:
        request.append("Content-Disposition", f"session ; Handling={handling}")
    if encoding is not None:
        request.append("Content-Encoding", encoding)
    outgoing = sent(anna, request)
    assert outgoing.status == status
    [final] = outgoing.finals
    missing = "accept-encoding" if encoding else "accept"
    assert final.has(missing) == (status == 415)
    for dialog in outgoing.dialogs.values():
        anna.hang_up(dialog)
    come_to_rest(world)


@pytest.mark.rfc("SEC-17")
@pytest.mark.parametrize(("handling", "status"), [("required", 415), ("optional", 200), ("", 200)])
@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS"])
def test_what_the_server_itself_must_understand_it_says_it_does_not(
    size: Size, method: str, handling: str, status: int
) -> None:
    world = new_world(size)
    anna = phone(world, "anna", "10.1.0.1")
    request = anna.build(method, f"sip:{DOMAIN}", body=b"odd")
    request.set("To", f"<sip:anna@{DOMAIN}>")
    request.append("Content-Type", "application/x-odd")
    request.append("Content-Disposition", f"render;handling={handling}" if handling else "render")
    [final] = sent(anna, request).finals
    assert final.status == status
    assert final.has("accept-encoding") == (status == 415)


@pytest.mark.rfc("SEC-17")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "REGISTER"])
def test_who_does_not_say_who_he_is_costs_no_state(size: Size, method: str) -> None:
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    for i in range(200):
        uri = f"sip:{DOMAIN}" if method == "REGISTER" else BOB
        request = caller.build(method, uri, sender=f"sip:anna@{DOMAIN}")
        if method == "REGISTER":
            request.set("To", f"<sip:anna@{DOMAIN}>")
        caller.send(request)
        if not i % 50:
            world.run(0.1)
    world.run(1)
    assert set(caller.statuses) == {401 if method == "REGISTER" else 407}
    assert len(caller.responses) == 200
    assert all(len(worker.transactions) == 0 for worker in world.workers)


@pytest.mark.rfc("SEC-17")
def test_our_own_answers_can_be_read_back(size: Size) -> None:
    """Whatever we are asked, the answer is a message of one reading."""
    world = new_world(size)
    caller = Peer(world, ("192.0.2.66", 5060))
    for method in ("OPTIONS", "INVITE", "FOO", "SUBSCRIBE"):
        for uri in (f"sip:{DOMAIN}", ECHO, "tel:1"):
            caller.send(caller.build(method, uri))
    world.run(2)
    for data in caller.raw:
        assert parse_message(data).to_bytes() == data


# --- SEC-02: overload control, which is not supported ---------------------------------------------
@pytest.mark.rfc("SEC-02")
def test_who_offers_overload_control_hears_nothing_of_it_and_nobody_else_either(size: Size) -> None:
    """RFC 7339 is for those who take part: a client that offers it is told that we do not."""
    world = new_world(size)
    bob, caller = peer_of(world, "bob", "10.1.0.2"), Peer(world, ("192.0.2.66", 5060))
    via = f"{caller.via()};oc;oc-algo=\"loss\""
    caller.send(caller.build("MESSAGE", BOB, ("Via", via)))
    world.run(0.1)
    [message] = bob.requests("MESSAGE")
    assert "oc" not in message.via.params
    bob.answer(message, 200)
    world.run(0.1)
    [response] = caller.responses
    params = response.via.params
    assert (params["oc"], params["oc-algo"]) == (None, "loss")  # as they came, without a value
    assert "oc-validity" not in params
    assert "oc-seq" not in params
