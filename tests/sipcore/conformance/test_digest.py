"""What RFC 3261 §22, RFC 7616 and RFC 8760 ask of authentication, told by who gets in."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5, sha256
from typing import Final

import pytest

from sipcore.message import Request, Response, parse_auth_params, parse_message
from tests.sipcore.conformance.peer import Peer, new_world, peer_of
from tests.sipcore.simulation.world import DOMAIN, REALM, SIZES, Size, World, ha1, secret_of

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

BOB, ANNA = f"sip:bob@{DOMAIN}", f"sip:anna@{DOMAIN}"
AUTHORIZATION: Final = {401: "Authorization", 407: "Proxy-Authorization"}
QUOTED: Final = ("username", "realm", "nonce", "uri", "response", "cnonce", "opaque")


def hashed(algorithm: str, text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    if algorithm.upper().startswith("MD5"):
        return md5(data, usedforsecurity=False).hexdigest()
    return sha256(data).hexdigest()


class Client:
    """Anna's phone, with every step of authentication in the hands of the test."""

    def __init__(self, size: Size) -> None:
        self.world: World = new_world(size)
        self.bob = peer_of(self.world, "bob", "10.1.0.2")
        self.peer = Peer(self.world, ("10.1.0.1", 5060))
        self.cseq = 0
        self.answer: tuple[tuple[str, str], ...] = ()
        """Header rows of bob's answers."""

    def send(self, method: str, uri: str, *headers: tuple[str, str], body: bytes = b"") -> Response:
        """A request as anna; the first response to it."""
        self.cseq += 1
        to = ANNA if method == "REGISTER" else uri
        rows = [("To", f"<{to}>"), ("Call-ID", "anna@10.1.0.1"), ("CSeq", f"{self.cseq} {method}")]
        contact = ("Contact", "<sip:anna@10.1.0.1:5060>")
        request = self.peer.build(method, uri, *rows, contact, *headers, sender=ANNA, body=body)
        self.peer.arrived.clear()
        self.peer.send(request)
        self.world.run(0.3)
        if method != "REGISTER" and self.bob.requests(method):
            self.bob.answer(self.bob.requests(method)[-1], 200, *self.answer)
            self.world.run(0.1)
        return self.peer.responses[0]

    def register(self, *headers: tuple[str, str], body: bytes = b"") -> Response:
        return self.send("REGISTER", f"sip:{DOMAIN}", *headers, body=body)

    def message(self, *headers: tuple[str, str]) -> Response:
        return self.send("MESSAGE", BOB, *headers)


def challenges(response: Response) -> list[Mapping[str, str]]:
    """The parameters of each challenge, in order."""
    name = "www-authenticate" if response.status == 401 else "proxy-authenticate"
    return [parse_auth_params(row) for row in response.rows(name)]


def credentials(
    challenge: Response,
    method: str = "REGISTER",
    *,
    algorithm: str = "SHA-256",
    username: str = "anna",
    secret: str | None = None,
    qop: str = "auth",
    nc: str = "00000001",
    uri: str = f"sip:{DOMAIN}",
    body: bytes = b"",
    leave_out: tuple[str, ...] = (),
    **changed: str,
) -> tuple[str, str]:
    """The header that answers a challenge; `changed` is written instead of what was hashed."""
    nonce = challenges(challenge)[0]["nonce"]
    base = "MD5" if algorithm.upper().startswith("MD5") else "SHA-256"
    key = ha1(base, username, secret or secret_of(username)).decode()
    if algorithm.endswith("-sess"):
        key = hashed(base, f"{key}:{nonce}:c0ffee")
    a2 = f"{method}:{uri}".encode()
    if qop == "auth-int":
        a2 += f":{hashed(base, body)}".encode()
    ha2 = hashed(base, a2)
    middle = f"{nonce}:{nc}:c0ffee:{qop}" if qop else nonce
    params = {
        "username": username,
        "realm": REALM,
        "nonce": nonce,
        "uri": uri,
        "response": hashed(base, f"{key}:{middle}:{ha2}"),
        "algorithm": algorithm,
    }
    if qop:
        params |= {"qop": qop, "nc": nc, "cnonce": "c0ffee"}
    params |= changed
    text = ", ".join(
        f'{name}="{value}"' if name in QUOTED else f"{name}={value}"
        for name, value in params.items()
        if name not in leave_out
    )
    return AUTHORIZATION[challenge.status], f"Digest {text}"


