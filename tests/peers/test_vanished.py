"""Calls whose phones are gone: real sockets, a short interval by configuration."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.calls import Phones, expect_record
from tests.support.campus import Campus
from tests.support.ua import Agent, Called, Dialog
from tests.support.wire import Wire

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def campus(prepared: Campus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    """A daemon that asks every second and lets nobody talk for more than four."""
    settings = {"VOIP_PROBE_S": "1", "VOIP_MAX_CALL_S": "4"}
    with prepared.copy(tmp_path_factory.mktemp("vanished"), settings).start_sipd() as campus:
        yield campus


def talking(campus: Campus, phone: Phones, transport: str) -> tuple[Agent, Agent, Dialog, Dialog]:
    line = campus.line()
    caller = phone(transport=transport).registered()
    callee = phone(line, transport=transport).registered()
    calling = caller.invite(campus.uri(line.username))
    called = Called(callee, callee.expect("INVITE"), "callee")
    his = called.answer()
    hers = calling.answered()
    callee.expect("ACK")
    return caller, callee, hers, his


def answer(agent: Agent, probe: Wire, status: int = 200) -> None:
    agent.respond(probe, status, "-", "")


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_phone_that_was_restarted_ends_the_call_for_the_other(
    campus: Campus, phone: Phones, transport: str
) -> None:
    caller, callee, hers, his = talking(campus, phone, transport)
    for agent, dialog, number in ((caller, hers, 0), (callee, his, hers.cseq)):
        probe = agent.expect("OPTIONS", 2)
        assert probe.cseq == (number, "OPTIONS")
        assert probe.get("From") == dialog.remote
        assert probe.get("To") == dialog.local
        answer(agent, probe)
    answer(caller, caller.expect("OPTIONS", 2))
    answer(callee, callee.expect("OPTIONS", 2), 481)
    bye = caller.expect("BYE", 2)
    caller.respond(bye, 200, "OK", "")
    callee.quiet(0.5)
    record = campus.record_of(hers.call_id)
    expect_record(record, cause="vanished", ended_by="system", status=None)
    assert record["duration_s"] == pytest.approx(2, abs=0.3)


def test_a_lost_connection_ends_the_call_unless_the_phone_registers_anew(
    campus: Campus, phone: Phones
) -> None:
    caller, callee, hers, _ = talking(campus, phone, "TCP")
    callee.close()
    for _ in range(2):
        answer(caller, caller.expect("OPTIONS", 2))
    caller.expect("BYE", 2)
    expect_record(campus.record_of(hers.call_id), cause="vanished", ended_by="system")

    caller, callee, hers, _ = talking(campus, phone, "TCP")
    line = next(line for line in campus.lines if line.username == callee.user)
    callee.close()
    phone(line, transport="TCP").registered()
    for _ in range(3):
        answer(caller, caller.expect("OPTIONS", 2))
    assert caller.expect("BYE", 3).get("Reason").count("longest") == 1


def test_adopted_calls_are_asked_after_a_kill(
    prepared: Campus, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"VOIP_PROBE_S": "1"}
    with prepared.copy(tmp_path_factory.mktemp("adopted"), settings).start_sipd() as campus:
        made: list[Agent] = []

        def phone(*args: object, **options: object) -> Agent:
            made.append(campus.phone(*args, **options))  # type: ignore[arg-type]
            return made[-1]

        caller, callee, hers, _ = talking(campus, phone, "UDP")
        campus.kill()
        campus.start_sipd()
        assert callee.expect("OPTIONS", 3).cseq == (hers.cseq, "OPTIONS")
        answer(caller, caller.expect("OPTIONS", 3), 481)
        assert callee.expect("BYE", 3).cseq[0] > hers.cseq
        expect_record(campus.record_of(hers.call_id), cause="vanished", ended_by="system")
        for agent in made:
            agent.close()


def test_the_longest_call_ends_with_a_bye_to_both(campus: Campus, phone: Phones) -> None:
    caller, callee, hers, _ = talking(campus, phone, "UDP")
    for _ in range(3):
        for agent in (caller, callee):
            answer(agent, agent.expect("OPTIONS", 2))
    for agent in (caller, callee):
        bye = agent.expect("BYE", 3)
        agent.respond(bye, 200, "OK", "")
    record = campus.record_of(hers.call_id)
    expect_record(record, cause="too_long", ended_by="system")
    assert record["duration_s"] == pytest.approx(4, abs=0.3)


