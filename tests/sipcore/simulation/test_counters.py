"""A flood is counted: one record for each interval, however many messages."""

from __future__ import annotations

import pytest

from sipcore.eventlog import Counter, Kind
from sipcore.transport.flow import Flow
from tests.sipcore.conformance.test_outbound import live
from tests.sipcore.simulation.test_calls import make_world
from tests.sipcore.simulation.world import SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

SOURCE = ("192.0.2.66", 5060)
GARBAGE = b"this is no SIP, whatever it is\r\n\r\n"
NO_CSEQ = (
    b"OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bKflood\r\n"
    b"From: <sip:x@192.0.2.66>;tag=1\r\nTo: <sip:10.0.0.1>\r\nCall-ID: flood\r\n"
    b"CSeq: none OPTIONS\r\n\r\n"
)


def flood(world: World, data: bytes, times: int) -> None:
    """All to one worker; what is malformed is handed to no other."""
    [worker, *_] = world.workers
    flow = Flow("UDP", world.nodes[0].address, SOURCE)
    for _ in range(times):
        worker.receive(data, flow, world.network.now, world.network.at)
    world.nodes[0].flush(0)


def counted(world: World) -> list[dict[str, object]]:
    return [record.fields for record in world.records_of(Kind.NODE_COUNTS)]


def test_a_flood_is_one_record_an_interval(size: Size) -> None:
    world = make_world(size)
    live(world, 1)
    for _ in range(50):
        flood(world, GARBAGE, 200)
        live(world, 1)
    assert counted(world) == []
    live(world, 10)
    assert counted(world) == [{"seconds": 60, "counts": {"malformed": 10_000}}]
    flood(world, GARBAGE, 7)
    live(world, 60)
    assert counted(world)[1:] == [{"seconds": 60, "counts": {"malformed": 7}}]
    live(world, 300)
    assert len(counted(world)) == 2
    assert world.workers[0].counts.since_start() == {"malformed": 10_007}
    assert world.workers[0].counts.latest == {}


def test_what_was_answered_is_counted_as_answered(size: Size) -> None:
    world = make_world(size)
    live(world, 1)
    flood(world, NO_CSEQ, 3)
    live(world, 60)
    assert counted(world) == [{"seconds": 60, "counts": {"malformed_answered": 3}}]


def test_requests_beyond_what_is_dealt_with_at_a_time_are_counted(size: Size) -> None:
    world = make_world(size)
    live(world, 1)
    [worker, *_] = world.workers
    worker.transactions.refused += 4
    live(world, 60)
    assert counted(world) == [{"seconds": 60, "counts": {Counter.TOO_BUSY.value: 4}}]
