"""Names of services: written in any case, and a person's before they are a service's."""

from __future__ import annotations

import logging

import pytest

from sipcore.apps.echo import Echo
from sipcore.apps.user_agent import IncomingMessage, UserAgent
from sipcore.directory import DomainAddress
from sipcore.routing import Plan, Query, Refuse, Service
from tests.sipcore.simulation.test_calls import registered
from tests.sipcore.simulation.test_rules import sent, stranger
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])


class Bob(UserAgent):
    """Has the name of a person, in another case, and would have all calls refused."""

    name = "BOB"

    def on_message(self, message: IncomingMessage) -> None:
        message.reply(b"I am a machine", "text/plain")

    def plan(self, query: Query, plan: Plan) -> Plan:
        return plan if isinstance(plan, Service) else Refuse(486)


@pytest.mark.parametrize("name", ["echo", "ECHO", "Echo", "%45cho"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS"])
def test_a_service_is_reached_however_its_name_is_written(
    size: Size, method: str, name: str
) -> None:
    world = World(1, size, ["anna"])
    anna = registered(world, "anna", "10.1.0.1")
    for phone in (anna,) if method == "MESSAGE" else (anna, stranger(world)):
        request = phone.build(method, f"sip:{name}@{DOMAIN}", body=b"v=0\r\n")
        request.set("Content-Type", "text/plain" if method == "MESSAGE" else "application/sdp")
        outgoing = sent(phone, request)
        assert outgoing.status == 200
        for dialog in outgoing.dialogs.values():
            phone.hang_up(dialog)
            world.run(0.5)


def test_a_person_is_reached_whose_name_a_service_has(
    size: Size, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        world = World(1, size, ["anna", "bob"], services=[Echo, Bob])
    anna, bob = registered(world, "anna", "10.1.0.1"), registered(world, "bob", "10.1.0.2")
    assert sent(anna, anna.build("MESSAGE", f"sip:bob@{DOMAIN}")).status == 200
    assert [r.method for r in bob.received] == ["MESSAGE"]
    told = {record.getMessage() for record in caplog.records}
    assert told == {"the service bob is not loaded: line 2 (bob) has that name"}


def test_a_service_gives_way_to_whoever_gets_its_name_and_comes_back(size: Size) -> None:
    world = World(1, size, ["anna", "clara"], services=[Echo, Bob])
    anna, clara = registered(world, "anna", "10.1.0.1"), registered(world, "clara", "10.1.0.2")
    directory = world.directory
    assert sent(anna, anna.build("INVITE", f"sip:clara@{DOMAIN}")).status == 486  # as it plans
    given = directory.changed(version=2, addresses=[DomainAddress(DOMAIN, "bob", 2)])
    world.change_directory(given, [2])
    assert sent(anna, anna.build("MESSAGE", f"sip:bob@{DOMAIN}", body=b"1")).status == 200
    assert clara.messages == [b"1"]
    call = sent(anna, anna.build("INVITE", f"sip:clara@{DOMAIN}"))
    assert call.status == 200
    [dialog] = call.dialogs.values()
    anna.hang_up(dialog)
    taken = given.changed(version=3, removed_addresses=[("bob", DOMAIN)])
    world.change_directory(taken, [2])
    assert sent(anna, anna.build("MESSAGE", f"sip:bob@{DOMAIN}", body=b"2")).status == 200
    assert clara.messages == [b"1"]
    world.run(400)
    world.check_calls()
