"""Where a worker's messages go when it is a name, or when the way they were to go is gone.

For branches of the proxy (`Servers` of the response context), for requests of our own and for ACKs,
which have no transaction; and for responses whose connection or socket failed (RFC 3263 §5). Numeric
next hops and flows never come here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter
from sipcore.locate import Answer, Candidate, Locator, Question, Search, destination
from sipcore.locate.destination import DEFAULT_PORTS, way_back_of
from sipcore.message import (
    BLANKS,
    Request,
    Response,
    Via,
    is_sips,
    parse_message,
    parse_uri,
    parse_via,
)
from sipcore.message.names import canonical
from sipcore.transport.flow import Flow, bracketed, is_address

if TYPE_CHECKING:
    from sipcore.node.worker import Worker
    from sipcore.proxy import Branch
    from sipcore.transaction import ClientTransaction

MAX_WAYS_BACK: Final = 256
"""Transactions at a time whose responses look for another way."""
WAY_BACK_S: Final = 32.0
"""How long the ways of one are remembered."""
MAX_TRIES_BACK: Final = 3
"""Other ways a response tries: the Via that names them is whoever's."""


class ServerFinder:
    """A worker's `Locator`, and all who seek by it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        speaks = frozenset(
            (listener.transport, ":" in listener.local[0]) for listener in worker.config.listeners
        )
        self.locator = Locator(speaks, worker.random, worker.ask, self._probe)
        self._ways_back: dict[str, _WayBack] = {}

    # --- branches of the proxy ---------------------------------------------------------------
    def look_up(self, branch: Branch, uri_text: str, now: float) -> None:
        branch.search = self.locator.start(destination(parse_uri(uri_text)))
        self.locator.seek(branch.search, branch, now)

    def next_server(self, branch: Branch, now: float) -> None:
        if branch.search is not None:
            self.locator.seek(branch.search, branch, now)

    def was_silent(self, branch: Branch, now: float) -> None:
        self.note_silence(branch.search, now)

    def answered(self, branch: Branch, response: Response, now: float) -> None:
        self.note_answer(branch.search, response, now)

    def flow_of(self, server: Candidate) -> Flow:
        local = self._worker.local_address(server.transport, ":" in server.address)
        # Whoever the DNS leads to must prove to be whom we asked for (RFC 5922 §4).
        peer = server.domain if server.transport == "TLS" else ""
        return Flow(server.transport, local, (server.address, server.port), 0, peer)

    def stream_instead(self, flow: Flow, now: float) -> Flow | None:
        local = self._worker.local_address("TCP", ":" in flow.remote[0])
        if not local[1] or self.locator.dead.is_out(Candidate("TCP", *flow.remote, ""), now):
            return None
        return Flow("TCP", local, flow.remote)

    def stream_refused(self, flow: Flow, now: float) -> None:
        self.locator.dead.silent(Candidate(flow.transport, *flow.remote, ""), now)

    # --- what servers did --------------------------------------------------------------------
    def note_silence(self, search: Search | None, now: float) -> None:
        """The server that a search is at gave no answer, or could not be sent to."""
        if search is not None and search.current is not None:
            self.locator.dead.silent(search.current, now)

    def note_answer(self, search: Search | None, response: Response, now: float) -> None:
        """It answered: it is there, unless it says when it will be."""
        if search is None or search.current is None:
            return
        rest_s = retry_after_s(response) if response.status == 503 else 0
        if rest_s:
            self.locator.dead.asked_for_rest(search.current, rest_s, now)
        else:
            self.locator.dead.answered(search.current)

    def answer(self, question: Question, answer: Answer, now: float) -> None:
        """The DNS answered."""
        self.locator.answered(question, answer, now)

    # --- what is not proxied with state --------------------------------------------------------
    def send_request(self, request: Request, next_hop: str, owner: Any, now: float) -> None:
        """Send a request of our own, without Via, to a name; `owner` hears what comes of it.

        The owner is as that of a client transaction, or None.
        """
        search = self.locator.start(destination(parse_uri(next_hop)))
        OwnRequest(self._worker, request, search, owner).go(now)

    def send_ack(self, ack: Request, next_hop: str, branch: str, now: float) -> None:
        """Send an ACK, without Via, to a name: to the same server every time (RFC 3263 §4.4)."""
        search = self.locator.start(destination(parse_uri(next_hop)), stateless=True)
        self.locator.seek(search, _Stateless(self._worker, ack, branch), now)

    def _probe(self, server: Candidate) -> None:
        """See whether a silent server is back."""
        worker = self._worker
        uri = f"sip:{bracketed(server.address)}:{server.port}"
        if server.transport != "UDP":
            uri += f";transport={server.transport.lower()}"
        flow = self.flow_of(server)
        host = bracketed(worker.advertised(flow)[0])
        headers = [
            ("Max-Forwards", "70"),
            ("From", f"<sip:{host}>;tag={worker.new_tag()}"),
            ("To", f"<{uri}>"),
            ("Call-ID", worker.new_call_id()),
            ("CSeq", "1 OPTIONS"),
        ]
        search = self.locator.start(None)  # to this server and no other
        request = OwnRequest(worker, Request.build("OPTIONS", uri, headers), search, None)
        search.current = server
        request.found(server, worker.now)

    # --- responses ---------------------------------------------------------------------------
    def response_failed(self, data: bytes, now: float) -> None:
        """A response could not be sent: try the other ways that its Via names (RFC 3263 §5)."""
        try:
            response = parse_message(data)
            via, method = response.via, response.cseq_method
        except MalformedMessage:
            return
        self._other_way(via, method, data, now)

    def response_unreachable(self, start: bytes, now: float) -> None:
        """The same of a datagram, of which the network gave back the beginning."""
        rows = dict(reversed(rows_of(start)))  # the topmost Via counts
        method = rows.get("cseq", "").rpartition(" ")[2]
        try:
            via = parse_via(rows.get("via", ""))
        except MalformedMessage:
            return
        tx = self._worker.transactions.find_server(via, method)
        if tx is not None:
            self._other_way(via, method, tx.wire, now)

    def _other_way(self, via: Via, method: str, data: bytes, now: float) -> None:
        ways = self._ways_back
        while ways and next(iter(ways.values())).until <= now:
            del ways[next(iter(ways))]
        key = f"{via.branch} {via.sent_by} {method}"
        way = ways.get(key)
        if way is None:
            if len(ways) >= MAX_WAYS_BACK:
                return
            way = ways[key] = _WayBack(self._worker, via, method, now + WAY_BACK_S)
        way.go_on(data, now)


class OwnRequest:
    """A request of our own, tried at one server after another like a branch of the proxy."""

    __slots__ = (
        "_failure",
        "_heard",
        "_owner",
        "_request",
        "_search",
        "_was_sent",
        "_worker",
        "context",
        "tx",
    )

    def __init__(self, worker: Worker, request: Request, search: Search, owner: Any) -> None:
        self._worker = worker
        self._request = request
        self._search = search
        self._owner = owner
        self._heard = False
        self._was_sent = False
        self._failure: Response | None = None
        """The 503 of the server before, for when there is no other."""
        self.context = self
        """Owners of client transactions are branches, which have one."""
        self.tx: ClientTransaction | None = None

    def go(self, now: float) -> None:
        self.tx = None
        self._worker.servers.locator.seek(self._search, self, now)

    def found(self, server: Candidate | None, now: float) -> None:
        worker = self._worker
        if server is None:
            self._give_up(now)
            return
        flow = worker.servers.flow_of(server)
        if is_sips(self._request.uri_text) and not flow.secure:
            worker.count(Counter.REQUEST_INSECURE)
            self._give_up(now)
            return
        copy = self._request.copy()
        copy.push("Via", worker.via_value(flow, worker.new_branch("0")))
        self._heard = False
        self.tx = worker.transactions.request(copy, flow, now, self)

    def _give_up(self, now: float) -> None:
        """No server is left: what became of it at the last one is what became of it."""
        owner = self._owner
        if owner is None:
            return
        if self._failure is not None:
            owner.context.on_response(owner, self._failure, now)
        elif self._was_sent:
            owner.context.on_timeout(owner, now)
        else:
            owner.context.on_transport_failure(owner, now)

    def on_response(self, branch: object, response: Response, now: float) -> None:
        self._heard = True
        self._worker.servers.note_answer(self._search, response, now)
        owner = self._owner
        if response.status == 503:
            self._failure = response
            self.go(now)
        elif owner is not None:
            owner.context.on_response(owner, response, now)

    def on_timeout(self, branch: object, now: float) -> None:
        self._was_sent = True
        self._failure = None
        if self._heard:
            self._give_up(now)
        else:
            self._next(now)

    def on_transport_failure(self, branch: object, now: float) -> None:
        self._failure = None
        self._next(now)

    def _next(self, now: float) -> None:
        self._worker.servers.note_silence(self._search, now)
        self.go(now)


class _Stateless:
    """A message that is sent once."""

    __slots__ = ("_branch", "_message", "_worker")

    def __init__(self, worker: Worker, message: Request, branch: str) -> None:
        self._worker = worker
        self._message = message
        self._branch = branch

    def found(self, server: Candidate | None, now: float) -> None:
        worker = self._worker
        if server is None:
            worker.count(Counter.ACK_UNROUTABLE)
            return
        flow = worker.servers.flow_of(server)
        if is_sips(self._message.uri_text) and not flow.secure:
            worker.count(Counter.ACK_INSECURE)
            return
        self._message.push("Via", worker.via_value(flow, self._branch))
        worker.send(flow, self._message.to_bytes())


class _WayBack:
    """The other ways of one transaction's responses (RFC 3261 §18.2.2, RFC 3263 §5).

    Of a connection that is gone first a new one to where it came from; then what sent-by names.
    """

    __slots__ = (
        "_data",
        "_failed",
        "_method",
        "_search",
        "_tries",
        "_via",
        "_waiting",
        "_worker",
        "until",
    )

    def __init__(self, worker: Worker, via: Via, method: str, until: float) -> None:
        self.until = until
        self._worker = worker
        self._via = via
        self._method = method
        self._data = b""
        self._tries = 0
        self._waiting = False
        wanted = way_back_of(via)
        self._search = worker.servers.locator.start(wanted)
        source = via.received or wanted.host
        port = wanted.port or DEFAULT_PORTS.get(via.transport, 5060)
        first = Candidate(via.transport, source, port, wanted.domain)
        self._failed: set[Candidate] = set()
        if via.transport == "UDP":
            self._failed.add(first)
        elif is_address(source):
            self._search.ready.append(first)

    def go_on(self, data: bytes, now: float) -> None:
        """This response could not be sent either."""
        self._data = data
        if self._waiting or self._tries >= MAX_TRIES_BACK:
            return
        self._waiting = True
        self._worker.servers.locator.seek(self._search, self, now)

    def found(self, server: Candidate | None, now: float) -> None:
        self._waiting = False
        if server is None:
            return
        if server in self._failed:
            self.go_on(self._data, now)
            return
        self._failed.add(server)
        self._tries += 1
        worker = self._worker
        flow = worker.servers.flow_of(server)
        tx = worker.transactions.find_server(self._via, self._method)
        if tx is not None:
            tx.flow = flow
        if self._data:
            worker.send(flow, self._data)


def retry_after_s(response: Response) -> float:
    """Seconds of a Retry-After (RFC 3261 §20.33), 0 without one that can be read."""
    text = (response.first("retry-after") or "").partition(";")[0].partition("(")[0].strip(BLANKS)
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def rows_of(start: bytes) -> list[tuple[str, str]]:
    """The whole header rows, by short or long name, in the first so many bytes of a message."""
    rows = []
    for line in start.split(b"\r\n")[1:-1]:  # the last one may be cut
        name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
        rows.append((canonical(name), value.strip(BLANKS)))
    return rows


def branch_of_datagram(start: bytes) -> str:
    """The branch of a request of ours, of which the network gave back the beginning."""
    for name, value in rows_of(start):
        if name == "via":
            _, _, rest = value.partition(";branch=")
            return rest.partition(",")[0].partition(";")[0].strip(BLANKS)
    return ""


__all__ = ["OwnRequest", "ServerFinder", "branch_of_datagram", "retry_after_s"]
