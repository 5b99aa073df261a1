"""Where a worker's messages go: next hops by address, by name, and when the way they had is gone.

For branches of the proxy, for requests of our own and for ACKs, which have no transaction; and for
responses whose connection or socket failed (RFC 3263 §5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter
from sipcore.locate.answers import Answer, Question
from sipcore.locate.destination import Candidate, destination, way_back_of
from sipcore.locate.limits import MAX_REMEMBERED_FLOWS, MAX_TRIES_BACK, MAX_WAYS_BACK, WAY_BACK_S
from sipcore.locate.locator import Locator, Seeker
from sipcore.locate.search import Search
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
from sipcore.message.limits import CACHED_LENGTH
from sipcore.message.names import canonical
from sipcore.transaction.owners import ClientOwner
from sipcore.transaction.sender import Sender
from sipcore.transport.flow import (
    DEFAULT_PORTS,
    Address,
    Flow,
    bracketed,
    is_address,
    is_datagram_to,
)
from sipcore.transport.networks import network_of
from sipcore.transport.reach import is_loopback, leads_nowhere

OWN_REQUESTS: Final = "own"
"""Whose share of the questions requests of our own take, and what an operator has named."""


class NextHops:
    """A worker's `Locator`, and all who seek by it. `ask` has the DNS asked."""

    def __init__(
        self,
        sender: Sender,
        ask: Callable[[Question], None],
        new_call_id: Callable[[], str],
    ) -> None:
        self._sender = sender
        self._new_call_id = new_call_id
        speaks = frozenset((lt.transport, ":" in lt.local[0]) for lt in sender.own.listeners)
        self.locator = Locator(speaks, sender.random, ask, self._probe, self._may_reach)
        self._flows: dict[str, Flow] = {}
        """To contacts given by address: a phone's is the same for a long time."""
        self._ways_back: dict[str, _WayBack] = {}

    # --- by address --------------------------------------------------------------------------
    def flow_to(self, uri_text: str) -> Flow | None:
        """The flow to a next hop given by address, None when its name must be looked up."""
        flow = self._flows.get(uri_text)
        return self._find_flow(uri_text) if flow is None else flow

    def _find_flow(self, uri_text: str) -> Flow | None:
        wanted = destination(parse_uri(uri_text))
        if wanted is None or not wanted.is_numeric:
            return None
        bare, transport = wanted.host, wanted.transport or ("TLS" if wanted.secure else "UDP")
        local = self._sender.own.local_address(transport, ":" in bare)
        if not local[1]:
            return None  # what we do not speak is not replaced by something else
        port = DEFAULT_PORTS.get(transport, 5060) if wanted.port is None else wanted.port
        if not self._may_send(Candidate(transport, bare, port, ""), local):
            raise MalformedMessage("nothing is sent to that address")
        remote = (bare, port)
        flow = Flow(transport, local, remote, 0, wanted.domain if transport == "TLS" else "")
        if len(self._flows) >= MAX_REMEMBERED_FLOWS:
            self._flows.clear()
        if len(uri_text) <= CACHED_LENGTH:
            self._flows[uri_text] = flow
        return flow

    def _may_reach(self, server: Candidate) -> bool:
        local = self._sender.own.local_address(server.transport, ":" in server.address)
        return self._may_send(server, local)

    def _may_send(self, server: Candidate, local: Address) -> bool:
        """Whether anything may be sent there from this address of ours: not to ourselves, either.

        What is for us is never sent. A Contact that leads back by the DNS would multiply requests.
        """
        transport, address, port, _ = server
        if leads_nowhere(address, port, is_loopback(local[0])):
            return False
        return not self._sender.own.is_own_socket(transport, address, port)

    def stream_instead(self, flow: Flow, now: float) -> Flow | None:
        """The flow to the same peer for what is too large for a datagram, None if there is none."""
        local = self._sender.own.local_address("TCP", ":" in flow.remote[0])
        if not local[1] or self.locator.dead.is_out(Candidate("TCP", *flow.remote, ""), now):
            return None
        return Flow("TCP", local, flow.remote)

    def stream_refused(self, flow: Flow, now: float) -> None:
        """There is none after all."""
        self.locator.dead.silent(Candidate(flow.transport, *flow.remote, ""), now)

    # --- by name -----------------------------------------------------------------------------
    def search_for(self, uri_text: str, asker: str) -> Search:
        """A search for the servers of a next hop, in this asker's share of the questions."""
        return self.locator.start(destination(parse_uri(uri_text)), asker)

    def seek(self, search: Search, seeker: Seeker, now: float) -> None:
        """Give the seeker the next server of a search: at once, or when answers have come."""
        self.locator.seek(search, seeker, now)

    def flow_of(self, server: Candidate) -> Flow:
        """How a server is reached."""
        local = self._sender.own.local_address(server.transport, ":" in server.address)
        # Whoever the DNS leads to must prove to be whom we asked for (RFC 5922 §4).
        peer = server.domain if server.transport == "TLS" else ""
        return Flow(server.transport, local, (server.address, server.port), 0, peer)

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
    def send_request(
        self, request: Request, next_hop: str, owner: ClientOwner | None, now: float
    ) -> None:
        """Send a request of our own, without Via, to a name; `owner` hears what comes of it.

        The owner is as that of a client transaction, or None.
        """
        search = self.search_for(next_hop, OWN_REQUESTS)
        OwnRequest(self, self._sender, request, search, owner).go(now)

    def send_ack(self, ack: Request, next_hop: str, asker: str, branch: str, now: float) -> None:
        """Send an ACK, without Via, to a name: to the same server every time (RFC 3263 §4.4)."""
        search = self.locator.start(destination(parse_uri(next_hop)), asker, stateless=True)
        self.seek(search, _Stateless(self, self._sender, ack, branch), now)

    def _probe(self, server: Candidate) -> None:
        """See whether a silent server is back."""
        sender = self._sender
        if sender.is_stopping:
            return
        uri = f"sip:{bracketed(server.address)}:{server.port}"
        if server.transport != "UDP":
            uri += f";transport={server.transport.lower()}"
        flow = self.flow_of(server)
        host = bracketed(sender.own.advertised(flow)[0])
        headers = [
            ("Max-Forwards", "70"),
            ("From", f"<sip:{host}>;tag={sender.new_tag()}"),
            ("To", f"<{uri}>"),
            ("Call-ID", self._new_call_id()),
            ("CSeq", "1 OPTIONS"),
        ]
        search = self.locator.start(None)  # to this server and no other
        request = OwnRequest(self, sender, Request.build("OPTIONS", uri, headers), search, None)
        search.current = server
        request.found(server, sender.now)

    # --- responses ---------------------------------------------------------------------------
    def response_failed(self, data: bytes, now: float) -> None:
        """A response could not be sent: try the other ways that its Via names (RFC 3263 §5)."""
        try:
            response = parse_message(data)
            via, method = response.via, response.cseq_method
        except MalformedMessage:
            return
        tx = self._sender.transactions.find_server(via, method)
        self._other_way(via, method, data, tx is not None and tx.is_known, now)

    def response_unreachable(self, start: bytes, destination: Address, now: float) -> None:
        """The same of a datagram to `destination`, of which the network gave back the beginning."""
        rows = dict(reversed(rows_of(start)))  # the topmost Via counts
        method = rows.get("cseq", "").rpartition(" ")[2]
        try:
            via = parse_via(rows.get("via", ""))
        except MalformedMessage:
            return
        tx = self._sender.transactions.find_server(via, method)
        if tx is not None and is_datagram_to(tx.flow, destination):
            self._other_way(via, method, tx.wire, tx.is_known, now)

    def _other_way(self, via: Via, method: str, data: bytes, is_known: bool, now: float) -> None:
        """Try where its Via says the sender is (RFC 3261 §18.2.2, RFC 3263 §5).

        No name that a stranger wrote is looked up, and no address outside the stranger's own network
        is sent to: else one small request with a victim in sent-by would lead our answers there.
        """
        may_leave = is_known or _names_its_own_network(via)
        if via.transport == "UDP" and not may_leave:
            return
        ways = self._ways_back
        while ways and next(iter(ways.values())).until <= now:
            del ways[next(iter(ways))]
        key = f"{via.branch} {via.sent_by} {method}"
        way = ways.get(key)
        if way is None:
            if len(ways) >= MAX_WAYS_BACK:
                return
            way = ways[key] = _WayBack(self, self._sender, via, method, may_leave, now + WAY_BACK_S)
        way.go_on(data, now)


