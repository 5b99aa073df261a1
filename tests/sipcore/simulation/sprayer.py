"""A stranger who sends from any address, and keeps what comes back there."""

from __future__ import annotations

from collections.abc import Sequence

from sipcore.message import Request, Response, parse_message
from sipcore.transport.flow import Address
from tests.sipcore.simulation.world import DOMAIN, World


class Sprayer:
    """Sends requests, each another one from another port, and keeps what comes back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heard: dict[Address, list[Response]] = {}
        self.number = 0

    def send(
        self,
        method: str,
        name: str,
        host: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> tuple[Address, Request]:
        """Send a request for a user of ours, "" for ourselves."""
        self.number += 1
        source = (host, 20_000 + self.number)
        uri = f"sip:{name}@{DOMAIN}" if name else f"sip:{DOMAIN}"
        request = Request.build(
            method,
            uri,
            [
                ("Via", f"SIP/2.0/UDP {host}:{source[1]};branch=z9hG4bK{self.number};rport"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:m@elsewhere.example>;tag={self.number}"),
                ("To", f"<{uri}>"),
                ("Call-ID", f"spray-{self.number}"),
                ("CSeq", f"1 {method}"),
                ("Contact", f"<sip:m@{host}:{source[1]}>"),
                *headers,
            ],
            body,
        )
        heard = self.heard[source] = []

        def receive(data: bytes, _: Address, now: float) -> None:
            message = parse_message(data)
            if isinstance(message, Response):
                heard.append(message)

        self.world.network.attach(source, receive)
        self.again(request, source)
        return source, request

    def again(self, request: Request, source: Address) -> None:
        """Send what may have been sent before."""
        self.world.network.send(request.to_bytes(), source, self.world.nodes[0].address)

    def invite(self, name: str, host: str) -> Address:
        """Call a user, and wait half a second."""
        source, _ = self.send("INVITE", name, host)
        self.world.run(0.5)
        return source

    def outcome(self, name: str, host: str) -> int:
        """The last status of a call, so far."""
        return self.heard[self.invite(name, host)][-1].status

    def invite_and_cancel(self, name: str, host: str) -> None:
        """Call a user and give up before the phone has rung twice."""
        source, invite = self.send("INVITE", name, host)
        self.world.run(0.05)
        rows = [(key, invite.first(key) or "") for key in ("via", "from", "to", "call-id")]
        cancel = Request.build("CANCEL", invite.uri_text, [*rows, ("CSeq", "1 CANCEL")])
        self.again(cancel, source)
        self.world.run(0.05)

    def messages(self, name: str, hosts: Sequence[str]) -> list[int]:
        """Send a MESSAGE from each host: the final status of each, 0 where none came within 2 s."""
        headers = [("Content-Type", "text/plain")]
        sources = [self.send("MESSAGE", name, host, headers, b"hi")[0] for host in hosts]
        self.world.run(2)
        heard = [[r.status for r in self.heard[source]] for source in sources]
        return [statuses[-1] if statuses else 0 for statuses in heard]
