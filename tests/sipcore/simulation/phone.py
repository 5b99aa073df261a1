"""A simulated phone: a user agent on the stack's own transactions, driven by a script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any

from sipcore.message import Request, Response, parse_auth_params, parse_message
from sipcore.transaction import ClientTransaction, ServerTransaction, Timers, TransactionTable
from sipcore.transport.flow import Address, Flow, bracketed
from sipcore.transport.way_back import response_flow, stamp_source
from tests.sipcore.simulation.world import (
    DOMAIN,
    REALM,
    World,
    ha1,
    ipv6_address,
    secret_of,
    tls_address,
)


@dataclass(slots=True)
class Outgoing:
    """A request of ours and what came of it."""

    phone: Phone
    request: Request
    destination: Address
    responses: list[Response] = field(default_factory=list)
    finals: list[Response] = field(default_factory=list)
    timed_out: bool = False
    authenticated: bool = False
    tx: ClientTransaction | None = None
    on_final: Callable[[Outgoing, Response], None] | None = None
    dialogs: dict[str, PhoneDialog] = field(default_factory=dict)
    cancelled: bool = False

    @property
    def status(self) -> int:
        """The final status, 0 while there is none, 408 after a time-out."""
        if self.finals:
            return self.finals[0].status
        return 408 if self.timed_out else 0

    # --- owner of its client transaction ---------------------------------------------------------
    def on_response(self, tx: object, response: Response, now: float) -> None:
        self.responses.append(response)
        self.phone.responded(self, response, now)

    def on_timeout(self, tx: object, now: float) -> None:
        self.timed_out = True

    on_transport_failure = on_timeout


@dataclass(slots=True)
class PhoneDialog:
    """A dialog as one phone sees it."""

    call_id: str
    local_value: str
    remote_value: str
    remote_target: str
    routes: list[str]
    local_cseq: int
    ack: Request | None = None
    ended: bool = False
    ended_by_us: bool = False
    acknowledged: bool = False


Answer = Callable[["Phone", ServerTransaction, Request, float], None]


class Phone:
    """One device: registers, calls, answers by its `on_invite` script."""

    def __init__(
        self,
        world: World,
        name: str,
        address: Address,
        *,
        q: str = "",
        instance: str = "",
        transport: str = "UDP",
        scheme: str = "sip",
    ) -> None:
        self.transport = transport
        self.rport = ";rport"
        """"" for a phone that listens elsewhere than it sends from."""
        self.scheme = scheme
        self.world = world
        self.name = name
        self.address = address
        self.place = f"{bracketed(address[0])}:{address[1]}"
        """Its address as Vias and URIs have it."""
        self.random = Random(world.random.getrandbits(64))
        self.network = world.network
        self.transactions = TransactionTable(self, Timers())
        self.on_invite: Answer = answer_at_once
        self.dialogs: dict[tuple[str, str], PhoneDialog] = {}
        self.received: list[Request] = []
        self.messages: list[bytes] = []
        self.accepted: set[tuple[str, str]] = set()
        """Call-ID and our tag of what was answered with a 2xx."""
        streams = {("sip", "TLS"): ";transport=tls", ("sip", "TCP"): ";transport=tcp"}
        parameter = streams.get((scheme, transport), "")
        self.contact = f"{scheme}:{name}@{self.place}{parameter}"
        self.contact_params = f";q={q}" if q else ""
        if instance:
            self.contact_params += f';+sip.instance="<urn:uuid:{instance}>"'
        self.register_call_id = self._id()
        self.secret = secret_of(name)
        self._cseq = 0
        self._wake_at: float | None = None
        self._invites: dict[int, dict[str, Any]] = {}
        self.repeats = 0
        self.sdp = b"v=0\r\n"
        """How it describes its session when it answers."""
        self.acks: list[bytes] = []
        """Bodies of the ACKs that came."""
        self.extra: list[tuple[str, str]] = []
        """Further headers of a 2xx to INVITE or UPDATE."""
        self.network.attach(address, self._receive)

    # --- plumbing ----------------------------------------------------------------------------
    def _id(self) -> str:
        return f"{self.random.getrandbits(64):016x}"

    def _node(self) -> Address:
        """Any node: what DNS SRV would give."""
        node = self.random.choice(self.world.nodes)
        if ":" in self.address[0]:
            return ipv6_address(node.number)
        return node.address if self.transport == "UDP" else tls_address(node.number)

    def _receive(self, data: bytes, source: Address, now: float) -> None:
        message = parse_message(data)
        flow = Flow(self.transport, self.address, source)
        if isinstance(message, Response):
            self.transactions.receive_response(message, flow, now)
        else:
            stamp_source(message, flow)
            tx = self.transactions.receive_request(message, response_flow(message, flow), now)
            if tx is not None:
                self.received.append(message)
                self._request(tx, message, now)
        self._set_timer()

    def _set_timer(self) -> None:
        deadline = self.transactions.next_deadline()
        if deadline is None or (self._wake_at is not None and self._wake_at <= deadline):
            return
        self._wake_at = deadline
        self.network.at_time(deadline, self._on_timer)

    def _on_timer(self, now: float) -> None:
        if self._wake_at is not None and self._wake_at > now:
            return
        self._wake_at = None
        self.transactions.advance(now)
        self._set_timer()

    def respond(
        self, tx: ServerTransaction, request: Request, status: int, tag: str, body: bytes = b""
    ) -> None:
        """Answer a request with our Contact and the Record-Route copied."""
        headers = [("X-Trace", trace) for trace in request.rows("x-trace")]
        if request.method == "INVITE" and status < 300:
            headers += [("Record-Route", v) for v in request.rows("record-route")]
            # Who was asked for by a sip URI makes nobody use a sips URI (RFC 5630 §5.1.2).
            contact = self.contact if request.uri.scheme == self.scheme else f"sip{self.contact[4:]}"
            headers.append(("Contact", f"<{contact}>"))
        if request.method in ("INVITE", "UPDATE") and 200 <= status < 300:
            headers += self.extra
        tx.respond(request.respond(status, to_tag=tag, headers=headers, body=body), self.network.now)
        self._set_timer()

    # --- transaction user ----------------------------------------------------------------------
    def send(self, flow: Flow, data: bytes) -> None:
        self.network.send(data, self.address, flow.remote)

    def ack_received(self, request: Request, flow: Flow, now: float) -> None:
        dialog = self.dialogs.get((request.call_id, request.to_tag))
        self.acks.append(request.body)
        if dialog is not None:
            dialog.acknowledged = True

    def server_ended(self, tx: object, now: float) -> None:
        pass

    def responded(self, outgoing: Outgoing, response: Response, now: float) -> None:
        """A response to a request of this phone."""
        if response.status < 200:
            return
        if outgoing.request.method == "INVITE" and response.status < 300:
            self._established(outgoing, response, now)
        if response.status in (401, 407) and not outgoing.authenticated:
            self._authenticate(outgoing, response, now)
            return
        outgoing.finals.append(response)
        if outgoing.on_final is not None and len(outgoing.finals) == 1:
            outgoing.on_final(outgoing, response)

    # --- sending -----------------------------------------------------------------------------
    def start(self, request: Request, destination: Address) -> Outgoing:
        """Send a request as a new transaction."""
        outgoing = Outgoing(self, request, destination)
        self._launch(outgoing)
        return outgoing

    def _launch(self, outgoing: Outgoing) -> None:
        branch = f"z9hG4bK{self._id()}"
        outgoing.request.set("Via", f"SIP/2.0/{self.transport} {self.place};branch={branch}{self.rport}")
        flow = Flow(self.transport, self.address, outgoing.destination)
        outgoing.tx = self.transactions.request(outgoing.request, flow, self.network.now, outgoing)
        self._set_timer()

    def build(self, method: str, to: str, *, body: bytes = b"", call_id: str = "") -> Request:
        """A request outside of any dialog."""
        self._cseq += 1
        headers = [
            ("Via", "SIP/2.0/UDP invalid"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.name}@{DOMAIN}>;tag={self._id()}"),
            ("To", f"<{to}>"),
            ("Call-ID", call_id or self._id()),
            ("CSeq", f"{self._cseq} {method}"),
            ("Contact", f"<{self.contact}>{self.contact_params}"),
            ("X-Trace", self._id()),
            ("Supported", "x-nobody-knows"),
            ("X-Trace", f"{method}, second; a=\"b,c\""),
        ]
        return Request.build(method, to, headers, body)

    def register(self, expires: int = 600, contact: str | None = None) -> Outgoing:
        """REGISTER our contact (or another Contact value) at any node."""
        request = self.build("REGISTER", f"{self.scheme}:{DOMAIN}", call_id=self.register_call_id)
        request.set("To", f"<sip:{self.name}@{DOMAIN}>")
        if contact is not None:
            request.set("Contact", contact)
        request.append("Expires", str(expires))
        return self.start(request, self._node())

    def call(self, who: str, body: bytes = b"v=0\r\n") -> Outgoing:
        """INVITE a name or number of the domain."""
        return self.start(self.build("INVITE", f"{self.scheme}:{who}@{DOMAIN}", body=body), self._node())

    def message(self, who: str, body: bytes) -> Outgoing:
        """MESSAGE to a name or number."""
        return self.start(self.build("MESSAGE", f"{self.scheme}:{who}@{DOMAIN}", body=body), self._node())

    def cancel(self, outgoing: Outgoing) -> None:
        """CANCEL our INVITE, once a provisional response allows it (RFC 3261 §9.1)."""
        if outgoing.status or not outgoing.responses:
            return
        outgoing.cancelled = True
        invite = outgoing.request
        headers = [
            ("Via", invite.values("via")[0]),
            ("Max-Forwards", "70"),
            ("From", invite.first("from") or ""),
            ("To", invite.first("to") or ""),
            ("Call-ID", invite.call_id),
            ("CSeq", f"{invite.cseq_number} CANCEL"),
        ]
        request = Request.build("CANCEL", invite.uri_text, headers)
        flow = Flow(self.transport, self.address, outgoing.destination)
        self.transactions.request(request, flow, self.network.now, Outgoing(self, request, flow.remote))
        self._set_timer()

    def _authenticate(self, outgoing: Outgoing, response: Response, now: float) -> None:
        """Send it again with SHA-256 credentials (the first challenge offered)."""
        outgoing.authenticated = True
        proxy = response.status == 407
        row = response.rows("proxy-authenticate" if proxy else "www-authenticate")[0]
        challenge = parse_auth_params(row)
        request = outgoing.request
        self._cseq = max(self._cseq, request.cseq_number) + 1
        uri = request.uri_text
        key = ha1("SHA-256", self.name, self.secret).decode()
        ha2 = sha256(f"{request.method}:{uri}".encode()).hexdigest()
        nonce, cnonce = challenge["nonce"], self._id()
        digest = sha256(f"{key}:{nonce}:00000001:{cnonce}:auth:{ha2}".encode()).hexdigest()
        value = (
            f'Digest username="{self.name}", realm="{REALM}", nonce="{nonce}", uri="{uri}", '
            f'response="{digest}", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="{cnonce}"'
        )
        request.set("CSeq", f"{self._cseq} {request.method}")
        request.set("Proxy-Authorization" if proxy else "Authorization", value)
        self._launch(outgoing)

    # --- dialogs -------------------------------------------------------------------------------
    def _established(self, outgoing: Outgoing, response: Response, now: float) -> None:
        """A 2xx to our INVITE: ACK it, every time it comes."""
        tag = response.to_tag
        dialog = outgoing.dialogs.get(tag)
        if dialog is None:
            invite = outgoing.request
            dialog = PhoneDialog(
                call_id=invite.call_id,
                local_value=invite.first("from") or "",
                remote_value=response.first("to") or "",
                remote_target=response.contacts[0].uri_text,
                routes=list(reversed(response.record_routes)),
                local_cseq=invite.cseq_number,
            )
            outgoing.dialogs[tag] = dialog
            self.dialogs[invite.call_id, invite.from_tag + tag] = dialog
            ack = self.in_dialog(dialog, "ACK", cseq=invite.cseq_number)
            branch = f"z9hG4bK{self._id()}"
            ack.push("Via", f"SIP/2.0/{self.transport} {self.place};branch={branch}")
            dialog.ack = ack
        assert dialog.ack is not None
        self.network.send(dialog.ack.to_bytes(), self.address, self.route_address(dialog))

    def in_dialog(self, dialog: PhoneDialog, method: str, cseq: int | None = None) -> Request:
        """A request inside a dialog, without Via."""
        if cseq is None:
            dialog.local_cseq += 1
            cseq = dialog.local_cseq
        headers = [("Route", value) for value in dialog.routes]
        headers += [
            ("Max-Forwards", "70"),
            ("From", dialog.local_value),
            ("To", dialog.remote_value),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", f"<{self.contact}>"),
        ]
        return Request.build(method, dialog.remote_target, headers)

    def route_address(self, dialog: PhoneDialog) -> Address:
        """Any node when we have a route: the Record-Route name leads to all (SRV)."""
        if dialog.routes:
            return self._node()
        host, _, port = dialog.remote_target.rpartition("@")[2].partition(":")
        return (host, int(port or 5060))

    def hang_up(self, dialog: PhoneDialog) -> Outgoing | None:
        """BYE."""
        if dialog.ended:
            return None
        dialog.ended = dialog.ended_by_us = True
        return self.start(self.in_dialog(dialog, "BYE"), self.route_address(dialog))

    def move(self, address: Address, contact: str = "") -> None:
        """It is in another network from now on, and nowhere else."""
        self.network.detach(self.address)
        self.address = address
        self.place = f"{bracketed(address[0])}:{address[1]}"
        self.contact = contact or f"{self.scheme}:{self.name}@{self.place}"
        self.network.attach(address, self._receive)

    def reinvite(self, dialog: PhoneDialog) -> Outgoing:
        """INVITE inside the dialog."""
        return self.start(self.in_dialog(dialog, "INVITE"), self.route_address(dialog))

    # --- receiving -----------------------------------------------------------------------------
    def _request(self, tx: ServerTransaction, request: Request, now: float) -> None:
        if request.method == "INVITE" and not request.to_tag:
            self.on_invite(self, tx, request, now)
        elif request.method == "CANCEL":
            self._cancelled(tx, request)
        elif request.method == "BYE":
            self._bye(tx, request)
        elif request.method == "OPTIONS" and request.to_tag:
            dialog = self.dialog_of(request)
            gone = dialog is None or dialog.ended
            self.respond(tx, request, 481 if gone else 200, "")
        elif request.method == "MESSAGE":
            self.messages.append(request.body)
            self.respond(tx, request, 200, self._id())
        elif request.method == "INVITE":
            dialog = self.dialog_of(request)
            if dialog is not None and request.contacts:
                dialog.remote_target = request.contacts[0].uri_text
            self.respond(tx, request, 200, "", self.sdp)
            for delay_s in (0.5, 1.5, 3.5, 7.5):  # repeated, as every 2xx to an INVITE is
                self.network.after(delay_s, lambda _: self.respond(tx, request, 200, "", self.sdp))
        else:
            self.respond(tx, request, 200, self._id())

    def _cancelled(self, tx: ServerTransaction, request: Request) -> None:
        invite = self.transactions.find_invite(request, tx.flow)
        self.respond(tx, request, 200 if invite is not None else 481, self._id())
        if invite is not None and (invite.last_status or 0) < 200:
            self.respond(invite, invite.request, 487, self._id())

    def dialog_of(self, request: Request) -> PhoneDialog | None:
        """The dialog this request is in; it may be over."""
        return self.dialogs.get((request.call_id, request.to_tag)) or self.dialogs.get(
            (request.call_id, request.to_tag + request.from_tag)
        )

    def _bye(self, tx: ServerTransaction, request: Request) -> None:
        dialog = self.dialog_of(request)
        if dialog is not None:
            dialog.ended = True
        self.respond(tx, request, 200 if dialog is not None else 481, "")

    def accept(self, tx: ServerTransaction, request: Request) -> None:
        """200 to an INVITE, repeated until the ACK (RFC 3261 §13.3.1.4)."""
        if (tx.last_status or 0) >= 200:
            return
        tag = self._id()
        dialog = PhoneDialog(
            call_id=request.call_id,
            local_value=f"{request.first('to')};tag={tag}",
            remote_value=request.first("from") or "",
            remote_target=request.contacts[0].uri_text,
            routes=list(request.record_routes),
            local_cseq=0,
        )
        self.dialogs[request.call_id, tag] = dialog
        self.accepted.add((request.call_id, tag))
        self.respond(tx, request, 200, tag, self.sdp)
        self._repeat(tx, request, tag, dialog, 0.5, self.network.now + 32.0)

    def _repeat(
        self,
        tx: ServerTransaction,
        request: Request,
        tag: str,
        dialog: PhoneDialog,
        interval: float,
        end: float,
    ) -> None:
        def again(now: float) -> None:
            if dialog.acknowledged or dialog.ended:
                return
            if now >= end:
                self.hang_up(dialog)
                return
            self.repeats += 1
            self.respond(tx, request, 200, tag, self.sdp)
            self._repeat(tx, request, tag, dialog, min(interval * 2, 4.0), end)

        self.network.after(min(interval, max(0.01, end - self.network.now)), again)


def answer_at_once(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
    """180, then 200."""
    phone.respond(tx, request, 180, phone.address[0])
    phone.accept(tx, request)


def answer_after(delay_s: float) -> Answer:
    """180 now, 200 later."""

    def script(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        phone.respond(tx, request, 180, "early")
        phone.network.after(delay_s, lambda _: phone.accept(tx, request))

    return script


def refuse_with(status: int, delay_s: float = 0.0) -> Answer:
    """A failure, at once or after ringing."""

    def refuse(phone: Phone, tx: ServerTransaction, request: Request) -> None:
        if (tx.last_status or 0) < 200:
            phone.respond(tx, request, status, "refused")

    def script(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
        if delay_s:
            phone.respond(tx, request, 180, "early")
            phone.network.after(delay_s, lambda _: refuse(phone, tx, request))
        else:
            refuse(phone, tx, request)

    return script


def ring_forever(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
    """180 and nothing more."""
    phone.respond(tx, request, 180, "early")


def silent(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
    """No answer at all (the transaction's own 100 apart)."""