class OwnRequest:
    """A request of our own, tried at one server after another like a branch of the proxy."""

    __slots__ = (
        "_failure",
        "_heard",
        "_hops",
        "_owner",
        "_request",
        "_search",
        "_sender",
        "_tx",
        "_was_sent",
    )

    def __init__(
        self,
        hops: NextHops,
        sender: Sender,
        request: Request,
        search: Search,
        owner: ClientOwner | None,
    ) -> None:
        self._hops = hops
        self._sender = sender
        self._request = request
        self._search = search
        self._owner = owner
        self._heard = False
        self._was_sent = False
        self._failure: Response | None = None
        """The 503 of the server before, for when there is no other."""
        self._tx: object = None

    def go(self, now: float) -> None:
        self._tx = None
        self._hops.seek(self._search, self, now)

    def found(self, server: Candidate | None, now: float) -> None:
        sender = self._sender
        if server is None:
            self._give_up(now)
            return
        flow = self._hops.flow_of(server)
        if is_sips(self._request.uri_text) and not flow.secure:
            sender.count(Counter.REQUEST_INSECURE)
            self._give_up(now)
            return
        copy = self._request.copy()
        copy.push("Via", sender.own.via_value(flow, sender.new_branch("0")))
        self._heard = False
        self._tx = sender.transactions.request(copy, flow, now, self)

    def _give_up(self, now: float) -> None:
        """No server is left: what became of it at the last one is what became of it."""
        owner = self._owner
        if owner is None:
            return
        if self._failure is not None:
            owner.on_response(self, self._failure, now)
        elif self._was_sent:
            owner.on_timeout(self, now)
        else:
            owner.on_transport_failure(self, now)

    def on_response(self, tx: object, response: Response, now: float) -> None:
        self._heard = True
        self._hops.note_answer(self._search, response, now)
        owner = self._owner
        if response.status == 503:
            self._failure = response
            self.go(now)
        elif owner is not None:
            owner.on_response(self, response, now)

    def on_timeout(self, tx: object, now: float) -> None:
        self._was_sent = True
        self._failure = None
        if self._heard:
            self._give_up(now)
        else:
            self._next(now)

    def on_transport_failure(self, tx: object, now: float) -> None:
        if tx is not self._tx:
            return  # the ACK to a server that was left
        self._failure = None
        self._next(now)

    def _next(self, now: float) -> None:
        self._hops.note_silence(self._search, now)
        self.go(now)


