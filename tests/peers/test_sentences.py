"""What both sides read of a call, each row of the table made by real phones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.calls import pair, ring, talk
from tests.support.campus import Campus, Line
from tests.support.ua import Agent
from voip_portal.calls.models import Call
from voip_portal.portal.history import Facts, told

pytestmark = pytest.mark.peers

Phones = Callable[..., Agent]
HOME = frozenset({"127.0.0.1", "localhost"})


def sentences(campus: Campus, call_id: str, callee: Line | None = None) -> tuple[str, str]:
    """What the caller reads and the called person, whose device is called Laptop."""
    row = campus.record_of(call_id)
    del row["kinds"]
    labels = {callee.device: "Laptop"} if callee else {}
    facts = Facts({}, {}, HOME, frozenset(), labels, {})
    call = Call(**row)
    return str(told(call, facts, outgoing=True)[0]), str(told(call, facts, outgoing=False)[0])


REFUSALS: tuple[tuple[int, str, str], ...] = (
    (
        302,
        "Their phone passes calls on to where we cannot reach",
        "Missed; Laptop passed the call on to where we cannot reach",
    ),
    (403, "This call is not allowed", "Refused: not allowed"),
    (
        404,
        "Their phone says that it does not have this number",
        "Missed; Laptop said that this is not its number: check its user name",
    ),
    (
        410,
        "Their phone says that it does not have this number",
        "Missed; Laptop said that this is not its number: check its user name",
    ),
    (433, "They take no anonymous calls", "Refused: the caller was anonymous"),
    (
        480,
        "Not answered: their phone says that they are away",
        "Missed; Laptop said that you are away",
    ),
    (482, "The call went in circles", "Missed; the call went in circles"),
    (484, "This is not a complete number or address", "Not connected"),
    (486, "Declined", "You declined on Laptop"),
    (
        488,
        "The two phones have no sound format in common",
        "Missed; the two phones have no sound format in common",
    ),
    (500, "A technical fault", "Missed; a technical fault"),
    (503, "A technical fault", "Missed; a technical fault"),
    (600, "Busy", "Missed; you were on the phone"),
    (603, "Declined", "You declined on Laptop"),
)


@pytest.mark.parametrize(("status", "outgoing", "incoming"), REFUSALS, ids=lambda v: str(v)[:3])
@pytest.mark.parametrize("rings", [False, True], ids=["at once", "after ringing"])
def test_what_a_phone_answers_is_told_to_both(
    campus: Campus, phone: Phones, status: int, outgoing: str, incoming: str, *, rings: bool
) -> None:
    caller, callee, _, second = pair(campus, phone)
    calling = caller.invite(campus.uri(callee.user))
    called = callee.ringing()
    if rings:
        called.ring()
        calling.expect(180)
    called.refuse(status)
    calling.failed(500 if status == 503 else status)
    assert sentences(campus, calling.call_id, second) == (outgoing, incoming)


@pytest.mark.parametrize(
    ("by", "outgoing", "incoming"),
    [
        ("caller", "Talked; you hung up", "Talked; they hung up"),
        ("callee", "Talked; they hung up", "Talked; you hung up"),
    ],
)
def test_who_hung_up_is_told_to_both(
    campus: Campus, phone: Phones, by: str, outgoing: str, incoming: str
) -> None:
    caller, callee, first, second = pair(campus, phone)
    calling, at_caller, at_callee = talk(campus, caller, callee)
    own, other = (at_caller, callee) if by == "caller" else (at_callee, caller)
    bye = own.send("BYE")
    other.accept("BYE")
    own.agent.final(bye)
    assert sentences(campus, calling.call_id, second) == (outgoing, incoming)
    row = campus.record_of(calling.call_id)
    assert (row["caller_device"], row["callee_device"]) == (first.device, second.device)


@pytest.mark.parametrize(
    ("rings", "outgoing", "incoming"),
    [
        (
            False,
            "You hung up before it rang",
            "Missed; they hung up before your phone rang",
        ),
        (True, "You hung up before an answer", "Missed; they hung up"),
    ],
    ids=["before it rang", "while it rang"],
)
def test_a_caller_who_gives_up_is_told_whether_it_rang(
    campus: Campus, phone: Phones, outgoing: str, incoming: str, *, rings: bool
) -> None:
    caller, callee, _, second = pair(campus, phone)
    if rings:
        calling, called = ring(campus, caller, callee)
    else:
        calling = caller.invite(campus.uri(callee.user))
        called = callee.ringing()
        called.respond(100)
        calling.expect(100)
    calling.cancel()
    called.cancelled()
    calling.failed(487)
    assert sentences(campus, calling.call_id, second) == (outgoing, incoming)


def test_a_phone_that_was_switched_off_is_told_by_its_host(campus: Campus, phone: Phones) -> None:
    """The host answers with an ICMP error."""
    caller, callee, _, second = pair(campus, phone)
    callee.close()
    calling = caller.invite(campus.uri(second.username))
    caller.final(calling.request)
    assert sentences(campus, calling.call_id, second) == (
        "Not reachable: their phone is switched off or has gone",
        "Missed; Laptop was not running where it last connected",
    )


def test_a_line_without_a_phone_is_told_so(campus: Campus, phone: Phones) -> None:
    second = campus.line()
    calling = phone(campus.line()).registered().invite(campus.uri(second.username))
    calling.failed(480)
    assert sentences(campus, calling.call_id, second) == (
        "Not reachable: none of their phones is connected",
        "Missed; none of your phones was connected",
    )


@pytest.mark.parametrize(
    ("dialled", "outgoing"),
    [
        ("29999", "Nobody has this name or number"),
        ("nobody-at-all", "Nobody has this name or number"),
        ("112", "Emergency calls are not possible here: use a mobile phone"),
    ],
)
def test_what_nobody_has_is_told_as_ours(
    campus: Campus, phone: Phones, dialled: str, outgoing: str
) -> None:
    calling = phone(campus.line()).registered().invite(campus.uri(dialled))
    calling.failed(404)
    assert sentences(campus, calling.call_id)[0] == outgoing


@pytest.mark.parametrize(
    ("status", "outgoing"),
    [
        (404, "The other system has nobody of this name or number"),
        (410, "The other system has nobody of this name or number"),
        (480, "The other system does not answer"),
        (486, "Declined"),
        (500, "The other system does not answer"),
    ],
)
def test_what_another_system_answers_is_told_as_its_own(
    campus: Campus, phone: Phones, status: int, outgoing: str
) -> None:
    caller, other = phone(campus.line()).registered(), phone(campus.line())
    calling = caller.invite(f"sip:100@127.0.0.1:{other.address[1]}")
    other.ringing().refuse(status)
    calling.failed(status)
    row: dict[str, Any] = campus.record_of(calling.call_id)
    assert row["seen"] == {"elsewhere": "127.0.0.1"}
    facts = Facts({}, {}, frozenset({"campus.example"}), frozenset(), {}, {})
    del row["kinds"]
    assert str(told(Call(**row), facts, outgoing=True)[0]) == outgoing


def test_another_system_that_is_down_is_told_so(campus: Campus, phone: Phones) -> None:
    caller, other = phone(campus.line()).registered(), phone(campus.line())
    port = other.address[1]
    other.close()
    calling = caller.invite(f"sip:100@127.0.0.1:{port}")
    caller.final(calling.request)
    row: dict[str, Any] = campus.record_of(calling.call_id)
    facts = Facts({}, {}, frozenset({"campus.example"}), frozenset(), {}, {})
    del row["kinds"]
    assert str(told(Call(**row), facts, outgoing=True)[0]) == "The other system does not answer"


def test_a_transfer_is_joined_to_the_call_it_came_from(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    third = phone(campus.line()).registered()
    calling, at_caller, _at_callee = talk(campus, caller, callee)
    refer = at_caller.send("REFER", headers=[("Refer-To", f"<{campus.uri(third.user)}>")])
    callee.accept("REFER")
    caller.final(refer)
    at_caller.send("BYE")
    callee.accept("BYE")
    next_, _, at_third = talk(campus, callee, third)
    at_third.send("BYE")
    callee.accept("BYE")
    first, second = (campus.record_of(call.call_id) for call in (calling, next_))
    assert first["seen"] == {"moved_by": "caller", "moved_to": campus.uri(third.user)}
    assert second["seen"] == {"came_from": first["context"]}
