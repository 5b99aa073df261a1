"""A stranger who writes bytes by hand, what comes back, and what a phone of ours gets of it."""

from __future__ import annotations

from sipcore.message import Request, Response, parse_message
from tests.sipcore.conformance.peer import new_world, peer_of
from tests.sipcore.simulation.world import DOMAIN, Size, World

BOB = f"sip:bob@{DOMAIN}"
HOST = ("192.0.2.66", 5060)


class Caller:
    """A stranger who keeps what he gets as bytes: answers to odd requests repeat what was odd."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.arrived: list[bytes] = []
        world.network.attach(HOST, lambda data, source, now: self.arrived.append(data))

    def send(self, data: bytes) -> None:
        self._world.network.send(data, HOST, self._world.nodes[0].address)

    @property
    def statuses(self) -> list[int]:
        return [int(data.split(b" ", 2)[1]) for data in self.arrived]

    @property
    def reasons(self) -> list[str]:
        return [data.split(b"\r\n")[0].split(b" ", 2)[2].decode() for data in self.arrived]

    @property
    def responses(self) -> list[Response]:
        found = [parse_message(data) for data in self.arrived]
        return [message for message in found if isinstance(message, Response)]


class Wire:
    """A stranger who writes his bytes by hand, and bob's phone."""

    def __init__(self, size: Size) -> None:
        self.world: World = new_world(size)
        self.bob = peer_of(self.world, "bob", "10.1.0.2")
        self.caller = Caller(self.world)
        self._count = 0

    def rows(self, method: str, **changed: str | None) -> list[str]:
        """The header rows of a good request, with some changed; None leaves one out."""
        self._count += 1
        rows = {
            "Via": f"SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bKw{self._count}",
            "From": "<sip:mallory@elsewhere.example>;tag=1",
            "To": f"<{BOB}>",
            "Call-ID": f"{self._count}@192.0.2.66",
            "CSeq": f"1 {method}",
            "Max-Forwards": "70",
            "Contact": "<sip:mallory@192.0.2.66>",
        } | {name.replace("_", "-"): value for name, value in changed.items()}
        return [f"{name}: {value}" for name, value in rows.items() if value is not None]

    def give(
        self, rows: list[str], method: str = "MESSAGE", uri: str = BOB, body: bytes = b"",
        start: str = "", length: int | None = -1,
    ) -> None:
        """Send, and let time pass. `length` None writes no Content-Length."""
        lines = [start or f"{method} {uri} SIP/2.0", *rows]
        if length is not None:
            lines.append(f"Content-Length: {len(body) if length < 0 else length}")
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        self.caller.send(head + b"\r\n\r\n" + body)
        self.world.run(0.1)

    def arrived(self) -> Request:
        """The only request that came to bob, and nothing was said to the caller."""
        [request] = self.bob.requests()
        assert self.caller.arrived == []
        return request

    def refused(self, status: int) -> None:
        """The only thing that happened is this answer."""
        assert self.bob.arrived == []
        assert self.caller.statuses == [status], self.caller.reasons
