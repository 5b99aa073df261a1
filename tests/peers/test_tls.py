"""TLS with real phones and servers: the campus's own certificate, and those of others."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import baresip, linphone, pjsua, sipp
from tests.support.baresip import Baresip
from tests.support.calls import COMPLETED, Phones, expect_record
from tests.support.campus import Campus, Line, wait_for
from tests.support.certificates import Pair, self_signed, signed
from tests.support.linphone import Linphone
from tests.support.ports import has_ipv6
from tests.support.tunnel import Tunnel
from tests.support.ua import SDP, Agent
from tests.support.wire import bracketed, read_stream, uri_of

pytestmark = pytest.mark.peers

HOSTS = ["127.0.0.1", *(["::1"] if has_ipv6() else [])]


def uri(campus: Campus, user: str, host: str = "127.0.0.1", scheme: str = "sip") -> str:
    """How a phone that is connected over TLS dials."""
    return f"{scheme}:{user}@{bracketed(host)}:{campus.tls_port}"


# --- scripted phones ---------------------------------------------------------------------------
@pytest.mark.rfc("TRP-01", "PRX-42", "PRX-43")
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("ours", "theirs"), [("TLS", "UDP"), ("UDP", "TLS"), ("TLS", "TCP"), ("TLS", "TLS")]
)
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_call_between_tls_and_all_else(
    campus: Campus, phone: Phones, host: str, ours: str, theirs: str, by: str
) -> None:
    caller = phone(transport=ours, host=host).registered()
    callee = phone(transport=theirs).registered()
    calling = caller.invite(f"sip:{callee.user}@{caller.domain}")
    called = callee.ringing()
    called.ring()
    calling.expect(180)
    routes = called.request.values("Record-Route")
    assert len(routes) == (1 if (ours, host) == (theirs, "127.0.0.1") else 2)
    assert ("transport=tls" in routes[0]) == (theirs == "TLS")
    assert ("transport=tls" in routes[-1]) == (ours == "TLS")
    at_callee = called.answer()
    at_caller = calling.answered()
    callee.expect("ACK")
    own, other = (at_caller, callee) if by == "caller" else (at_callee, caller)
    request = own.reinvite()
    received = other.expect("INVITE")
    other.respond(received, 200, "OK", headers=[("Contact", f"<{other.contact}>")], body=SDP)
    own.agent.response(request, 200)
    own.ack(request)
    other.expect("ACK")
    bye = own.send("BYE")
    other.accept("BYE")
    assert own.agent.final(bye).status == 200
    expect_record(
        campus.record_of(calling.call_id), cause="completed", ended_by=by, kinds=COMPLETED
    )


@pytest.mark.rfc("TRP-18", "SEC-05", "SEC-06", "SEC-07", "PRX-16")
@pytest.mark.parametrize("host", HOSTS)
def test_sips_from_end_to_end(campus: Campus, phone: Phones, host: str) -> None:
    caller = phone(transport="TLS", scheme="sips", host=host).registered()
    callee = phone(transport="TLS", scheme="sips").registered()
    calling = caller.invite(uri(campus, callee.user, host, "sips"))
    called = callee.ringing()
    assert called.request.uri == callee.contact
    assert all(value.startswith("<sips:") for value in called.request.values("Record-Route"))
    assert all("SIP/2.0/TLS" in value for value in called.request.values("Via"))
    # Who comes back by our Record-Route finds its host in our certificate (RFC 5922 §7.5).
    named = {name for kind, name in caller.peer_certificate()["subjectAltName"] if kind == "URI"}
    for value in called.request.values("Record-Route"):
        assert f"sip:{uri_of(value)[5:].partition(';')[0].rpartition(':')[0]}" in named
    called.ring()
    calling.expect(180)
    at_callee = called.answer()
    calling.answered()
    callee.expect("ACK")
    bye = at_callee.send("BYE")
    caller.accept("BYE")
    assert callee.final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by="callee")


@pytest.mark.rfc("TRP-18", "SEC-07")
@pytest.mark.parametrize("theirs", ["UDP", "TLS"])
def test_sips_to_who_has_registered_sip(campus: Campus, phone: Phones, theirs: str) -> None:
    caller = phone(transport="TLS", scheme="sips").registered()
    callee = phone(transport=theirs).registered()
    calling = caller.invite(uri(campus, callee.user, scheme="sips"))
    refused = calling.failed(480)
    assert refused.get("Warning").startswith("380 ")
    callee.quiet(0.3)


@pytest.mark.rfc("SEC-05", "PRX-16")
def test_the_name_of_the_certificate_stands_in_the_routes(prepared: Campus, tmp_path: Path) -> None:
    name = "sip.campus.example"
    with (
        prepared.copy(tmp_path / "var", {"VOIP_TLS_NAME": name}).start_sipd() as campus,
        campus.phone(transport="TLS").registered() as caller,
        campus.phone().registered() as callee,
    ):
        calling = caller.invite(uri(campus, callee.user))
        called = callee.ringing()
        called.ring()
        calling.expect(180)
        routes = called.request.values("Record-Route")
        assert routes[-1].startswith(f"<sip:{name}:{campus.tls_port};transport=tls;")
        assert ("URI", f"sip:{name}") in caller.peer_certificate()["subjectAltName"]
        called.answer()
        at_caller = calling.answered()
        callee.expect("ACK")
        bye = at_caller.send("BYE")
        callee.accept("BYE")
        assert caller.final(bye).status == 200


def test_tls_port_takes_nothing_in_the_open(campus: Campus) -> None:
    with socket.create_connection(("127.0.0.1", campus.tls_port), 2) as stream:
        stream.sendall(b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nContent-Length: 0\r\n\r\n")
        received = b""
        while piece := stream.recv(4096):
            received += piece
    assert b"SIP/2.0" not in received


@pytest.mark.rfc("SEC-05", "SEC-06")
def test_who_does_not_know_the_authority_does_not_connect(campus: Campus) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", campus.tls_port), 5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")
    campus.wait_for_sip(2)


def test_a_new_certificate_is_shown_while_phones_stay_connected(own_campus: Campus) -> None:
    campus = own_campus
    with campus.phone(transport="TLS").registered() as old:
        authority = self_signed("The Operator's")
        pair = signed(authority, "sip:127.0.0.1", "127.0.0.1")
        file = campus.var / "operator.pem"
        file.write_bytes(authority.public_pem)
        (campus.var / "tls" / "default.pem").write_bytes(pair.pem)

        def connects() -> bool:
            context = ssl.create_default_context(cafile=file)
            with socket.create_connection(("127.0.0.1", campus.tls_port), 5) as plain:
                try:
                    context.wrap_socket(plain, server_hostname="127.0.0.1").close()
                except ssl.SSLError:
                    return False
            return True

        wait_for("the new certificate", connects, 15, 0.2)
        assert old.register().status == 200  # on the connection it has had all the time


# --- servers of others -----------------------------------------------------------------------------
class FarServer:
    """Somebody else's TLS server: keeps what it is sent, and answers every request with 200."""

    def __init__(self, folder: Path, pair: Pair) -> None:
        self.received: list[str] = []
        self.client_names: list[object] = []
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.write(folder / "far.pem"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context = context
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            plain.settimeout(5)
            try:
                with self._context.wrap_socket(plain, server_side=True) as stream:
                    self._answer(stream)
            except OSError:
                plain.close()

    def _answer(self, stream: ssl.SSLSocket) -> None:
        rest = b""
        while data := stream.recv(65_536):
            messages, rest = read_stream(rest + data)
            for message in messages:
                self.received.append(message.method)
                rows = [r for r in message.headers if r[0] in ("Via", "From", "Call-ID", "CSeq")]
                lines = [f"{name}: {value}" for name, value in rows]
                lines += [f"To: {message.get('To')};tag=far", "Content-Length: 0", "", ""]
                stream.sendall("\r\n".join(["SIP/2.0 200 OK", *lines]).encode())

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.mark.rfc("SEC-03", "SEC-04", "SEC-05", "LOC-12")
@pytest.mark.parametrize(
    ("name", "host", "status"),
    [
        ("sip:127.0.0.1", "127.0.0.1", 200),
        ("sip:localhost", "localhost", 200),  # a name that leads to 127.0.0.1
        ("localhost", "localhost", 200),
        ("sip:127.0.0.1", "localhost", 500),
        ("*.localhost", "a.localhost", 500),
    ],
)
def test_a_server_of_others_must_be_whom_we_asked_for(
    prepared: Campus, tmp_path: Path, name: str, host: str, status: int
) -> None:
    authority = self_signed("Of Both")
    campus = prepared.copy(tmp_path / "var")
    trusted = campus.var / "tls" / "trusted"
    trusted.mkdir(parents=True)
    (trusted / "authority.pem").write_bytes(authority.public_pem)
    far = FarServer(tmp_path, signed(authority, name))
    try:
        with campus.start_sipd(), campus.phone(transport="TLS").registered() as phone:
            answer = phone.transact(phone.request("MESSAGE", f"sips:x@{host}:{far.port}"), 20)
            assert answer.status == status
            plain = phone.request("MESSAGE", f"sip:x@{host}:{far.port};transport=tls")
            assert phone.transact(plain, 20).status == status
        assert far.received == ["MESSAGE", "MESSAGE"] * (status == 200)
    finally:
        far.close()


# --- ordinary softphones ------------------------------------------------------------------------------
@pytest.fixture(
    params=[
        *(("tls", "tls", host) for host in HOSTS),
        ("tls", "udp", "127.0.0.1"),
        ("udp", "tls", "127.0.0.1"),
    ],
    ids="-".join,
)
def softphones(
    campus: Campus, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Baresip, Baresip, Line, Line]]:
    first, second = campus.line(), campus.line()
    *transports, host = request.param
    with ExitStack() as stack:
        phones = [
            stack.enter_context(
                Baresip(
                    tmp_path / line.username,
                    line.username,
                    line.secret,
                    f"{bracketed(host)}:{campus.tls_port if transport == 'tls' else campus.sip_port}",
                    transport=transport,
                    answers=line is second,
                    authority=campus.authority,
                )
            )
            for line, transport in zip((first, second), transports, strict=True)
        ]
        for each in phones:
            each.wait_until_registered()
        yield phones[0], phones[1], first, second


