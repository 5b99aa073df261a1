"""Whose certificate it is, by the rules of RFC 5922 §7.1 and §7.2, from real certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from sipcore.node.tls import NoCertificate, TlsLayer, load
from sipcore.transport.identity import is_dns_name, sip_identities, speaks_for
from sipcore.transport.limits import MAX_IDENTITIES
from tests.support.certificates import CLIENT_ONLY, Pair, self_signed, signed


def shown_by(folder: Path, pair: Pair) -> tuple[str, ...]:
    """The identities that a client reads from this certificate, after a handshake."""
    authority = self_signed()
    own = signed(authority, "sip:us.example")
    own.write(folder / "client" / "default.pem")
    (folder / "client" / "trusted").mkdir()
    (folder / "client" / "trusted" / "peer.pem").write_bytes(pair.public_pem)
    pair.write(folder / "server" / "default.pem")
    client = TlsLayer(load(folder / "client").client, server_side=False)
    server = TlsLayer(load(folder / "server").server, server_side=True)
    client.start()
    for _ in range(4):
        server.receive(client.take())
        client.receive(server.take())
    assert client.ready
    return sip_identities(client.peer_certificate())


@pytest.mark.rfc("SEC-03")
@pytest.mark.parametrize(
    ("names", "common_names", "identities"),
    [
        (["sip:example.com"], ["x"], ["example.com"]),
        (["SIP:Example.COM"], ["x"], ["example.com"]),
        (["sip:example.com:5061;transport=tls"], ["x"], ["example.com"]),
        (["sip:a.example", "sip:b.example"], ["x"], ["a.example", "b.example"]),
        (["example.com"], ["x"], ["example.com"]),
        # A DNS name counts only where there is no sip URI,
        (["sip:sip.example", "dns.example"], ["x"], ["sip.example"]),
        # and a URI of a user, or of another scheme, is none.
        (["sip:alice@example.com", "dns.example"], ["x"], ["dns.example"]),
        (["sip:alice@example.com"], ["example.com"], []),
        (["sips:example.com"], ["x"], []),
        (["https://example.com/sip"], ["example.com"], []),
        (["im:example.com"], ["x"], []),
        # The common name counts only without any subjectAltName,
        ([], ["example.com"], ["example.com"]),
        (["192.0.2.1"], ["example.com"], []),
        # when it is a DNS name, and one.
        ([], ["Example Company, Inc."], []),
        ([], ["one.example", "two.example"], []),
        (["xn--bcher-kva.example"], ["x"], ["xn--bcher-kva.example"]),
        (["sip:[2001:db8::1]"], ["x"], ["[2001:db8::1]"]),
        (["sip:"], ["x"], []),
        (["sip:a b"], ["x"], []),
    ],
)
def test_identities_of_a_certificate(
    tmp_path: Path, names: list[str], common_names: list[str], identities: list[str]
) -> None:
    pair = signed(None, *names, common_names=common_names)
    assert list(shown_by(tmp_path, pair)) == identities


@pytest.mark.rfc("SEC-04")
@pytest.mark.parametrize(
    ("name", "host", "same"),
    [
        ("example.com", "example.com", True),
        ("EXAMPLE.com", "example.COM", True),
        ("foo.example.com", "example.com", False),
        ("example.com", "foo.example.com", False),
        ("*.example.com", "foo.example.com", False),
        (".example.com", "foo.example.com", False),
        ("f*.example.com", "foo.example.com", False),
        ("*", "com", False),
        ("example.com", "example.com.evil.example", False),
        ("example.com\0.evil.example", "example.com", False),
        ("xn--bcher-kva.example", "XN--BCHER-KVA.example", True),
    ],
)
@pytest.mark.parametrize("kind", ["sip:{}", "{}"], ids=["URI", "DNS"])
def test_names_match_in_full_or_not_at_all(
    tmp_path: Path, kind: str, name: str, host: str, same: bool
) -> None:
    pair = signed(None, kind.format(name))
    assert speaks_for(shown_by(tmp_path, pair), host) is same


@pytest.mark.rfc("SEC-04")
def test_a_wildcard_common_name_is_nobody(tmp_path: Path) -> None:
    assert shown_by(tmp_path, signed(None, common_names=["*.example.com"])) == ()


def test_a_certificate_of_very_many_names_is_read_only_so_far(tmp_path: Path) -> None:
    pair = signed(None, *(f"h{n}.example" for n in range(400)))
    assert len(shown_by(tmp_path, pair)) == MAX_IDENTITIES


def test_no_certificate_speaks_for_nobody() -> None:
    assert sip_identities({}) == ()
    assert not speaks_for((), "")


@pytest.mark.parametrize("text", ["", ".", "a..b", "-" * 64, "a" * 254, "ä.example", "a_b"])
def test_what_is_no_dns_name(text: str) -> None:
    assert not is_dns_name(text)


def test_a_certificate_for_clients_alone_serves_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 5280 §4.2.1.12: the key usage is held by the library; we say so when we load it."""
    signed(None, "sip:example.com", usages=[CLIENT_ONLY]).write(tmp_path / "default.pem")
    assert load(tmp_path).names == frozenset()
    assert "peers will refuse it" in caplog.text


