"""A user agent that does exactly what a test tells it, over a real socket.

Nothing is answered, repeated or acknowledged by itself. Messages that a test has not asked for yet
wait in `inbox`. Retransmissions of what arrived before are counted in `repeats` and kept out of it.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tests.support.ports import unused_port
from tests.support.wire import (
    Header,
    Wire,
    bracketed,
    challenge_of,
    digest,
    read,
    read_stream,
    tag_of,
    uri_of,
)

PATIENCE_S: Final = 5.0
Address = tuple[str, int]
SDP: Final = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)


class Timeout(AssertionError):
    """What a test waited for did not come."""


@dataclass(slots=True)
class Dialog:
    """One side's view of a dialog (RFC 3261 §12), and its requests."""

    agent: Agent
    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str]
    cseq: int

    def request(
        self, method: str, *, cseq: int = 0, headers: Iterable[Header] = (), body: bytes = b""
    ) -> Wire:
        """A request inside the dialog, not sent yet."""
        if not cseq:
            self.cseq += 1
        number = cseq or self.cseq
        return Wire(
            f"{method} {self.target} SIP/2.0",
            [
                ("Via", self.agent.new_via()),
                *[("Route", value) for value in self.routes],
                ("Max-Forwards", "70"),
                ("From", self.local),
                ("To", self.remote),
                ("Call-ID", self.call_id),
                ("CSeq", f"{number} {method}"),
                *headers,
            ],
            body,
        )

    def send(self, method: str, *, headers: Iterable[Header] = (), body: bytes = b"") -> Wire:
        """Send a request inside the dialog."""
        request = self.request(method, headers=headers, body=body)
        self.agent.send(request)
        return request

    def bye(self) -> Wire:
        """Hang up, and wait for the 200."""
        request = self.send("BYE")
        return self.agent.final(request)

    def reinvite(self, body: bytes = SDP) -> Wire:
        """Send a new offer inside the dialog."""
        headers = [("Contact", f"<{self.agent.contact}>"), ("Content-Type", "application/sdp")]
        return self.send("INVITE", headers=headers, body=body)

    def ack(self, invite: Wire) -> Wire:
        """Acknowledge the 2xx to an INVITE of this dialog."""
        request = self.request("ACK", cseq=invite.cseq[0])
        self.agent.send(request)
        return request


@dataclass(slots=True)
class Calling:
    """An INVITE of ours, past the challenge."""

    agent: Agent
    request: Wire
    dialogs: list[Dialog] = field(default_factory=list)

    @property
    def call_id(self) -> str:
        return self.request.get("Call-ID")

    @property
    def dialog(self) -> Dialog:
        return self.dialogs[0]

    def expect(self, status: int, timeout: float = PATIENCE_S) -> Wire:
        """A response to the INVITE."""
        return self.agent.response(self.request, status, timeout)

    def answered(self, timeout: float = PATIENCE_S) -> Dialog:
        """Wait for the 200, acknowledge it, and be in the dialog."""
        response = self.expect(200, timeout)
        dialog = self.dialog_of(response)
        dialog.ack(self.request)
        return dialog

    def dialog_of(self, response: Wire) -> Dialog:
        """The dialog that a 2xx makes."""
        dialog = Dialog(
            self.agent,
            self.call_id,
            self.request.get("From"),
            response.get("To"),
            uri_of(response.get("Contact")),
            list(reversed(response.values("Record-Route"))),
            self.request.cseq[0],
        )
        self.dialogs.append(dialog)
        return dialog

    def failed(self, status: int, timeout: float = PATIENCE_S) -> Wire:
        """Wait for a final status of 300 or more, and acknowledge it."""
        response = self.expect(status, timeout)
        self.agent.ack_failure(self.request, response)
        return response

    def cancel(self, headers: Iterable[Header] = ()) -> Wire:
        """CANCEL, and wait for its 200."""
        request = self.agent.cancel_request(self.request, headers)
        self.agent.send(request)
        return self.agent.response(request, 200)

    def resend(self) -> None:
        """The same bytes once more."""
        self.agent.send(self.request)