@pytest.mark.interop
@pytest.mark.rfc("TRP-01", "PRX-42", "PRX-43")
@pytest.mark.skipif(not baresip.is_installed(), reason="needs baresip")
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_baresip_talks_over_tls(
    campus: Campus, softphones: tuple[Baresip, Baresip, Line, Line], by: str
) -> None:
    caller, callee, first, second = softphones
    caller.dial(second.number)
    for each in (caller, callee):
        each.expect("CALL_ESTABLISHED")
        each.expect("CALL_RTPESTAB")
    wait_for("a second of sound both ways", lambda: min(caller.heard(), callee.heard()) > 4000)
    own, other = (caller, callee) if by == "caller" else (callee, caller)
    own.command("hangup")
    expect_record(
        campus.record_of(other.expect("CALL_CLOSED")["id"]),
        cause="completed",
        ended_by=by,
        caller_line=first.id,
        callee_line=second.id,
        kinds=COMPLETED,
    )


@pytest.mark.interop
@pytest.mark.skipif(not linphone.is_installed(), reason="needs linphone-daemon")
def test_linphone_calls_echo_over_tls(campus: Campus, tmp_path: Path) -> None:
    line = campus.line()
    server = f"127.0.0.1:{campus.tls_port}"
    with Linphone(
        tmp_path / "phone",
        line.username,
        line.secret,
        server,
        transport="tls",
        authority=campus.authority,
    ) as phone:
        wait_for("its registration", lambda: _registered(campus, line), 15)
        phone.command(f"call sip:echo@{server};transport=tls")
        phone.expect("LinphoneCallStreamsRunning")
        phone.command("terminate 1")
        phone.expect("LinphoneCallReleased")
    call = next(r for r in campus.records() if r.get("caller_line") == line.id)
    expect_record(campus.record_of(call["call_id"]), cause="completed", ended_by="caller")