@pytest.fixture
def client(size: Size) -> Client:
    return Client(size)


@pytest.mark.rfc("DIG-01", "DIG-05", "DIG-10", "DIG-13")
def test_registrar_and_proxy_challenge_in_their_own_ways(client: Client) -> None:
    for response, status in ((client.register(), 401), (client.message(), 407)):
        assert response.status == status
        found = challenges(response)
        assert [c["algorithm"] for c in found] == ["SHA-256", "MD5"]  # RFC 8760 §2.3
        assert {c["realm"] for c in found} == {REALM}
        assert {c["qop"] for c in found} == {"auth"}
        name = "www-authenticate" if status == 401 else "proxy-authenticate"
        for row in response.rows(name):
            assert row.startswith("Digest ")
            assert f'realm="{REALM}"' in row
            assert 'nonce="' in row
            assert 'algorithm="' not in row
        other = "proxy-authenticate" if status == 401 else "www-authenticate"
        assert response.rows(other) == []


@pytest.mark.rfc("DIG-06", "DIG-09", "DIG-05")
@pytest.mark.parametrize("qop", ["auth", ""])
@pytest.mark.parametrize("algorithm", ["SHA-256", "sha-256", "MD5", "md5"])
def test_who_knows_the_secret_gets_in(client: Client, algorithm: str, qop: str) -> None:
    """Without qop as in RFC 2069, which clients still do."""
    for status, send, method in (
        (401, client.register, "REGISTER"), (407, client.message, "MESSAGE")
    ):
        challenge = send()
        assert challenge.status == status
        right = credentials(challenge, method, algorithm=algorithm, qop=qop)
        assert send(right).status == 200
    assert client.bob.requests("MESSAGE")


@pytest.mark.rfc("DIG-09")
def test_no_algorithm_is_md5(client: Client) -> None:
    right = credentials(client.register(), algorithm="MD5", leave_out=("algorithm",))
    assert client.register(right).status == 200


@pytest.mark.rfc("DIG-01", "DIG-06")
@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "guessed"},
        {"username": "bob"},
        {"username": "nobody", "secret": "guessed"},
        {"response": "0" * 64},
        {"uri": "sip:campus.example", "nc": "00000001", "cnonce": "other"},
        {"method": "INVITE"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_nobody_else_gets_in_and_nothing_tells_why(client: Client, wrong: dict[str, str]) -> None:
    challenge = client.register()
    response = client.register(credentials(challenge, **wrong))  # type: ignore[arg-type]
    # Bob, who is himself, is told that this is not his; the others all hear the same.
    assert response.status == (403 if wrong.get("username") == "bob" else 401)
    if response.status == 401:
        assert "stale" not in challenges(response)[0]


@pytest.mark.rfc("DIG-02", "DIG-18", "DIG-19", "DIG-07", "DIG-16")
@pytest.mark.parametrize(
    "value",
    [
        "Basic YW5uYTpzZWNyZXQtb2YtYW5uYQ==",
        "Bearer abcdef.ghijkl",
        "NoOneKnowsThisScheme opaque-data=here",
        'Digest username="x", realm="elsewhere", nonce="1", uri="sip:x", response="0"',
        "MD5-sess",
        "SHA-256-sess",
        "SHA-512-256",
        "userhash",
        "realm",
    ],
)
def test_what_was_not_offered_is_no_credentials_and_gets_a_challenge(
    client: Client, value: str
) -> None:
    """Neither -sess nor userhash is offered, so no client may use them (RFC 7616 §3.3, §3.4.4)."""
    challenge = client.register()
    for offered in challenges(challenge):
        assert "userhash" not in offered
        assert offered["algorithm"] in ("MD5", "SHA-256")
    header = ("Authorization", value)
    if value == "userhash":
        name = hashed("SHA-256", f"anna:{REALM}")
        right = credentials(challenge, secret=secret_of("anna"), userhash="true")
        header = right[0], right[1].replace('username="anna"', f'username="{name}"')
    elif value == "realm":
        header = credentials(challenge, realm="elsewhere")
    elif " " not in value:
        header = credentials(challenge, algorithm=value)
    response = client.register(header)
    assert response.status == 401
    assert [c["algorithm"] for c in challenges(response)] == ["SHA-256", "MD5"]


@pytest.mark.rfc("DIG-13")
@pytest.mark.parametrize("blanks", ["\t", "  ", " \t "])
def test_any_blanks_may_stand_before_the_credentials(client: Client, blanks: str) -> None:
    name, value = credentials(client.register())
    assert client.register((name, value.replace("Digest ", f"Digest{blanks}", 1))).status == 200


@pytest.mark.rfc("DIG-19")
def test_what_is_unknown_in_credentials_is_left_alone(client: Client) -> None:
    name, value = credentials(client.register())
    assert client.register((name, f'{value}, foo=bar, x="y, z"')).status == 200


@pytest.mark.rfc("DIG-01")
@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "SUBSCRIBE"])
def test_whoever_it_is_for_the_proxy_before_it_asks(client: Client, method: str) -> None:
    """What is for a service of ours passes the proxy too; only the registrar asks as a server."""
    assert client.send(method, f"sip:echo@{DOMAIN}").status == 407


