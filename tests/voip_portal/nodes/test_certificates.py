"""The campus's own authority: made once, renewed in time, out of the way where there is a better one."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sipcore.node.tls import TlsLayer, load
from tests.support.certificates import signed
from voip_portal.nodes import campus_authority
from voip_portal.nodes.campus_authority import ensure
from voip_portal.nodes.certificates import AUTHORITY, AUTHORITY_KEY, OWN, own_authority

HOSTS = ["campus.example", "192.0.2.1", "::1", "localhost"]


def test_a_phone_that_knows_the_authority_trusts_every_name_of_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    assert ensure(folder, HOSTS)
    contexts = load(folder)
    assert contexts.names == {"campus.example", "192.0.2.1", "[::1]", "localhost"}
    for host in HOSTS:
        context = ssl.create_default_context(cafile=folder / AUTHORITY)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        server = TlsLayer(contexts.server, server_side=True)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname=host)
        for _ in range(3):
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                server.receive(outgoing.read())
                incoming.write(server.take())
        assert client.version() == "TLSv1.3"


def test_only_the_owner_reads_the_keys(tmp_path: Path) -> None:
    ensure(tmp_path / "tls", HOSTS)
    for name in (OWN, AUTHORITY_KEY):
        assert stat.S_IMODE((tmp_path / "tls" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_the_next_start_changes_nothing(tmp_path: Path) -> None:
    ensure(tmp_path, HOSTS)
    before = [(tmp_path / name).read_bytes() for name in (OWN, AUTHORITY, AUTHORITY_KEY)]
    assert not ensure(tmp_path, list(reversed(HOSTS)))
    assert [(tmp_path / name).read_bytes() for name in (OWN, AUTHORITY, AUTHORITY_KEY)] == before


def test_a_new_address_gets_a_new_certificate_of_the_same_authority(tmp_path: Path) -> None:
    ensure(tmp_path, HOSTS)
    authority = (tmp_path / AUTHORITY).read_bytes()
    assert ensure(tmp_path, [*HOSTS, "192.0.2.77"])
    assert "192.0.2.77" in load(tmp_path).names
    assert (tmp_path / AUTHORITY).read_bytes() == authority


def test_it_is_renewed_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure(tmp_path, HOSTS)

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(days=750)

    monkeypatch.setattr(campus_authority, "datetime", Later)
    assert ensure(tmp_path, HOSTS)
    assert not ensure(tmp_path, HOSTS)


def test_an_operators_certificate_is_left_alone(tmp_path: Path) -> None:
    ensure(tmp_path, HOSTS)
    assert own_authority(tmp_path) == tmp_path / AUTHORITY
    signed(None, "sip:campus.example").write(tmp_path / "default.pem")
    before = (tmp_path / OWN).read_bytes()
    assert not ensure(tmp_path, ["new.example"])
    assert (tmp_path / OWN).read_bytes() == before
    assert own_authority(tmp_path) is None