def _registered(campus: Campus, line: Line) -> bool:
    return any(r["k"] == "register.new" and r["line"] == line.id for r in campus.records())


# --- SIPp ---------------------------------------------------------------------------------------------
@pytest.mark.interop
@pytest.mark.rfc("TRP-01")
@pytest.mark.skipif(not sipp.is_installed(), reason="needs sipp")
@pytest.mark.parametrize("host", HOSTS)
def test_sipp_registers_and_calls_over_tls_through_a_tunnel(prepared: Campus, tmp_path: Path, host: str) -> None:
    with prepared.copy(tmp_path / "var").start_sipd() as campus:
        campus.query("UPDATE numbers_domain SET algorithms = 'MD5'")
        lines = [campus.line() for _ in range(20)]
        probe = lines[0]

        def offers_md5_alone() -> bool:
            with Agent(("127.0.0.1", campus.sip_port), probe.username) as agent:
                request = agent.register_request()
                agent.send(request)
                return len(agent.response(request, 401).rows("WWW-Authenticate")) == 1

        wait_for("MD5 alone", offers_md5_alone)
        users = [(line.username, line.secret) for line in lines]
        with Tunnel((host, campus.tls_port), campus.authority) as tunnel:
            over_tls: dict[str, str] = {"transport": "TLS", "domain": "campus.example"}
            for done in (
                sipp.register(tmp_path, tunnel.address, users, **over_tls),
                sipp.call(tmp_path, tunnel.address, users, "echo", **over_tls),
            ):
                assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        # A connection that has ended takes along who registered by it: the event log tells all.
        new = {r["line"] for r in campus.records() if r["k"] == "register.new"}
        assert new == {line.id for line in lines}
        begun = {r["c"]: r["caller_line"] for r in campus.records() if r["k"] == "call.begin"}
        assert set(begun.values()) == {line.id for line in lines}
        ended = [(r["c"], r["cause"], r["by"]) for r in campus.records() if r["k"] == "call.end"]
        assert sorted(ended) == sorted((c, "completed", "caller") for c in begun)


