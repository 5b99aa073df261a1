"""Two phones in networks of their own, and the whole daemon: one moves to another network while they talk.

It says so by a re-INVITE, as phones do, and is asked for its password; then either of them hangs up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.calls import expect_record
from tests.support.campus import Campus, Line
from tests.support.nat import INSIDE, OUTSIDE, Nat, at, masqueraded
from tests.support.ua import Agent, Dialog
from tests.support.wire import uri_of

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def nats() -> Iterator[tuple[Nat, Nat]]:
    with masqueraded(0) as one, masqueraded(1) as other:
        yield one, other


@pytest.fixture(scope="module")
def far_campus(
    nats: tuple[Nat, Nat], prepared: Campus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Campus]:
    """A server that all of them reach."""
    settings = {"VOIP_ADVERTISE": OUTSIDE}
    with prepared.copy(tmp_path_factory.mktemp("far"), settings).start_sipd() as campus:
        yield campus


@pytest.fixture
def closing() -> Iterator[Callable[[Agent], Agent]]:
    """Phones that are closed when the test is over."""
    with ExitStack() as stack:
        yield stack.enter_context


def phone_at(campus: Campus, home: str, line: Line, transport: str) -> Agent:
    """A phone in this namespace, "" for one that is in the open."""
    address = INSIDE["ab".index(home[-1])] if home else OUTSIDE

    def made() -> Agent:
        return campus.phone(line, transport=transport, host=OUTSIDE, sends_from=address)

    return at(home, made) if home else made()


def moved(mover: Dialog, other: Dialog, to: Agent) -> None:
    """The phone of one side is there now, and has said so."""
    mover.agent.close()
    mover.agent = to
    first = mover.reinvite()
    challenged = to.response(first, 407)
    to.ack_failure(first, challenged)
    again = to.authorized(first, challenged)
    mover.cseq = again.cseq[0]
    to.send(again)
    offer = other.agent.accept("INVITE")
    other.target = uri_of(offer.get("Contact"))
    to.response(again, 200)
    mover.ack(again)
    other.agent.expect("ACK")


@pytest.mark.parametrize("hangs_up", ["mover", "other"])
@pytest.mark.parametrize("mover", ["caller", "callee"])
@pytest.mark.parametrize("into", ["another NAT", "the open"])
@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])
def test_a_call_goes_with_a_phone_into_another_network(
    nats: tuple[Nat, Nat],
    far_campus: Campus,
    closing: Callable[[Agent], Agent],
    transport: str,
    into: str,
    mover: str,
    hangs_up: str,
) -> None:
    campus, lines = far_campus, (far_campus.line(), far_campus.line())
    homes = nats[0].homes
    phones = [
        closing(phone_at(campus, home, line, transport)).registered()
        for home, line in zip(homes, lines, strict=True)
    ]
    calling = phones[0].invite(campus.uri(lines[1].username, OUTSIDE))
    at_callee = phones[1].ringing().answer()
    at_caller = calling.answered()
    phones[1].expect("ACK")
    ours, theirs = (at_caller, at_callee) if mover == "caller" else (at_callee, at_caller)
    line = lines[0] if mover == "caller" else lines[1]
    there = nats[1].homes[0] if into == "another NAT" else ""
    moved(ours, theirs, closing(phone_at(campus, there, line, transport)))
    first, second = (ours, theirs) if hangs_up == "mover" else (theirs, ours)
    bye = first.send("BYE")
    second.agent.accept("BYE")
    assert first.agent.final(bye).status == 200
    ended_by = mover if hangs_up == "mover" else {"caller": "callee", "callee": "caller"}[mover]
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by=ended_by)