@pytest.mark.rfc("DIG-03", "PRX-06")
def test_ack_and_cancel_are_never_challenged(client: Client) -> None:
    challenge = client.send("INVITE", BOB)
    assert challenge.status == 407
    client.cseq += 1
    rows = [("Call-ID", "anna@10.1.0.1"), ("CSeq", f"{client.cseq} INVITE")]
    invite = client.peer.build(
        "INVITE", BOB, *rows, credentials(challenge, "INVITE"), sender=ANNA
    )
    client.peer.arrived.clear()
    client.peer.send(invite)
    client.world.run(0.1)
    [arrived] = client.bob.requests("INVITE")
    client.bob.answer(arrived, 180)
    client.world.run(0.1)
    same = [(name, invite.first(name.lower()) or "") for name in ("Via", "From", "To", "Call-ID")]
    cancel = Request.build("CANCEL", BOB, [*same, ("CSeq", f"{client.cseq} CANCEL")])
    client.peer.send(cancel)
    client.world.run(0.1)
    assert [r.status for r in client.peer.responses if r.cseq_method == "CANCEL"] == [200]
    client.bob.answer(arrived, 487)
    client.world.run(0.1)
    refusal = next(r for r in client.peer.responses if r.status == 487)
    ack = Request.build(
        "ACK", BOB, [*same[:2], ("To", refusal.first("to") or ""), same[3],
                     ("CSeq", f"{client.cseq} ACK")]
    )
    count = len(client.peer.arrived)
    client.peer.send(ack)
    client.world.run(3)
    assert len(client.peer.arrived) == count


@pytest.mark.rfc("DIG-04")
def test_only_what_is_for_us_is_taken_out(client: Client) -> None:
    theirs = 'Digest username="x", realm="elsewhere", nonce="1", uri="sip:x", response="0"'
    challenge = client.message()
    ours = credentials(challenge, "MESSAGE")
    response = client.message(
        ("Proxy-Authorization", theirs), ours, ("Authorization", theirs)
    )
    assert response.status == 200
    [arrived] = client.bob.requests("MESSAGE")
    assert arrived.rows("authorization") == [theirs]
    assert theirs in arrived.rows("proxy-authorization")


@pytest.mark.rfc("DIG-08")
@pytest.mark.parametrize("body", [b"", b"said"])
def test_auth_int_holds_the_body(client: Client, body: bytes) -> None:
    challenge = client.register()
    right = credentials(challenge, qop="auth-int", body=body)
    altered = client.register(right, body=body + b"!")
    assert altered.status == 401
    assert client.register(credentials(altered, qop="auth-int", body=body), body=body).status == 200