# --- pjsua2 -------------------------------------------------------------------------------------------
@pytest.mark.interop
@pytest.mark.skipif(not pjsua.is_installed(), reason="pjsua2 has no wheel for this Python")
@pytest.mark.parametrize("host", HOSTS)
def test_pjsua2_calls_over_tls(campus: Campus, host: str) -> None:
    line = campus.line()
    done = pjsua.call((host, campus.tls_port), line.username, line.secret, "echo", campus.authority)
    assert done["registered"] == 200, done
    assert done["states"][-2:] == ["CONFIRMED", "DISCONNECTED"], done
    call = next(r for r in campus.records() if r.get("caller_line") == line.id)
    assert call["dialled"] == "echo"
    ended = wait_for(
        "the end of the call",
        lambda: next((r for r in campus.records() if r["k"] == "call.end" and r["c"] == call["c"]), None),
    )
    assert (ended["cause"], ended["by"]) == ("completed", "caller")


@pytest.mark.interop
@pytest.mark.skipif(not pjsua.is_installed(), reason="pjsua2 has no wheel for this Python")
def test_pjsua2_hides_who_is_calling(campus: Campus) -> None:
    line = campus.line()
    server, hidden = ("127.0.0.1", campus.tls_port), '"Anonymous" <sip:anonymous@anonymous.invalid>'
    done = pjsua.call(server, line.username, line.secret, "echo", campus.authority, hidden)
    assert done["states"][-2:] == ["CONFIRMED", "DISCONNECTED"], done
    call = next(r for r in campus.records() if r.get("caller_line") == line.id)
    assert (call["from"], call["dialled"]) == ("sip:anonymous@anonymous.invalid", "echo")
