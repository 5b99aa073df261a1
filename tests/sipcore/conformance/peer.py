"""A peer of the simulated network that does nothing by itself: it shows all that it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sipcore.message import Request, Response, parse_message
from sipcore.transport.flow import Address
from tests.sipcore.simulation.phone import Outgoing, Phone
from tests.sipcore.simulation.world import DOMAIN, Size, World

Header = tuple[str, str]
NAMES = ["anna", "bob", "clara"]


class Peer:
    """An address. `on_request` is called for each request, retransmissions included."""

    def __init__(self, world: World, address: Address) -> None:
        self.world = world
        self.address = address
        self.arrived: list[tuple[float, Request | Response, Address]] = []
        """(time, message, source)."""
        self.raw: list[bytes] = []
        self.on_request: Callable[[Request], object] = lambda request: None
        self._counter = 0
        world.network.attach(address, self._receive)

    def _receive(self, data: bytes, source: Address, now: float) -> None:
        message = parse_message(data)
        self.raw.append(data)
        self.arrived.append((now, message, source))
        if isinstance(message, Request):
            self.on_request(message)

    def requests(self, method: str = "") -> list[Request]:
        """The requests that arrived, repeated ones once."""
        seen: dict[tuple[str, str], Request] = {}
        for _, message, _ in self.arrived:
            if isinstance(message, Request) and method in ("", message.method):
                seen.setdefault((message.method, message.branch), message)
        return list(seen.values())

    @property
    def responses(self) -> list[Response]:
        return [m for _, m, _ in self.arrived if isinstance(m, Response)]

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    def times(self, method: str) -> list[float]:
        """When each copy of a request arrived."""
        return [t for t, m, _ in self.arrived if isinstance(m, Request) and m.method == method]

    def send(self, message: Request | Response | bytes, to: Address | None = None) -> None:
        """Send to the first node, or to this address."""
        data = message if isinstance(message, bytes) else message.to_bytes()
        self.world.network.send(data, self.address, to or self.world.nodes[0].address)

    def answer(
        self,
        request: Request,
        status: int,
        *headers: Header,
        tag: str = "t",
        body: bytes = b"",
        to: Address | None = None,
    ) -> Response:
        """A response, to where the request came from."""
        rows = list(headers)
        if request.method == "INVITE" and status < 300:
            rows += [("Record-Route", value) for value in request.rows("record-route")]
            rows.append(("Contact", f"<sip:callee@{self.address[0]}:{self.address[1]}>"))
        response = request.respond(status, to_tag=tag, headers=rows, body=body)
        source = next(s for _, m, s in reversed(self.arrived) if m is request)
        self.send(response, to or source)
        return response

    def via(self, extra: str = "") -> str:
        """A Via with a fresh branch."""
        self._counter += 1
        host, port = self.address
        return f"SIP/2.0/UDP {host}:{port};branch=z9hG4bKpeer{port}x{self._counter}{extra}"

    def build(
        self,
        method: str,
        uri: str,
        *headers: Header,
        sender: str = "sip:mallory@elsewhere.example",
        body: bytes = b"",
    ) -> Request:
        """A request of a stranger, unless told otherwise."""
        rows = [
            ("Via", self.via()),
            ("Max-Forwards", "70"),
            ("From", f"<{sender}>;tag=p{self._counter}"),
            ("To", f"<{uri}>"),
            ("Call-ID", f"{self._counter}@{self.address[0]}"),
            ("CSeq", f"1 {method}"),
            ("Contact", f"<sip:mallory@{self.address[0]}:{self.address[1]}>"),
        ]
        given = {name.lower() for name, _ in headers}
        rows = [row for row in rows if row[0].lower() not in given]
        return Request.build(method, uri, [*rows, *headers], body)


def new_world(size: Size, seed: int = 1, names: list[str] | None = None) -> World:
    """A world without loss."""
    return World(seed, size, names or NAMES)


def phone(world: World, name: str, host: str, **kw: str) -> Phone:
    """A phone that is registered."""
    made = Phone(world, name, (host, 5060), **kw)
    outgoing = made.register()
    world.run(1.0)
    assert outgoing.status == 200, outgoing.responses
    return made


def peer_of(
    world: World, name: str, host: str, *, params: str = "", headers: Iterable[Header] = ()
) -> Peer:
    """A peer that a name of ours leads to: its phone registered it beside itself."""
    owner = Phone(world, name, (host, 5060))
    owner.rport = ""
    peer = Peer(world, (host, 5070))
    request = owner.build("REGISTER", f"sip:{DOMAIN}")
    request.set("To", f"<sip:{name}@{DOMAIN}>")
    request.set("Contact", f"<sip:{name}@{host}:5070>{params}")
    for header in headers:
        request.append(*header)
    outgoing = owner.start(request, world.nodes[0].address)
    world.run(1.0)
    assert outgoing.status == 200, outgoing.responses
    return peer


def sent(sender: Phone, request: Request, seconds: float = 2.0) -> Outgoing:
    """Send a request of a phone to the first node, and let time pass."""
    outgoing = sender.start(request, sender.world.nodes[0].address)
    sender.world.run(seconds)
    return outgoing


def come_to_rest(world: World) -> None:
    """All timers pass; every call has its end and nothing is left."""
    world.run(400)
    world.check_calls()
    world.check_nothing_left()