class _Stateless:
    """A message that is sent once."""

    __slots__ = ("_branch", "_hops", "_message", "_sender")

    def __init__(self, hops: NextHops, sender: Sender, message: Request, branch: str) -> None:
        self._hops = hops
        self._sender = sender
        self._message = message
        self._branch = branch

    def found(self, server: Candidate | None, now: float) -> None:
        sender = self._sender
        if server is None:
            sender.count(Counter.ACK_UNROUTABLE)
            return
        flow = self._hops.flow_of(server)
        if is_sips(self._message.uri_text) and not flow.secure:
            sender.count(Counter.ACK_INSECURE)
            return
        self._message.push("Via", sender.own.via_value(flow, self._branch))
        sender.send(flow, self._message.to_bytes())


class _WayBack:
    """The other ways of one transaction's responses (RFC 3261 §18.2.2, RFC 3263 §5).

    Of a connection that is gone first a new one to where it came from; then what sent-by names.
    """

    __slots__ = (
        "_data",
        "_failed",
        "_hops",
        "_method",
        "_search",
        "_sender",
        "_tries",
        "_via",
        "_waiting",
        "until",
    )

    def __init__(
        self,
        hops: NextHops,
        sender: Sender,
        via: Via,
        method: str,
        may_leave: bool,
        until: float,
    ) -> None:
        self.until = until
        self._hops = hops
        self._sender = sender
        self._via = via
        self._method = method
        self._data = b""
        self._tries = 0
        self._waiting = False
        wanted = way_back_of(via)
        source = via.received or wanted.host
        asker = f"way back to {source}"
        self._search = hops.locator.start(wanted if may_leave else None, asker)
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
        self._hops.seek(self._search, self, now)

    def found(self, server: Candidate | None, now: float) -> None:
        self._waiting = False
        if server is None:
            return
        if server in self._failed:
            self.go_on(self._data, now)
            return
        self._failed.add(server)
        self._tries += 1
        flow = self._hops.flow_of(server)
        tx = self._sender.transactions.find_server(self._via, self._method)
        if tx is not None:
            tx.flow = flow
        if self._data:
            self._sender.send(flow, self._data)


def _names_its_own_network(via: Via) -> bool:
    """Whether sent-by is an address in the network that the request came from."""
    host = via.host.strip("[]")
    return is_address(host) and network_of(host) == network_of(via.received or host)


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


__all__ = ["OWN_REQUESTS", "NextHops", "OwnRequest", "branch_of_datagram", "retry_after_s"]