@dataclass(slots=True)
class Called:
    """An INVITE that arrived."""

    agent: Agent
    request: Wire
    tag: str

    def respond(
        self, status: int, reason: str = "-", headers: Iterable[Header] = (), body: bytes = b""
    ) -> Wire:
        """A response to the INVITE."""
        return self.agent.respond(self.request, status, reason, self.tag, headers, body)

    def ring(self) -> None:
        self.respond(180, "Ringing", self._dialog_headers())

    def _dialog_headers(self) -> list[Header]:
        records = [("Record-Route", value) for value in self.request.rows("Record-Route")]
        return [*records, ("Contact", f"<{self.agent.contact}>")]

    def answer(self, body: bytes = SDP) -> Dialog:
        """200 to the INVITE; the ACK is the test's to expect."""
        headers = [*self._dialog_headers(), ("Content-Type", "application/sdp")]
        self.respond(200, "OK", headers, body)
        return Dialog(
            self.agent,
            self.request.get("Call-ID"),
            f"{self.request.get('To')};tag={self.tag}",
            self.request.get("From"),
            uri_of(self.request.get("Contact")),
            self.request.values("Record-Route"),
            0,
        )

    def refuse(self, status: int, reason: str = "-", headers: Iterable[Header] = ()) -> None:
        """A final status, and the ACK to it."""
        self.respond(status, reason, headers)
        self.agent.expect("ACK")

    def cancelled(self, timeout: float = PATIENCE_S) -> Wire:
        """Wait for the CANCEL; answer it with 200 and the INVITE with 487."""
        cancel = self.agent.expect("CANCEL", timeout)
        self.agent.respond(cancel, 200, "OK", self.tag)
        self.refuse(487, "Request Terminated")
        return cancel


