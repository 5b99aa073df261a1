"""Ending the calls of many lines: some at a time, so that phones are answered meanwhile."""

from __future__ import annotations

from collections import Counter

from sipcore.campus.limits import CALLS_AT_ONCE, STEP_S
from sipcore.eventlog import Kind
from sipcore.transport.flow import Address
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.world import ONE, World

CALLS = 2 * CALLS_AT_ONCE + 20


def world_of_calls() -> World:
    """Two callers in sixty calls each with bob."""
    world = World(1, ONE, ["anna", "bob", "clara"])
    registered(world, "bob", "10.1.0.2")
    for name, host in (("anna", "10.1.0.1"), ("clara", "10.1.0.3")):
        caller = registered(world, name, host)
        for _ in range(CALLS // 2):
            caller.call("bob")
        world.run(2)
    [worker] = world.workers
    assert len([c for c in worker.calls if c.answered_now is not None]) == CALLS
    return world


def byes_of(world: World) -> Counter[float]:
    """How many BYE the server sends at which time."""
    times: Counter[float] = Counter()
    send = world.network.send

    def watching(data: bytes, source: Address, destination: Address) -> None:
        if data.startswith(b"BYE ") and source == world.nodes[0].address:
            times[world.network.now] += 1
        send(data, source, destination)

    world.network.send = watching  # type: ignore[method-assign]
    return times


def test_the_calls_of_many_lines_are_ended_some_at_a_time() -> None:
    world = world_of_calls()
    [worker], [node] = world.workers, world.nodes
    times, begun = byes_of(world), world.network.now
    worker.advance(begun, world.network.at)
    worker.application.end_calls_of({1, 2, 3}, begun)
    node.flush(0)
    assert times[begun] == 2 * CALLS_AT_ONCE  # both sides of each
    world.run(0.1)
    first = {at: n for at, n in times.items() if at < begun + 0.1}
    assert sorted(first.values()) == [40, 2 * CALLS_AT_ONCE, 2 * CALLS_AT_ONCE]
    assert max(first) <= begun + 3 * (STEP_S + 0.01)
    world.run(400)
    ends = world.records_of(Kind.CALL_END)
    assert [record.fields["cause"] for record in ends] == ["terminated"] * CALLS
    world.check_calls()
    world.check_nothing_left()


def test_a_call_that_ends_while_it_waits_for_its_end_is_ended_once() -> None:
    world = world_of_calls()
    [worker], [node] = world.workers, world.nodes
    worker.advance(world.network.now, world.network.at)
    worker.application.end_calls_of({1, 2, 3}, world.network.now)
    worker.application.end_calls_of({2}, world.network.now)
    node.flush(0)
    world.run(400)
    assert len(world.records_of(Kind.CALL_END)) == CALLS
    world.check_calls()
    world.check_nothing_left()