@pytest.mark.rfc("DIG-11")
def test_a_nonce_is_for_a_time_and_never_the_same(client: Client) -> None:
    first, second = client.register(), client.register()
    nonces = {c["nonce"] for response in (first, second) for c in challenges(response)}
    assert len(nonces) == 2
    client.world.run(3600)
    stale = client.register(credentials(first))
    assert (stale.status, challenges(stale)[0].get("stale")) == (401, "true")
    assert {c["qop"] for c in challenges(stale)} == {"auth"}
    assert client.register(credentials(stale)).status == 200
    wrong = client.register(credentials(first, secret="guessed"))
    assert (wrong.status, challenges(wrong)[0].get("stale")) == (401, None)


@pytest.mark.rfc("DIG-11")
@pytest.mark.parametrize("position", [0, 10, -1])
def test_a_nonce_that_we_did_not_make_is_worth_nothing(client: Client, position: int) -> None:
    """With the right digest over it, it is called stale: the secret was right."""
    challenge = client.register()
    nonce = challenges(challenge)[0]["nonce"]
    place = position % len(nonce)
    other = nonce[:place] + ("A" if nonce[place] != "A" else "B") + nonce[place + 1 :]
    for row in challenge.rows("www-authenticate"):
        assert nonce in row
    changed = parse_message(challenge.to_bytes().replace(nonce.encode(), other.encode()))
    assert isinstance(changed, Response)
    refused = client.register(credentials(changed))
    assert (refused.status, challenges(refused)[0].get("stale")) == (401, "true")


@pytest.mark.rfc("DIG-12")
def test_a_count_may_be_overtaken_but_not_by_many(client: Client) -> None:
    """Datagrams change places; each count is good once all the same."""
    challenge = client.register()
    for nc, status in ((5, 200), (3, 200), (3, 401), (40, 200), (4, 401), (39, 200), (39, 401)):
        assert client.register(credentials(challenge, nc=f"{nc:08x}")).status == status


@pytest.mark.rfc("DIG-12")
def test_a_count_is_good_once(client: Client) -> None:
    challenge = client.register()
    assert client.register(credentials(challenge)).status == 200
    assert client.register(credentials(challenge)).status == 401
    assert client.register(credentials(challenge, nc="00000002")).status == 200
    assert client.register(credentials(challenge, nc="00000002")).status == 401


@pytest.mark.rfc("DIG-12")
@pytest.mark.parametrize("nc", ["0x1", "0000000g", "000000001", "", "-0000001"])
def test_a_count_is_of_eight_hex_digits_at_most(client: Client, nc: str) -> None:
    assert client.register(credentials(client.register(), nc=nc)).status == 401


@pytest.mark.rfc("DIG-13")
def test_values_are_compared_without_their_quotes(client: Client) -> None:
    for plain, quoted in (('username="anna"', 'username="an\\na"'), (REALM, REALM[0] + "\\" + REALM[1:])):
        name, value = credentials(client.register())
        escaped = value.replace(plain, quoted)
        assert escaped != value
        assert client.register((name, escaped)).status == 200
    name, value = credentials(client.register())
    assert client.register((name, value.replace("qop=auth", 'qop="auth"'))).status == 200


@pytest.mark.rfc("DIG-14")
@pytest.mark.parametrize(
    "uri",
    [
        *(f"sip:{DOMAIN}", f"SIP:{DOMAIN};x=y", BOB, f"{BOB}:5060", "sip:10.0.0.1:99999999"),
        *(f"<sip:{DOMAIN}>", DOMAIN, f"{DOMAIN}:5060", f"bob@{DOMAIN}"),
    ],
)
def test_the_uri_that_was_hashed_need_not_be_the_one_asked_for(client: Client, uri: str) -> None:
    right = credentials(client.message(), "MESSAGE", uri=uri)
    assert client.message(right).status == 200