class Agent:
    """One phone. `secret` is None for a stranger.

    Over TLS it knows servers by what `authority` has signed, as strictly as a browser, and may show
    a `certificate` of its own, as the server of another domain does.
    """

    def __init__(
        self,
        server: Address,
        user: str,
        secret: str | None = None,
        *,
        transport: str = "UDP",
        algorithm: str = "SHA-256",
        domain: str = "",
        scheme: str = "sip",
        authority: Path | None = None,
        certificate: Path | None = None,
        sends_from: str = "",
    ) -> None:
        self.scheme = scheme
        self._sends_from = sends_from
        self._authority = authority
        self._certificate = certificate
        self.server = server
        self.user = user
        self.secret = secret
        self.transport = transport
        self.algorithm = algorithm
        self.domain = domain or f"{bracketed(server[0])}:{server[1]}"
        self.inbox: list[Wire] = []
        self.repeats: list[Wire] = []
        self.sent: list[Wire] = []
        self._seen: set[bytes] = set()
        self._rest = b""
        self._socket = self._open()
        self._register_call_id = secrets.token_hex(8)
        self._register_cseq = 0

    def _open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET
        if self.transport == "UDP":
            sock = socket.socket(family, socket.SOCK_DGRAM)
            loopback = "::1" if family == socket.AF_INET6 else "127.0.0.1"
            host = self._sends_from or loopback
            sock.bind((host, unused_port(host)))
            return sock
        stream = socket.create_connection(self.server, PATIENCE_S)
        if self.transport == "TLS":
            context = ssl.create_default_context(cafile=self._authority)
            if self._certificate is not None:
                context.load_cert_chain(self._certificate)
            return context.wrap_socket(stream, server_hostname=self.server[0])
        return stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Vanish, without a word to anyone."""
        self._socket.close()

    def come_back(self) -> Self:
        """By a new connection, or from another port; the old one is closed without a word."""
        self._socket.close()
        self._rest = b""
        self._socket = self._open()
        return self

    def __repr__(self) -> str:
        return f"<Agent {self.user} {self.transport} {self.address}>"

    # --- who we are ------------------------------------------------------------------------
    @property
    def address(self) -> Address:
        name = self._socket.getsockname()
        return name[0], name[1]

    def peer_certificate(self) -> dict[str, Any]:
        """What the server has shown over TLS."""
        assert isinstance(self._socket, ssl.SSLSocket)
        return self._socket.getpeercert() or {}

    @property
    def aor(self) -> str:
        return f"{self.scheme}:{self.user}@{self.domain}"

    @property
    def contact(self) -> str:
        host, port = self.address
        plain = self.transport == "UDP" or self.scheme == "sips"
        suffix = "" if plain else f";transport={self.transport.lower()}"
        return f"{self.scheme}:{self.user}@{bracketed(host)}:{port}{suffix}"

    def new_via(self) -> str:
        """A Via with a fresh branch."""
        host, port = self.address
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        return f"SIP/2.0/{self.transport} {bracketed(host)}:{port};rport;branch={branch}"

    # --- the wire --------------------------------------------------------------------------
    def send(self, message: Wire | bytes) -> None:
        """Send a message, or raw bytes."""
        if isinstance(message, Wire):
            self.sent.append(message)
            message = message.to_bytes()
        if self.transport == "UDP":
            self._socket.sendto(message, self.server)
        else:
            self._socket.sendall(message)

    def _receive(self, timeout: float) -> bool:
        """Take in what arrives next; False when nothing does."""
        self._socket.settimeout(max(0.001, timeout))
        try:
            data = self._socket.recv(65_535)
        except (TimeoutError, ConnectionRefusedError):
            return False
        if not data:
            return False
        if self.transport == "UDP":
            messages = [read(data)]
        else:
            messages, self._rest = read_stream(self._rest + data)
        for message in messages:
            data = message.to_bytes()
            (self.repeats if data in self._seen else self.inbox).append(message)
            self._seen.add(data)
        return True

    def raw(self, timeout: float = PATIENCE_S) -> bytes:
        """The next datagram as it came, or what a connection has just brought."""
        self._socket.settimeout(timeout)
        return self._socket.recv(65_535)

    def _take(self, what: int | str, call_id: str, cseq: tuple[int, str] | None) -> Wire | None:
        for index, message in enumerate(self.inbox):
            right = message.status == what or (bool(message.method) and message.method == what)
            if call_id and message.get("Call-ID") != call_id:
                continue
            if cseq and message.cseq != cseq:
                continue
            if right:
                return self.inbox.pop(index)
        return None

    def expect(
        self,
        what: int | str,
        timeout: float = PATIENCE_S,
        *,
        call_id: str = "",
        cseq: tuple[int, str] | None = None,
    ) -> Wire:
        """Wait for a response with this status or a request with this method."""
        deadline = time.monotonic() + timeout
        while (found := self._take(what, call_id, cseq)) is None:
            left = deadline - time.monotonic()
            if left <= 0 or (not self._receive(left) and time.monotonic() >= deadline):
                raise Timeout(f"{self!r}: no {what} in {timeout} s; came: {self.inbox}")
        return found

    def response(self, request: Wire, status: int, timeout: float = PATIENCE_S) -> Wire:
        """Wait for a response with this status to this request."""
        return self.expect(status, timeout, call_id=request.get("Call-ID"), cseq=request.cseq)

    def final(self, request: Wire, timeout: float = PATIENCE_S) -> Wire:
        """Wait for a final response to this request, whatever it is."""
        deadline = time.monotonic() + timeout
        key = (request.get("Call-ID"), request.cseq)
        while True:
            for index, message in enumerate(self.inbox):
                if message.status >= 200 and (message.get("Call-ID"), message.cseq) == key:
                    return self.inbox.pop(index)
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout(f"{self!r}: no final response to {request} in {timeout} s")
            self._receive(left)

    def quiet(self, seconds: float = 0.3) -> None:
        """Nothing but provisional responses may arrive in this time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._receive(left)
        self.inbox = [m for m in self.inbox if not 100 <= m.status < 200]
        assert self.inbox == [], f"{self!r} got {self.inbox}"

    def drain(self, seconds: float = 0.05) -> list[Wire]:
        """Take everything that is there."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._receive(left)
        found, self.inbox = self.inbox, []
        return found

    # --- requests ----------------------------------------------------------------------------
    def request(
        self,
        method: str,
        uri: str,
        *,
        to: str = "",
        call_id: str = "",
        cseq: int = 1,
        headers: Iterable[Header] = (),
        body: bytes = b"",
        from_value: str = "",
    ) -> Wire:
        """A request outside any dialog, not sent yet."""
        return Wire(
            f"{method} {uri} SIP/2.0",
            [
                ("Via", self.new_via()),
                ("Max-Forwards", "70"),
                ("From", from_value or f"<{self.aor}>;tag={secrets.token_hex(5)}"),
                ("To", to or f"<{uri}>"),
                ("Call-ID", call_id or secrets.token_hex(8)),
                ("CSeq", f"{cseq} {method}"),
                *headers,
            ],
            body,
        )

    def authorized(self, request: Wire, challenged: Wire, *, nc: int = 1) -> Wire:
        """The same request once more, with credentials, a new CSeq and branch (§22.2)."""
        header = "Proxy-Authorization" if challenged.status == 407 else "Authorization"
        challenge = challenge_of(challenged, self.algorithm)
        assert challenge is not None, f"{self.algorithm} is not offered: {challenged.headers}"
        credentials = digest(
            challenge, request.method, request.uri, self.user, self.secret or "", nc
        )
        number, method = request.cseq
        headers = [
            row
            for row in request.headers
            if row[0] not in ("Via", "CSeq", "Authorization", "Proxy-Authorization")
        ]
        headers += [("CSeq", f"{number + 1} {method}"), (header, credentials)]
        return Wire(request.start, [("Via", self.new_via()), *headers], request.body)

    def transact(self, request: Wire, timeout: float = PATIENCE_S) -> Wire:
        """Send a request, answer a challenge once, and give the final response."""
        self.send(request)
        response = self.final(request, timeout)
        if response.status in (401, 407) and self.secret is not None:
            request = self.authorized(request, response)
            self.send(request)
            response = self.final(request, timeout)
        return response

    def register_request(
        self,
        *,
        contacts: Iterable[str] | None = None,
        expires: int | None = 300,
        headers: Iterable[Header] = (),
        call_id: str = "",
    ) -> Wire:
        """A REGISTER of ours; without `contacts`, for our own contact."""
        self._register_cseq += 2
        rows = [("Contact", value) for value in contacts or ()]
        if contacts is None:
            rows = [("Contact", f"<{self.contact}>")]
        if expires is not None:
            rows.append(("Expires", str(expires)))
        return self.request(
            "REGISTER",
            f"{self.scheme}:{self.domain}",
            to=f"<{self.aor}>",
            call_id=call_id or self._register_call_id,
            cseq=self._register_cseq,
            headers=[*rows, *headers],
        )

    def register(
        self,
        *,
        contacts: Iterable[str] | None = None,
        expires: int | None = 300,
        headers: Iterable[Header] = (),
        call_id: str = "",
    ) -> Wire:
        """Register; the final response."""
        return self.transact(
            self.register_request(
                contacts=contacts, expires=expires, headers=headers, call_id=call_id
            )
        )

    def registered(self) -> Self:
        """Register, and be sure of it."""
        response = self.register()
        assert response.status == 200, response.start
        return self

    def invite(self, target: str, *, body: bytes = SDP, headers: Iterable[Header] = ()) -> Calling:
        """Call somebody; the INVITE that was let in, or that is a stranger's."""
        headers = [
            ("Contact", f"<{self.contact}>"),
            ("Content-Type", "application/sdp"),
            *headers,
        ]
        request = self.request("INVITE", target, headers=headers, body=body)
        self.send(request)
        if self.secret is not None:
            challenged = self.response(request, 407)
            self.ack_failure(request, challenged)
            request = self.authorized(request, challenged)
            self.send(request)
        return Calling(self, request)

    def cancel_request(self, invite: Wire, headers: Iterable[Header] = ()) -> Wire:
        """The CANCEL of an INVITE of ours (RFC 3261 §9.1)."""
        kept = [row for row in invite.headers if row[0] in ("Via", "From", "To", "Call-ID")]
        cseq = ("CSeq", f"{invite.cseq[0]} CANCEL")
        return Wire(f"CANCEL {invite.uri} SIP/2.0", [*kept, cseq, ("Max-Forwards", "70"), *headers])

    def ack_failure(self, invite: Wire, response: Wire) -> None:
        """The ACK of a final response of 300 or more: hop by hop (RFC 3261 §17.1.1.3)."""
        kept = [row for row in invite.headers if row[0] in ("Via", "From", "Call-ID")]
        rows = [("To", response.get("To")), ("CSeq", f"{invite.cseq[0]} ACK")]
        self.send(Wire(f"ACK {invite.uri} SIP/2.0", [*kept, *rows, ("Max-Forwards", "70")]))

    # --- responses -----------------------------------------------------------------------------
    def ringing(self, timeout: float = PATIENCE_S, *, call_id: str = "") -> Called:
        """Wait for an INVITE; nothing is answered yet."""
        invite = self.expect("INVITE", timeout, call_id=call_id)
        return Called(self, invite, secrets.token_hex(5))

    def respond(
        self,
        request: Wire,
        status: int,
        reason: str = "-",
        tag: str = "",
        headers: Iterable[Header] = (),
        body: bytes = b"",
    ) -> Wire:
        """Answer a request."""
        to = request.get("To")
        if not tag_of(to) and status > 100:
            to += f";tag={tag or secrets.token_hex(5)}"
        response = Wire(
            f"SIP/2.0 {status} {reason}",
            [
                *[("Via", value) for value in request.rows("Via")],
                ("From", request.get("From")),
                ("To", to),
                ("Call-ID", request.get("Call-ID")),
                ("CSeq", request.get("CSeq")),
                *headers,
            ],
            body,
        )
        self.send(response)
        return response

    def accept(self, method: str, timeout: float = PATIENCE_S) -> Wire:
        """Wait for a request and answer it with 200."""
        request = self.expect(method, timeout)
        self.respond(request, 200, "OK")
        return request

    def unregister(self) -> None:
        """Take our contacts away."""
        with suppress(OSError):
            self.register(contacts=["*"], expires=0)
