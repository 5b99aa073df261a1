"""What requests that are over hold of our memory, at the server's edge."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from sipcore.message import Request, Response, parse_message
from sipcore.transaction import ServerTransaction, Timers, TransactionTable
from sipcore.transport.flow import Address
from tests.sipcore.simulation.phone import Phone, refuse_with
from tests.sipcore.simulation.world import DOMAIN, ONE, World

LARGE = 24_000
"""Bytes of each request."""
COUNT = 40
MOST_MORE = 1_000
"""Bytes that a large request may hold more than a small one once it was answered."""
SIZES = pytest.mark.parametrize("where", ["body", "headers"])


def enlarged(request: Request, where: str) -> bytes:
    if not where:
        return request.to_bytes()
    if where == "body":
        request.body = b"v" * LARGE
        request.set("Content-Length", str(LARGE))
    else:
        for number in range(LARGE // 6_000):
            request.append("X-Long", f"{number}" * 6_000)
    return request.to_bytes()


class Flood:
    """Sends large requests one after another, and remembers nothing but the statuses."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.statuses: list[int] = []

    def _receive(self, data: bytes, source: Address, now: float) -> None:
        message = parse_message(data)
        if isinstance(message, Response):
            self.statuses.append(message.status)

    def send(self, request: Request, number: int, where: str) -> None:
        source = (f"203.0.{number}.9", 5060)  # each from a network of its own
        self.world.network.attach(source, self._receive)
        request.set("Via", f"SIP/2.0/UDP {source[0]}:5060;branch=z9hG4bK{number}")
        request.set("Call-ID", f"flood-{number}")
        self.world.network.send(enlarged(request, where), source, self.world.nodes[0].address)
        self.world.run(1)


def build(method: str, to: str) -> Request:
    rows = [
        ("Via", ""),
        ("Max-Forwards", "70"),
        ("From", "<sip:m@elsewhere.example>;tag=1"),
        ("To", f"<{to}>"),
        ("Call-ID", ""),
        ("CSeq", f"1 {method}"),
        ("Contact", "<sip:m@203.0.0.9>"),
    ]
    return Request.build(method, to, rows)


@SIZES
@pytest.mark.parametrize("status", [200, 486, 603])
def test_a_large_invite_is_let_go_of_when_it_is_answered(status: int, where: str) -> None:
    large, small = held_each(status, where), held_each(status, "")
    assert large - small < MOST_MORE


@SIZES
def test_a_large_message_is_let_go_of_when_it_is_answered(where: str) -> None:
    large, small = held_each(0, where), held_each(0, "")
    assert large - small < MOST_MORE


def answer_once(phone: Phone, tx: ServerTransaction, request: Request, now: float) -> None:
    """Pick up, and never say so again."""
    rows = [("Record-Route", value) for value in request.rows("record-route")]
    rows.append(("Contact", f"<{phone.contact}>"))
    tx.respond(request.respond(200, to_tag="t", headers=rows), now)


def held_each(status: int, where: str) -> float:
    """Bytes that a request of strangers to bob holds for as long as its transactions last.

    An INVITE, answered with this status; 0: a MESSAGE.
    """
    world = World(1, ONE, ["bob"])
    bob = Phone(world, "bob", ("10.1.0.2", 5060))
    bob.register()
    world.run(1)
    bob.on_invite = answer_once if status == 200 else refuse_with(status)
    method, expected = ("INVITE", status) if status else ("MESSAGE", 200)
    flood = Flood(world)
    tracemalloc.start()
    flood.send(build(method, f"sip:bob@{DOMAIN}"), 0, where)
    before = kept(bob)
    count = COUNT
    if status:  # more of strangers would be too many calls at once, or in a minute
        count = 3 if status == 200 else 10
    for number in range(1, count + 1):
        flood.send(build(method, f"sip:bob@{DOMAIN}"), number, where)
    after = kept(bob)
    tracemalloc.stop()
    assert set(flood.statuses) - {100, 180} == {expected}
    [worker] = world.workers
    assert len(worker.transactions) > count // 2
    return (after - before) / count


def kept(phone: Phone) -> int:
    """Bytes that are held now, but for what the phone remembers."""
    phone.received.clear()
    phone.messages.clear()
    phone.dialogs.clear()
    phone._invites.clear()
    phone.transactions = TransactionTable(phone, Timers())
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