@pytest.mark.rfc("DIG-14")
@pytest.mark.parametrize(
    "uri",
    [
        *("sip:elsewhere.example", "sip:bob@elsewhere.example", "tel:+1", "gibberish", "sip:"),
        # What only has our name somewhere in it names nobody.
        *(f"@@@{DOMAIN}", f"sip:a@@@{DOMAIN}", f"sip:{DOMAIN}.elsewhere.example:x", f"x {DOMAIN} y"),
        *(f"http://{DOMAIN}/", f"sip:a b@{DOMAIN}", f"<{DOMAIN}", "%%%10.0.0.1", "sip:110.0.0.1:999999"),
        *("sip:10.0.0.1:", "sip:10.0.0.1:x", "sip:10.0.0.11:999999"),
    ],
)
@pytest.mark.parametrize("method", ["REGISTER", "MESSAGE"])
def test_a_digest_that_was_made_for_others_is_none_for_us(
    client: Client, uri: str, method: str
) -> None:
    send = client.register if method == "REGISTER" else client.message
    challenge = send()
    refused = send(credentials(challenge, method, uri=uri))
    assert (refused.status, challenges(refused)[0].get("stale")) == (challenge.status, None)


@pytest.mark.rfc("DIG-14")
@pytest.mark.parametrize(("uri", "status"), [("tel:+46-8-1234", 404), ("tel:+4681235", 407)])
def test_a_digest_for_a_number_names_that_number(client: Client, uri: str, status: int) -> None:
    target = "tel:+4681234"  # which nobody here has
    right = credentials(client.send("MESSAGE", target), "MESSAGE", uri=uri)
    assert client.send("MESSAGE", target, right).status == status


@pytest.mark.rfc("DIG-14")
def test_a_digest_for_a_call_abroad_names_whoever_is_called(client: Client) -> None:
    abroad = Peer(client.world, ("203.0.113.5", 5060))
    abroad.on_request = lambda request: abroad.answer(request, 200)
    target = "sip:zoe@203.0.113.5"
    right = credentials(client.send("MESSAGE", target), "MESSAGE", uri=f"{target};user=phone")
    assert client.send("MESSAGE", target, right).status == 200


@pytest.mark.rfc("DIG-17")
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
def test_the_registrar_proves_that_it_knows_the_secret_too(
    client: Client, algorithm: str, qop: str
) -> None:
    challenge = client.register()
    response = client.register(credentials(challenge, algorithm=algorithm, qop=qop))
    assert response.status == 200
    text = response.first("authentication-info") or ""
    assert all(part in text for part in ('rspauth="', 'cnonce="', f"qop={qop}", "nc=00000001"))
    found = parse_auth_params(f"Digest {text}")
    a2 = f":sip:{DOMAIN}" + (f":{hashed(algorithm, '')}" if qop == "auth-int" else "")
    key = ha1(algorithm, "anna", secret_of("anna")).decode()
    nonce = challenges(challenge)[0]["nonce"]
    proof = hashed(algorithm, f"{key}:{nonce}:00000001:c0ffee:{qop}:{hashed(algorithm, a2)}")
    del found[""]
    assert found == {"qop": qop, "rspauth": proof, "cnonce": "c0ffee", "nc": "00000001"}


@pytest.mark.rfc("DIG-17")
def test_nothing_is_proved_to_old_clients_or_in_a_refusal(client: Client) -> None:
    challenge = client.register()
    assert not challenge.has("authentication-info")
    assert not client.register(credentials(challenge, qop="")).has("authentication-info")
    refused = client.register(credentials(client.register()), ("Require", "nothing-we-have"))
    assert refused.status == 420
    assert not refused.has("authentication-info")


@pytest.mark.rfc("DIG-17")
def test_what_the_other_side_proves_passes_untouched(client: Client) -> None:
    proof = ("Authentication-Info", 'nextnonce="abc", rspauth="0123", qop=auth')
    client.answer = (proof,)
    response = client.message(credentials(client.message(), "MESSAGE"))
    assert response.status == 200
    assert response.rows("authentication-info") == [proof[1]]