def test_an_encrypted_key_is_named_and_nobody_is_asked(tmp_path: Path) -> None:
    pair = signed(None, "sip:a.example")
    secret = serialization.BestAvailableEncryption(b"secret")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (tmp_path / "a.key").write_bytes(pair.key.private_bytes(pem, pkcs8, secret))
    (tmp_path / "a.pem").write_bytes(pair.public_pem)
    with pytest.raises(NoCertificate, match=r"a\.pem: the private key is encrypted"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "holds no certificate"),
        ({"a.pem": b"nonsense"}, "a.pem"),
        ({"a.pem": signed(None, "sip:a.example").public_pem}, "a.pem"),
        ({"a.pem": signed(None, "a.example").public_pem, "a.key": signed(None).pem}, "a.pem"),
        ({"a.pem": signed(None, "sip:a.example").pem, "trusted/x.pem": b""}, "x.pem"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(
    tmp_path: Path, files: dict[str, bytes], complaint: str
) -> None:
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(NoCertificate, match=complaint):
        load(tmp_path)


# --- without a handshake: what `getpeercert` returns ---------------------------------------------------
@pytest.mark.section("5922 7.1")
@pytest.mark.parametrize(
    ("alternatives", "subject", "identities"),
    [
        ([("URI", "sip:a.example"), ("DNS", "b.example")], [], ("a.example",)),
        ([("URI", "sip:u@a.example"), ("DNS", "B.example")], [], ("b.example",)),
        ([("URI", "SIP:A.example:5061;transport=tls")], [], ("a.example",)),
        ([("DNS", "a.example"), ("DNS", "A.EXAMPLE"), ("DNS", "b")], [], ("a.example", "b")),
        ([("DNS", "*.a.example"), ("DNS", "b.example")], [], ("b.example",)),
        ([("IP Address", "192.0.2.1")], ["c.example"], ()),
        (
            [("URI", "sip:[2001:db8::1]"), ("URI", "sip:192.0.2.1")],
            [],
            ("[2001:db8::1]", "192.0.2.1"),
        ),
        ([("URI", "sip:a b"), ("DNS", "b.example")], [], ("b.example",)),
        ([("odd",)], ["c.example"], ("c.example",)),
        ([("DNS", "sip:a.example")], [], ()),
        ([], ["C.example"], ("c.example",)),
        ([], ["c.example", "d.example"], ()),
        ([], [], ()),
    ],
    ids=str,
)
def test_identities_of_what_the_library_tells(
    alternatives: list[tuple[str, ...]], subject: list[str], identities: tuple[str, ...]
) -> None:
    certificate = {
        "subjectAltName": tuple(alternatives),
        "subject": ((("organizationName", "o.example"),), *((("commonName", n),) for n in subject)),
    }
    assert sip_identities(certificate) == identities


@pytest.mark.parametrize(
    "text",
    ["a", "a.b", "1.2", "xn--bcher-kva.example", "a-b.c", "a" * 63, ".".join(["a" * 49] * 5)],
)
def test_what_a_dns_name_is(text: str) -> None:
    assert is_dns_name(text)


@pytest.mark.parametrize("text", ["a" * 64, "A.example", "a.example.", ".".join(["a" * 50] * 5)])
def test_what_is_no_dns_name_either(text: str) -> None:
    assert not is_dns_name(text)
