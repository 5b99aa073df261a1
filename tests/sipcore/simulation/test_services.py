"""Services of our own: what they do not understand, and what they cost."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from sipcore.campus import CampusService
from sipcore.directory import AccountState
from sipcore.eventlog import Kind
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.test_calls import end_of, make_world, registered
from tests.sipcore.simulation.test_rules import sent, stranger
from tests.sipcore.simulation.world import DOMAIN, ONE, SIZES, World

ECHO = f"sip:echo@{DOMAIN}"


def dialogs(world: World) -> int:
    """How many dialogs the services hold."""
    services = [cast("CampusService", worker.application) for worker in world.workers]
    return sum(len(agent) for service in services for agent in service.agents)


@pytest.fixture(params=SIZES, ids=["one worker", "two nodes of three"])
def world(request: pytest.FixtureRequest) -> World:
    return make_world(request.param)


@pytest.fixture
def anna(world: World) -> Phone:
    return registered(world, "anna", "10.1.0.1")


@pytest.mark.rfc("SEC-17")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_an_extension_that_is_required_is_refused_by_name(anna: Phone, method: str) -> None:
    request = anna.build(method, ECHO, body=b"v=0\r\n")
    request.append("Require", "100rel, teleport")
    outgoing = sent(anna, request)
    assert outgoing.status == 420
    assert outgoing.finals[0].first("unsupported") == "100rel, teleport"


@pytest.mark.rfc("SEC-17")
def test_what_is_no_session_description_is_not_echoed_as_one(world: World, anna: Phone) -> None:
    request = anna.build("INVITE", ECHO, body=b"--x\r\n")
    request.append("Content-Type", "multipart/mixed;boundary=x")
    outgoing = sent(anna, request)
    assert outgoing.status == 415
    assert outgoing.finals[0].first("accept") == "application/sdp"
    end_of(world)


def test_a_call_nobody_hangs_up_is_ended_after_its_time(world: World, anna: Phone) -> None:
    call = sent(anna, anna.build("INVITE", ECHO, body=b"v=0\r\n"))
    world.run(3500)
    assert dialogs(world) == 1
    world.run(200)
    [dialog] = call.dialogs.values()
    assert dialog.ended
    assert dialogs(world) == 0
    assert end_of(world)["by"] == "system"


def test_a_call_ended_by_the_service_leaves_no_dialog(world: World, anna: Phone) -> None:
    sent(anna, anna.build("INVITE", ECHO, body=b"v=0\r\n"))
    account = world.directory.account(1)
    assert account is not None
    gone = replace(account, state=AccountState.SUSPENDED, end_calls=True)
    world.change_directory(world.directory.changed(version=2, accounts=[gone]), [1])
    assert dialogs(world) == 0
    assert end_of(world)["cause"] == "terminated"


@pytest.mark.parametrize("world", [ONE], indirect=True)  # each worker counts for itself
def test_strangers_share_a_few_calls_and_ours_are_not_counted(world: World, anna: Phone) -> None:
    mallory = stranger(world)
    calls = [mallory.build("INVITE", ECHO, body=b"v=0\r\n") for _ in range(25)]
    outcomes = [sent(mallory, request).status for request in calls]
    assert outcomes == [200] * 20 + [503] * 5
    assert len(world.records_of(Kind.CALL_BEGIN)) == 20
    assert sent(anna, anna.build("INVITE", ECHO, body=b"v=0\r\n")).status == 200


def test_a_source_that_may_be_forged_gets_one_answer_and_no_message(world: World) -> None:
    mallory = stranger(world)
    assert sent(mallory, mallory.build("MESSAGE", ECHO, body=b"x" * 900)).status == 200
    world.run(40)
    assert not mallory.received
