"""Two phones behind one NAT, over TCP, and the whole daemon: a call, the line cut in the middle of it,
and back again; its record is as it should be.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.calls import expect_record
from tests.support.campus import Campus, Line
from tests.support.nat import OUTSIDE, Nat, at, masqueraded
from tests.support.ua import Agent, Dialog

pytestmark = pytest.mark.peers


@pytest.fixture
def nat() -> Iterator[Nat]:
    with masqueraded() as nat:
        yield nat


@pytest.fixture
def far_campus(nat: Nat, prepared: Campus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    """A server that the homes reach through their NAT."""
    settings = {"VOIP_ADVERTISE": OUTSIDE}
    with prepared.copy(tmp_path_factory.mktemp("far"), settings).start_sipd() as campus:
        yield campus


def come_home(campus: Campus, home: str, line: Line) -> Agent:
    """A line's phone on a fresh connection from this home, registered as outbound."""
    agent = at(home, lambda: campus.phone(line, transport="TCP", host=OUTSIDE))
    contact = (
        f"<{agent.contact};ob>;reg-id=1;"
        f'+sip.instance="<urn:uuid:00000000-0000-1000-8000-{line.id:012x}>"'
    )
    response = agent.register(contacts=[contact], headers=[("Supported", "path, outbound")])
    assert response.status == 200, response.start
    assert response.rows("Require") == ["outbound"]
    assert len(response.rows("Contact")) == 1, "the flow that was before is replaced"
    return agent


def talk(campus: Campus, caller: Agent, callee: Agent) -> tuple[str, Dialog, Dialog]:
    """A call that was answered: its Call-ID and each side's dialog."""
    calling = caller.invite(campus.uri(callee.user, OUTSIDE))
    called = callee.ringing()
    at_callee = called.answer()
    at_caller = calling.answered()
    callee.expect("ACK")
    return calling.call_id, at_caller, at_callee


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_call_outlives_its_connections_and_is_recorded_whole(
    nat: Nat, far_campus: Campus, by: str
) -> None:
    lines = far_campus.line(), far_campus.line()
    first = [come_home(far_campus, *where) for where in zip(nat.homes, lines, strict=True)]
    call_id, *dialogs = talk(far_campus, *first)
    nat.link(up=False)
    for agent in first:
        agent.close()  # nobody hears of it
    nat.link(up=True)
    again = [come_home(far_campus, *where) for where in zip(nat.homes, lines, strict=True)]
    for dialog, agent in zip(dialogs, again, strict=True):
        dialog.agent = agent
    own, other = (dialogs[0], again[1]) if by == "caller" else (dialogs[1], again[0])
    bye = own.send("BYE")
    other.accept("BYE")
    assert own.agent.final(bye).status == 200
    expect_record(far_campus.record_of(call_id), cause="completed", ended_by=by)
    call_id, _, at_callee = talk(far_campus, *again)
    bye = at_callee.send("BYE")
    again[0].accept("BYE")
    assert again[1].final(bye).status == 200
    expect_record(far_campus.record_of(call_id), cause="completed", ended_by="callee")
    for agent in again:
        agent.close()
