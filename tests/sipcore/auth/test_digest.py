"""Digest verification: vectors, what is refused, and what a refusal gives away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import md5, sha256
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.auth import Authenticator, Nonces, NonceState, Verdict, VerdictKind
from sipcore.auth import digest as digest_module
from sipcore.auth.limits import MAX_DEVICES
from sipcore.directory import Account, Device
from sipcore.message import Request, parse_auth_params

AT = 1_800_000_000.0
REALM = "campus.example"
CALL = "843817637684230@998sdasdh09"
BOTH = ("SHA-256", "MD5")
HASHES = {"MD5": md5, "SHA-256": sha256}


def ha1(algorithm: str, username: str, secret: str, realm: str = REALM) -> bytes:
    return HASHES[algorithm](f"{username}:{realm}:{secret}".encode()).hexdigest().encode()


def a_device(number: int, username: str, secret: str, realm: str = REALM) -> Device:
    return Device(
        number, ha1("MD5", username, secret, realm), ha1("SHA-256", username, secret, realm)
    )


ANNA = Account(1, "anna", REALM, devices=(a_device(11, "anna", "one"), a_device(12, "anna", "two")))
BARE = Account(2, "bare", REALM)
ACCOUNTS = {account.username: account for account in (ANNA, BARE)}


def a_request(
    *credentials: str, method: str = "REGISTER", proxy: bool = False, body: bytes = b""
) -> Request:
    name = "Proxy-Authorization" if proxy else "Authorization"
    headers = [
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-1"),
        ("From", "<sip:anna@campus.example>;tag=1"),
        ("To", "<sip:anna@campus.example>"),
        ("Call-ID", CALL),
        ("CSeq", f"1 {method}"),
    ]
    headers += [(name, text) for text in credentials]
    return Request.build(method, "sip:campus.example", headers, body)


def respond(challenge: str, secret: str, user: str = "anna", count: int = 1, **changes: str) -> str:
    """What a phone answers to a challenge, with some parameters changed ("" leaves one out)."""
    asked = parse_auth_params(challenge)
    algorithm = asked["algorithm"]
    fields = {
        "username": f'"{user}"',
        "realm": f'"{asked["realm"]}"',
        "nonce": f'"{asked["nonce"]}"',
        "uri": '"sip:campus.example"',
        "algorithm": algorithm,
        "qop": "auth",
        "nc": f"{count:08x}",
        "cnonce": '"0a4f113b"',
    } | {name: value for name, value in changes.items() if name != "method"}
    fields.setdefault("response", f'"{expected(fields, secret, user, changes)}"')
    return "Digest " + ", ".join(f"{n}={v}" for n, v in fields.items() if v)


def expected(fields: Mapping[str, str], secret: str, user: str, changes: Mapping[str, str]) -> str:
    """The response by RFC 7616 §3.4.1, written out independently of the code under test."""
    plain = {name: value.strip('"') for name, value in fields.items()}
    algorithm = plain["algorithm"] or "MD5"
    hash_ = HASHES.get(algorithm.upper(), md5)

    def h(text: str) -> str:
        return hash_(text.encode()).hexdigest()

    a1 = h(f"{user}:{REALM}:{secret}")
    a2 = f"{changes.get('method', 'REGISTER')}:{plain['uri']}"
    if plain["qop"] == "auth-int":
        a2 += ":" + h("")
    if not plain["qop"]:
        return h(f"{a1}:{plain['nonce']}:{h(a2)}")
    middle = ":".join(plain[name] for name in ("nonce", "nc", "cnonce", "qop"))
    return h(f"{a1}:{middle}:{h(a2)}")


class Phone:
    """An authenticator and the way to it."""

    def __init__(self, algorithms: Sequence[str] = BOTH, **options: Any) -> None:
        self.nonces = Nonces(b"k" * 32, "n1", 1)
        self.authenticator = Authenticator(self.nonces, **options)
        self.algorithms = algorithms

    def challenge(self, algorithm: str = "MD5", bound_to: str = CALL, at: float = AT) -> str:
        rows = self.authenticator.challenge(False, REALM, self.algorithms, bound_to, at)
        return next(value for _, value in rows if f"algorithm={algorithm}," in value)

    def verify(
        self, *credentials: str, at: float = AT, bound_to: str = CALL, **request: Any
    ) -> Verdict:
        return self.authenticator.verify(
            a_request(*credentials, **request),
            request.get("proxy", False),
            ACCOUNTS.get,
            REALM,
            bound_to,
            at,
            algorithms=self.algorithms,
        )


@pytest.fixture
def phone() -> Phone:
    return Phone()


def test_challenges_come_in_the_order_of_the_domain_with_one_nonce(phone: Phone) -> None:
    rows = phone.authenticator.challenge(False, REALM, BOTH, CALL, AT)
    assert [name for name, _ in rows] == ["WWW-Authenticate"] * 2
    parsed = [parse_auth_params(value) for _, value in rows]
    assert [p["algorithm"] for p in parsed] == ["SHA-256", "MD5"]
    assert {p["qop"] for p in parsed} == {"auth"}
    assert parsed[0]["nonce"] == parsed[1]["nonce"]
    assert "stale" not in parsed[0]


def test_proxy_challenge_names_itself_so_and_can_say_stale(phone: Phone) -> None:
    ((name, value),) = phone.authenticator.challenge(True, REALM, ("MD5",), CALL, AT, stale=True)
    assert name == "Proxy-Authenticate"
    assert parse_auth_params(value)["stale"] == "true"


def test_request_without_credentials_is_missing(phone: Phone) -> None:
    assert phone.verify().kind is VerdictKind.MISSING


@pytest.mark.parametrize("algorithm", BOTH)
@pytest.mark.parametrize(("secret", "device_id"), [("one", 11), ("two", 12)])
def test_secret_that_matches_tells_the_device(
    phone: Phone, algorithm: str, secret: str, device_id: int
) -> None:
    verdict = phone.verify(respond(phone.challenge(algorithm), secret))
    assert verdict.kind is VerdictKind.OK
    assert verdict.account is ANNA
    assert verdict.device is not None
    assert verdict.device.id == device_id
    assert verdict.username == "anna"


@pytest.mark.parametrize("algorithm", BOTH)
def test_wrong_secret_unknown_user_and_user_without_device_are_wrong(
    phone: Phone, algorithm: str
) -> None:
    for username in ("anna", "nobody", "bare"):
        verdict = phone.verify(respond(phone.challenge(algorithm), "guess", username))
        assert (verdict.kind, verdict.username) == (VerdictKind.WRONG, username)


def test_algorithm_left_out_means_md5(phone: Phone) -> None:
    assert phone.verify(respond(phone.challenge(), "one", algorithm="")).kind is VerdictKind.OK


def test_algorithm_names_are_compared_without_case(phone: Phone) -> None:
    assert phone.verify(respond(phone.challenge(), "one", algorithm="md5")).kind is VerdictKind.OK


def test_algorithm_that_is_not_offered_counts_as_missing() -> None:
    strict = Phone(("SHA-256",))
    challenge = strict.challenge("SHA-256").replace("algorithm=SHA-256", "algorithm=MD5")
    assert strict.verify(respond(challenge, "one")).kind is VerdictKind.MISSING


@pytest.mark.parametrize("algorithm", ["MD5-sess", "SHA-512-256", "token", '""'])
def test_algorithm_nobody_offers_counts_as_missing(phone: Phone, algorithm: str) -> None:
    sent = respond(phone.challenge(), "one", algorithm=algorithm)
    assert phone.verify(sent).kind is VerdictKind.MISSING


@pytest.mark.parametrize(
    "row",
    [
        "Basic YW5uYTpvbmU=",
        "NoOneKnowsThisScheme opaque-data=here",
        'Bearer "never closed',
        "Digest",
        "Digestion realm=campus.example",
        'Digest username="anna", realm="elsewhere.example", nonce="x", uri="sip:x", response="y"',
        'Digest username="anna", realm="campus.example", nonce="", uri="sip:x", response=""',
        "",
    ],
)
def test_credentials_that_are_not_for_us_count_as_missing(phone: Phone, row: str) -> None:
    assert phone.verify(row).kind is VerdictKind.MISSING


def test_our_credentials_are_found_among_others(phone: Phone) -> None:
    others = [
        'Digest username="anna", realm="elsewhere.example", nonce="x", uri="sip:x", response="y"',
        "Bearer abc",
    ]
    assert phone.verify(*others, respond(phone.challenge(), "one")).kind is VerdictKind.OK


def test_first_offered_algorithm_among_several_of_our_realm_counts(phone: Phone) -> None:
    unknown = respond(phone.challenge(), "one", algorithm="SHA-512-256")
    verdict = phone.verify(unknown, respond(phone.challenge("SHA-256"), "one"))
    assert verdict.kind is VerdictKind.OK


def test_proxy_reads_proxy_authorization_only(phone: Phone) -> None:
    sent = respond(phone.challenge(), "one", method="INVITE")
    verdict = phone.verify(sent, method="INVITE", proxy=True)
    assert verdict.kind is VerdictKind.OK
    registrar_row = a_request(sent)
    missing = phone.authenticator.verify(
        registrar_row, True, ACCOUNTS.get, REALM, CALL, AT, algorithms=BOTH
    )
    assert missing.kind is VerdictKind.MISSING


def test_digest_of_another_method_is_wrong(phone: Phone) -> None:
    sent = respond(phone.challenge(), "one", method="INVITE")
    assert phone.verify(sent).kind is VerdictKind.WRONG


def test_uri_need_not_be_the_request_uri_but_is_hashed_as_sent(phone: Phone) -> None:
    sent = respond(phone.challenge(), "one", uri='"sip:campus.example:5060;transport=udp"')
    assert phone.verify(sent).kind is VerdictKind.OK
    changed = sent.replace(":5060", ":5061")
    assert phone.verify(changed).kind is VerdictKind.WRONG


@pytest.mark.parametrize(
    "changes",
    [
        {"username": ""},
        {"username": '""'},
        {"nonce": ""},
        {"uri": ""},
        {"cnonce": ""},
        {"nc": ""},
        {"nc": "000000001"},
        {"nc": "0x000001"},
        {"nc": "-0000001"},
        {"nc": "0000000g"},
        {"qop": "auth-conf"},
        {"response": '"abc"'},
        {"response": f'"{"é" * 32}"'},
        {"response": '"never closed'},
    ],
)
def test_missing_or_improper_parameters_are_malformed(
    phone: Phone, changes: dict[str, str]
) -> None:
    # Built by hand where the independent computation needs what is left out.
    changes = {"response": f'"{"0" * 32}"'} | changes
    sent = respond(phone.challenge(), "one", "anna", 1, **changes)
    assert phone.verify(sent).kind is VerdictKind.MALFORMED


def test_auth_int_is_understood_though_not_offered(phone: Phone) -> None:
    sent = respond(phone.challenge(), "one", qop="auth-int")
    assert phone.verify(sent).kind is VerdictKind.OK
    again = respond(phone.challenge(), "one", qop="auth-int")
    assert phone.verify(again, body=b"changed on the way").kind is VerdictKind.WRONG


def test_response_in_upper_case_is_accepted(phone: Phone) -> None:
    sent = respond(phone.challenge(), "one")
    response = parse_auth_params(sent)["response"]
    assert phone.verify(sent.replace(response, response.upper())).kind is VerdictKind.OK


def test_replayed_request_is_refused(phone: Phone) -> None:
    sent = respond(phone.challenge(), "one")
    assert phone.verify(sent).kind is VerdictKind.OK
    again = phone.verify(sent)
    assert (again.kind, again.username) == (VerdictKind.REPLAYED, "anna")


def test_nonce_serves_again_with_a_higher_count(phone: Phone) -> None:
    challenge = phone.challenge()
    kinds = [phone.verify(respond(challenge, "one", count=nc)).kind for nc in (1, 2, 3)]
    assert kinds == [VerdictKind.OK] * 3


def test_wrong_digest_uses_no_count_up(phone: Phone) -> None:
    challenge = phone.challenge()
    phone.verify(respond(challenge, "guess", count=1))
    assert phone.verify(respond(challenge, "one", count=1)).kind is VerdictKind.OK
    assert len(phone.nonces) == 1


def test_expired_nonce_is_stale_only_when_the_digest_is_right(phone: Phone) -> None:
    challenge = phone.challenge()
    assert phone.verify(respond(challenge, "one"), at=AT + 301).kind is VerdictKind.STALE
    assert phone.verify(respond(challenge, "guess"), at=AT + 301).kind is VerdictKind.WRONG


def test_nonce_of_another_call_or_node_is_stale_and_no_failure(phone: Phone) -> None:
    other_call = phone.challenge(bound_to="another call")
    assert phone.verify(respond(other_call, "one")).kind is VerdictKind.STALE
    other_node = Authenticator(Nonces(b"k" * 32, "n2", 1)).challenge(
        False, REALM, ("MD5",), CALL, AT
    )[0][1]
    assert phone.verify(respond(other_node, "one")).kind is VerdictKind.STALE
    assert phone.verify(respond(other_node, "guess")).kind is VerdictKind.WRONG


@pytest.mark.parametrize("length", [48, 60])
def test_forged_nonce_never_passes(phone: Phone, length: int) -> None:
    challenge = f'Digest realm="{REALM}", nonce="{"0" * length}", algorithm=MD5, qop="auth"'
    assert phone.verify(respond(challenge, "one")).kind is VerdictKind.STALE
    assert phone.verify(respond(challenge, "guess")).kind is VerdictKind.WRONG


def test_credentials_without_qop_use_their_nonce_up(phone: Phone) -> None:
    sent = respond(phone.challenge(), "one", qop="", nc="", cnonce="")
    assert phone.verify(sent).kind is VerdictKind.OK
    assert phone.verify(sent).kind is VerdictKind.STALE


def test_credentials_without_qop_can_be_refused_by_policy() -> None:
    strict = Phone(allow_legacy=False)
    sent = respond(strict.challenge(), "one", qop="", nc="", cnonce="")
    assert strict.verify(sent).kind is VerdictKind.MALFORMED


def test_filling_of_the_device_list_is_no_password(phone: Phone) -> None:
    challenge = phone.challenge()
    asked = parse_auth_params(challenge)
    digest = HASHES["MD5"]
    a2 = digest(b"REGISTER:sip:campus.example").hexdigest()
    text = f"{'-' * 32}:{asked['nonce']}:00000001:0a4f113b:auth:{a2}"
    for username in ("anna", "bare", "nobody"):
        response = f'"{digest(text.encode()).hexdigest()}"'
        sent = respond(challenge, "", username, response=response)
        assert phone.verify(sent).kind is VerdictKind.WRONG


@pytest.mark.parametrize(("algorithm", "name"), [("MD5", "md5"), ("SHA-256", "sha256")])
def test_every_refusal_costs_the_same_number_of_hashes(
    phone: Phone, algorithm: str, name: str
) -> None:
    full = Account(
        3, "full", REALM, devices=tuple(a_device(n, "full", str(n)) for n in range(MAX_DEVICES + 2))
    )
    refused = set()
    with (
        patch.dict(ACCOUNTS, full=full),
        patch.object(digest_module, name, wraps=HASHES[algorithm]) as hashes,
    ):
        for username in ("anna", "bare", "nobody", "full"):
            for secret in ("one", "guess", "0", "9"):
                hashes.reset_mock()
                verdict = phone.verify(respond(phone.challenge(algorithm), secret, username))
                if verdict.kind is VerdictKind.OK:
                    assert hashes.call_count <= MAX_DEVICES + 1
                else:
                    refused.add(hashes.call_count)
    assert refused == {MAX_DEVICES + 1}


def test_devices_beyond_the_cap_do_not_authenticate(phone: Phone) -> None:
    devices = tuple(a_device(n, "full", str(n)) for n in range(MAX_DEVICES + 2))
    with patch.dict(ACCOUNTS, full=Account(3, "full", REALM, devices=devices)):
        last = phone.verify(respond(phone.challenge(), "9", "full"))
        beyond = phone.verify(respond(phone.challenge(), "10", "full"))
    assert last.kind is VerdictKind.OK
    assert beyond.kind is VerdictKind.WRONG


@pytest.mark.source
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_vectors_of_rfc_7616(algorithm: str, response: str) -> None:
    """RFC 7616 §3.9.1, of HTTP: the same computation with another method."""
    realm, secret = "http-auth@example.org", "Circle of Life"
    mufasa = Account(1, "Mufasa", realm, devices=(a_device(1, "Mufasa", secret, realm),))
    sent = (
        f'Digest username="Mufasa", realm="{realm}", uri="/dir/index.html", '
        f"algorithm={algorithm}, "
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
        'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
        f'response="{response}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    authenticator = Authenticator(Nonces(b"k" * 32, "n1", 1))
    request = a_request(sent, method="GET")
    accounts = {"Mufasa": mufasa}
    with patch.object(Nonces, "check", return_value=NonceState.EXPIRED):
        verdict = authenticator.verify(
            request, False, accounts.get, realm, CALL, AT, algorithms=BOTH
        )
        assert verdict.kind is VerdictKind.STALE  # the digest is right, the nonce not ours
        wrong = a_request(sent.replace(response, response[::-1]), method="GET")
        verdict = authenticator.verify(wrong, False, accounts.get, realm, CALL, AT, algorithms=BOTH)
        assert verdict.kind is VerdictKind.WRONG


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("cnonce", '"a,b=c"'), ("cnonce", '"with space "'), ("opaque", r'"esc\"aped, \\"')],
)
def test_commas_escapes_and_spaces_in_quotes_are_read(
    phone: Phone, parameter: str, value: str
) -> None:
    sent = respond(phone.challenge(), "one", "anna", 1, **{parameter: value})
    assert phone.verify(sent).kind is VerdictKind.OK


def test_white_space_around_parameters_is_no_part_of_them(phone: Phone) -> None:
    sent = respond(phone.challenge(), "one").replace(", ", "\t ,  ").replace("=", " = ")
    assert phone.verify(sent).kind is VerdictKind.OK


@given(st.text(max_size=120).filter(lambda t: "\r" not in t and "\n" not in t))
def test_no_credentials_whatever_raise_or_pass(text: str) -> None:
    phone = Phone()
    for row in (text, f"Digest {text}", f'Digest realm="{REALM}", response="{text}"'):
        assert phone.verify(row).kind not in (VerdictKind.OK, VerdictKind.STALE)
