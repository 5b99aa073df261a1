"""Each step of a call: its records, its journal rows, and when it is due again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sipcore.calls import Call, CallTable, Dialog
from sipcore.calls.notes import refreshed_note, seen_note
from sipcore.eventlog import Cause, Record, Side
from sipcore.transaction import TimerHeap
from sipcore.transport.flow import Flow
from tests.sipcore.calls.examples import AT, FAR, NEAR, a_call, a_dialog

PROBE_S, LONGEST_S, AFTER_S = 300.0, 86_400.0, 180.0


class Desk:
    """A table with what it writes; its clock says 100 when it is AT."""

    def __init__(self, now: float = 100.0) -> None:
        self.records: list[Record] = []
        self.journal: list[dict[str, Any]] = []
        self.wakes = TimerHeap()
        self.table = CallTable(
            self.records.append, self.journal.append, self.wakes, PROBE_S, LONGEST_S
        )
        self.now, self.at = now, AT

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.at += seconds

    def begun(self, context: str = "ctx", **fields: Any) -> Call:
        call = a_call(context, begun_now=self.now, begun_at=self.at, **fields)
        self.table.begin(call, {"node": "one"})
        return call

    def answered(self, call: Call, tag: str = "b", line: int | None = 2, **fields: Any) -> Dialog:
        dialog = a_dialog(tag, answered_now=self.now, answered_at=self.at, **fields)
        self.table.answer(call, dialog, line)
        return dialog

    def ended(self, call: Call, cause: Cause = Cause.REJECTED) -> None:
        self.table.end(call, cause, Side.CALLEE, self.now, self.at)

    def written(self) -> list[str]:
        """Kinds of the records since the last look, and the operations of the journal rows."""
        said = [str(record.kind) for record in self.records] + [row["op"] for row in self.journal]
        self.records.clear()
        self.journal.clear()
        return said

    def due_in(self) -> float | None:
        """Seconds until the next call is given back."""
        due = self.wakes.next_deadline()
        return None if due is None else due - self.now


# --- the life of a call, step by step ----------------------------------------------------------------
def test_a_call_that_begins_is_held_written_and_counted() -> None:
    desk = Desk()
    call = desk.begun()
    [record] = desk.records
    assert (record.context, record.at, record.fields) == ("ctx", AT, {"node": "one"})
    assert desk.written() == ["call.begin", "open"]
    assert desk.table.get("ctx") is call
    assert list(desk.table) == [call]
    assert len(desk.table) == desk.table.placed_by(1) == 1
    assert desk.due_in() is None


def test_only_the_first_ringing_has_a_record() -> None:
    desk = Desk()
    call = desk.begun()
    desk.written()
    for seconds in (2.0, 3.0):
        desk.pass_time(seconds)
        desk.table.ring(call, desk.now, desk.at)
    [record] = desk.records
    assert (record.at, record.fields, call.rung_now) == (AT + 2, {}, 102.0)
    assert desk.written() == ["call.ring"]


def test_a_2xx_makes_a_dialog() -> None:
    desk = Desk()
    call = desk.begun(callee_line=None)
    desk.pass_time(5)
    dialog = desk.answered(call)
    record = desk.records[-1]
    assert (record.at, record.fields) == (AT + 5, {"callee_line": 2, "callee_device": 0, "tag": "b"})
    assert desk.written() == ["call.begin", "call.answer", "open", "open"]
    assert call.dialogs == {"b": dialog}
    assert (call.answered_now, call.answered_at, call.callee_line) == (105.0, AT + 5, 2)
    assert desk.due_in() == PROBE_S


@pytest.mark.parametrize(
    ("first", "second", "written", "dialogs", "callee_line"),
    [
        (("b", 2), ("b", 2), [], ["b"], 2),  # a repeated 2xx
        (("b", 2), ("c", 3), ["call.answer", "open"], ["b", "c"], 2),  # another phone of a fork
        (("b", None), ("c", 3), ["call.answer", "open"], ["b", "c"], 9),
    ],
)
def test_a_second_2xx(
    first: tuple[str, int | None],
    second: tuple[str, int | None],
    written: list[str],
    dialogs: list[str],
    callee_line: int,
) -> None:
    desk = Desk()
    call = desk.begun(callee_line=9)
    desk.answered(call, *first)
    desk.written()
    desk.pass_time(1)
    desk.answered(call, *second)
    assert desk.written() == written
    assert list(call.dialogs) == dialogs
    assert (call.answered_now, call.callee_line) == (100.0, callee_line)


def test_a_2xx_of_a_dialog_that_has_ended_is_an_old_one() -> None:
    desk = Desk()
    call = desk.begun()
    desk.answered(call, "b")
    desk.answered(call, "c")
    desk.table.hang_up(call, "b", Side.CALLER, desk.now, desk.at)
    desk.written()
    desk.answered(call, "b")
    assert desk.written() == []
    assert list(call.dialogs) == ["c"]


def test_a_tag_is_recorded_so_far() -> None:
    desk = Desk()
    desk.answered(desk.begun(), "b" * 65)
    assert desk.records[-1].fields["tag"] == "b" * 64


def test_a_2xx_that_comes_when_all_is_over_is_held_to_be_hung_up() -> None:
    desk = Desk()
    call = desk.begun()
    desk.ended(call)
    desk.written()
    assert desk.table.lately_over("ctx", desk.now) is None  # nobody had answered
    assert call.is_late("b")
    desk.answered(call)
    assert desk.written() == []
    assert list(call.dialogs) == ["b"]
    assert desk.due_in() is None
    assert desk.table.lately_over("ctx", desk.now) is not None
    assert call.dialog_over("b")
    assert not call.is_late("b")


# --- its end -----------------------------------------------------------------------------------------
End = Callable[[Desk, Call], None]


def by_bye(by: Side) -> End:
    return lambda desk, call: desk.table.hang_up(call, "b", by, desk.now, desk.at)


def by_service(cause: Cause, reason: str = "") -> End:
    def end(desk: Desk, call: Call) -> None:
        desk.table.hang_up(call, "b", Side.SYSTEM, desk.now, desk.at, cause, reason)

    return end


def with_status(cause: Cause, by: Side, status: int, reason: str = "") -> End:
    def end(desk: Desk, call: Call) -> None:
        desk.table.end(call, cause, by, desk.now, desk.at, status=status, reason=reason)

    return end


@pytest.mark.parametrize(
    ("answered", "end", "fields"),
    [
        # (cause, by, status, reason, ring_s, duration_s)
        (True, by_bye(Side.CALLER), ("completed", "caller", 200, "", 4.0, 60.0)),
        (True, by_bye(Side.CALLEE), ("completed", "callee", 200, "", 4.0, 60.0)),
        (True, by_service(Cause.VANISHED, "r"), ("vanished", "system", None, "r", 4.0, 60.0)),
        (True, by_service(Cause.TOO_LONG), ("too_long", "system", None, "", 4.0, 60.0)),
        (
            False,
            with_status(Cause.BUSY, Side.CALLEE, 486, "r" * 201),
            ("busy", "callee", 486, "r" * 200, 64.0, None),
        ),
        (
            False,
            with_status(Cause.CANCELLED, Side.CALLER, 487),
            ("cancelled", "caller", 487, "", 64.0, None),
        ),
    ],
    ids=["caller", "callee", "vanished", "too long", "busy", "cancelled"],
)
def test_the_end_of_a_call(answered: bool, end: End, fields: tuple[Any, ...]) -> None:
    desk = Desk()
    call = desk.begun()
    desk.pass_time(4)
    if answered:
        desk.answered(call)
    desk.written()
    desk.pass_time(60)
    end(desk, call)
    [record] = desk.records
    assert (record.context, record.at) == ("ctx", AT + 64)
    names = ("cause", "by", "status", "reason", "ring_s", "duration_s")
    assert record.fields == dict(zip(names, fields, strict=True))
    assert desk.journal == [{"op": "end", "c": "ctx"}]
    assert (desk.table.get("ctx"), len(desk.table), desk.table.placed_by(1)) == (None, 0, 0)
    assert desk.due_in() is None
    assert call.call_ended
    assert call.dialogs == {}
    desk.written()
    end(desk, call)
    desk.ended(call)
    assert desk.written() == []  # the second end of a call is ignored


def test_times_are_written_to_the_millisecond_and_never_below_nothing() -> None:
    desk = Desk()
    call = desk.begun()
    desk.pass_time(1.23456)
    desk.answered(call)
    desk.pass_time(2.34567)
    by_bye(Side.CALLER)(desk, call)
    fields = desk.records[-1].fields
    assert (fields["ring_s"], fields["duration_s"]) == (1.235, 2.346)
    again = desk.begun()
    desk.pass_time(-5)
    desk.answered(again)
    desk.pass_time(-5)
    by_bye(Side.CALLER)(desk, again)
    fields = desk.records[-1].fields
    assert (fields["ring_s"], fields["duration_s"]) == (0.0, 0.0)


def test_the_last_dialog_ends_the_call() -> None:
    desk = Desk()
    call = desk.begun()
    desk.answered(call, "b")
    desk.answered(call, "c")
    desk.written()
    desk.table.hang_up(call, "unknown", Side.CALLER, desk.now, desk.at)
    desk.table.hang_up(call, "b", Side.CALLER, desk.now, desk.at)
    desk.table.hang_up(call, "b", Side.CALLER, desk.now, desk.at)
    assert desk.written() == []
    assert (list(call.dialogs), call.over) == (["c"], ("b",))
    desk.table.hang_up(call, "c", Side.CALLER, desk.now, desk.at)
    assert desk.written() == ["call.end", "end"]


def test_an_end_that_was_seen_elsewhere_has_its_record_there() -> None:
    desk = Desk()
    call = desk.begun()
    desk.answered(call)
    desk.written()
    desk.table.ended_elsewhere("unknown", desk.now)
    assert desk.written() == []
    desk.table.ended_elsewhere("ctx", desk.now)
    assert desk.journal == [{"op": "end", "c": "ctx"}]
    assert desk.written() == ["end"]
    assert (len(desk.table), desk.table.placed_by(1), desk.due_in()) == (0, 0, None)
    assert call.call_ended
    assert desk.table.lately_over("ctx", desk.now) is not None


def test_the_end_of_a_call_held_elsewhere_is_written_here() -> None:
    desk = Desk()
    desk.table.end_not_held("other", Side.CALLEE, AT + 1)
    [record] = desk.records
    assert (record.kind, record.context, record.at) == ("call.end", "other", AT + 1)
    assert record.fields == {
        "cause": "completed",
        "by": "callee",
        "status": 200,
        "reason": "",
        "ring_s": None,
        "duration_s": None,
    }
    assert desk.journal == []


# --- calls that are over -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("after_s", "remembered"), [(0.0, True), (179.9, True), (180.0, False), (181.0, False)]
)
def test_an_answered_call_is_remembered_for_three_minutes(after_s: float, remembered: bool) -> None:
    desk = Desk()
    call = desk.begun()
    desk.answered(call)
    by_bye(Side.CALLER)(desk, call)
    assert (desk.table.lately_over("ctx", desk.now + after_s) is not None) is remembered
    desk.table.forget_over(desk.now + after_s)
    assert (desk.table.lately_over("ctx", desk.now) is not None) is remembered


def test_a_call_that_nobody_answered_is_not_remembered() -> None:
    desk = Desk()
    desk.ended(desk.begun())
    assert desk.table.lately_over("ctx", desk.now) is None


@pytest.mark.parametrize(
    ("length", "parties"),
    [(256, ["sip:anna@campus.example", "x" * 256]), (257, ["sip:anna@campus.example", ""])],
)
def test_of_a_call_that_is_over_it_is_known_whose_it_was(length: int, parties: list[str]) -> None:
    desk = Desk()
    long = f"sip:{'x' * (length - 4)}"
    call = desk.begun(to_value=f"<{long}>")
    desk.answered(call)
    by_bye(Side.CALLER)(desk, call)
    ended = desk.table.lately_over("ctx", desk.now)
    assert ended is not None
    assert (ended.caller_tag, ended.caller_line, ended.callee_line) == ("a", 1, 2)
    assert list(ended.parties) == [long if p.startswith("x") else p for p in parties]


def test_old_calls_are_forgotten_and_later_ones_stay() -> None:
    desk = Desk()
    for context in ("one", "two", "three"):
        call = desk.begun(context)
        desk.answered(call)
        by_bye(Side.CALLER)(desk, call)
        desk.pass_time(100)
    desk.table.forget_over(desk.now - 20)  # 280, 180 and 80 s after their ends
    known = [c for c in ("one", "two", "three") if desk.table.lately_over(c, 0.0)]
    assert known == ["three"]


def test_as_many_calls_as_there_is_room_for_are_remembered() -> None:
    desk = Desk()
    for number in range(10_001):
        call = desk.begun(str(number))
        desk.answered(call)
        by_bye(Side.CALLER)(desk, call)
    known = [n for n in (0, 1, 10_000) if desk.table.lately_over(str(n), desk.now)]
    assert known == [1, 10_000]


# --- who has placed calls ----------------------------------------------------------------------------
def test_calls_are_counted_by_who_placed_them() -> None:
    desk = Desk()
    calls = [desk.begun(str(n), caller_line=line) for n, line in enumerate([1, 1, None, 2, None])]
    assert [desk.table.placed_by(line) for line in (1, 2, 3)] == [2, 1, 0]
    for call in calls[1:]:
        desk.ended(call)
        desk.ended(call)
    assert [desk.table.placed_by(line) for line in (1, 2, 3)] == [1, 0, 0]
    assert len(desk.table) == 1


def test_calls_may_end_while_they_are_looked_through() -> None:
    desk = Desk()
    for context in ("one", "two"):
        desk.begun(context)
    for call in desk.table:
        desk.ended(call)
    assert len(desk.table) == 0


# --- how many may answer -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("open_tags", "ended_tags", "tag", "full"),
    [
        (19, 0, "new", False),
        (20, 0, "new", True),
        (20, 0, "t0", False),
        (19, 1, "new", True),
        (19, 1, "e0", False),
    ],
)
def test_so_many_phones_may_answer(open_tags: int, ended_tags: int, tag: str, full: bool) -> None:
    desk = Desk()
    call = desk.begun()
    for number in range(ended_tags):
        desk.answered(call, f"e{number}")
    for number in range(open_tags):
        desk.answered(call, f"t{number}")
    for number in range(ended_tags):
        assert call.dialog_over(f"e{number}")
    assert call.has_all_answers(tag) is full


@pytest.mark.parametrize(
    ("ended", "tag", "late"),
    [(False, "new", False), (True, "new", True), (True, "b", False), (False, "b", False)],
)
def test_the_first_2xx_of_a_phone_after_the_end_is_late(ended: bool, tag: str, late: bool) -> None:
    desk = Desk()
    call = desk.begun()
    desk.answered(call)
    if ended:
        by_bye(Side.CALLER)(desk, call)
    assert call.is_late(tag) is late


def test_a_service_at_one_end_has_no_contact_there() -> None:
    call = a_call()
    assert not call.has_own_end
    call.dialogs["b"] = a_dialog()
    assert not call.has_own_end
    for contacts in ({"caller_contact": ""}, {"callee_contact": ""}):
        call.dialogs["c"] = a_dialog("c", **contacts)
        assert call.has_own_end


def test_the_parties_are_those_of_the_invite() -> None:
    assert a_call().parties == ("sip:anna@campus.example", "sip:bob@campus.example")


# --- dialogs -----------------------------------------------------------------------------------------
@pytest.mark.section("3261 12.2.2")
@pytest.mark.parametrize(
    ("from_caller", "cseq", "counts"),
    [
        (True, 8, (8, 3)),
        (True, 7, (7, 3)),
        (True, 6, (7, 3)),
        (False, 4, (7, 4)),
        (False, 2, (7, 3)),
    ],
)
def test_a_request_that_passed_counts_in_its_direction(
    from_caller: bool, cseq: int, counts: tuple[int, int]
) -> None:
    dialog = a_dialog(caller_cseq=7, callee_cseq=3)
    dialog.caller.misses = dialog.callee.misses = 1
    dialog.leg(Side.CALLER if from_caller else Side.CALLEE).seen(cseq)
    assert (dialog.caller.cseq, dialog.callee.cseq) == counts
    assert (dialog.caller.misses, dialog.callee.misses) == ((0, 1) if from_caller else (1, 0))


@pytest.mark.section("4028 8.2", "3261 12.2.1.2")
@pytest.mark.parametrize(
    ("caller", "callee", "interval_s", "outcome"),
    [
        ("", "", -1, ("sip:anna@192.0.2.1", "sip:bob@192.0.2.2", 500.0)),
        ("sip:new", "", -1, ("sip:new", "sip:bob@192.0.2.2", 500.0)),
        ("", "sip:new", -1, ("sip:anna@192.0.2.1", "sip:new", 500.0)),
        ("", "", 0, ("sip:anna@192.0.2.1", "sip:bob@192.0.2.2", 0.0)),
        ("", "", 90, ("sip:anna@192.0.2.1", "sip:bob@192.0.2.2", 1000.0 + 90 + 32)),
    ],
)
def test_a_2xx_refreshes_a_dialog(
    caller: str, callee: str, interval_s: int, outcome: tuple[str, str, float]
) -> None:
    dialog = a_dialog(session_until=500.0)
    dialog.refresh(caller, callee, interval_s, 1000.0)
    assert (dialog.caller.contact, dialog.callee.contact, dialog.session_until) == outcome


@pytest.mark.section("3261 12.2.2")
@pytest.mark.parametrize(
    ("from_tag", "to_tag", "from_caller", "found"),
    [
        ("a", "b", True, "b"),
        ("b", "a", False, "b"),
        ("a", "c", True, "c"),
        ("a", "other", True, None),
        ("other", "b", True, None),
        ("b", "other", False, None),
        ("a", "b", False, None),
        ("a", "", True, None),
    ],
)
def test_the_dialog_of_a_request_is_found_by_both_tags(
    from_tag: str, to_tag: str, from_caller: bool, found: str | None
) -> None:
    call = a_call()
    call.dialogs = {tag: a_dialog(tag) for tag in ("b", "c")}
    dialog = call.dialog_of(from_tag, to_tag, from_caller)
    assert (dialog and dialog.callee_tag) == found


# --- what other workers see of a call ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("context", "tag", "cseq"), [("ctx", "b", 12), ("ctx", "other", 7), ("other", "b", 7)]
)
def test_a_request_that_passed_elsewhere_counts(context: str, tag: str, cseq: int) -> None:
    desk = Desk()
    dialog = desk.answered(desk.begun())
    desk.table.seen_elsewhere(seen_note(context, tag, True, 12))
    assert (dialog.caller.cseq, dialog.callee.cseq) == (cseq, 0)


@pytest.mark.parametrize(
    ("context", "tag", "contact", "written", "due_in"),
    [
        ("ctx", "b", "sip:new", ["open"], 90 + 32),
        ("ctx", "other", "sip:bob@192.0.2.2", [], PROBE_S),
        ("other", "b", "sip:bob@192.0.2.2", [], PROBE_S),
    ],
)
def test_a_session_refreshed_elsewhere_is_refreshed(
    context: str, tag: str, contact: str, written: list[str], due_in: float
) -> None:
    desk = Desk()
    dialog = desk.answered(desk.begun())
    desk.written()
    desk.table.refreshed_elsewhere(refreshed_note(context, tag, "", "sip:new", 90), desk.now)
    assert dialog.callee.contact == contact
    assert desk.written() == written
    assert desk.due_in() == due_in


def test_a_refresh_that_a_bye_has_overtaken_changes_nothing() -> None:
    desk = Desk()
    call = desk.begun()
    desk.answered(call)
    by_bye(Side.CALLER)(desk, call)
    desk.written()
    desk.table.refreshed(call, desk.now)
    assert desk.written() == []
    assert desk.due_in() is None


# --- when a call is looked at again --------------------------------------------------------------------
@pytest.mark.section("4028 8.2")
@pytest.mark.parametrize(
    ("sessions", "after_s", "wait_s", "due_in"),
    [
        # Each dialog's session lapses so long after the answer; 0: it never does.
        ([0], 0, -1, PROBE_S),
        ([0], 0, 0.0, 0.0),
        ([0], 0, 32.0, 32.0),
        ([100], 0, -1, 100),
        ([1000], 0, -1, 1000),  # its refreshes show that the ends are there
        ([1000], 0, 32.0, 1000),
        ([1000, 0], 0, -1, PROBE_S),
        ([1000, 100], 0, -1, 100),
        ([0], LONGEST_S - 10, -1, 10),
        ([2 * LONGEST_S], 0, -1, LONGEST_S),
    ],
)
def test_when_a_call_is_due(
    sessions: list[float], after_s: float, wait_s: float, due_in: float
) -> None:
    desk = Desk()
    call = desk.begun()
    for number, lasts in enumerate(sessions):
        desk.answered(call, f"b{number}", session_until=desk.now + lasts if lasts else 0.0)
    desk.pass_time(after_s)
    desk.table.plan_next(call, desk.now, wait_s)
    assert desk.due_in() == due_in
    assert len(desk.wakes) == 1  # one entry, whatever was planned before
    assert list(desk.wakes.pop_due(desk.now + due_in)) == [call]


@pytest.mark.parametrize("state", ["ringing", "over"])
def test_only_an_answered_call_is_due(state: str) -> None:
    desk = Desk()
    call = desk.begun()
    if state == "over":
        desk.answered(call)
        by_bye(Side.CALLER)(desk, call)
    desk.table.plan_next(call, desk.now)
    assert desk.due_in() is None


@pytest.mark.parametrize(
    ("answered", "after_s", "too_long"),
    [
        (False, 2 * LONGEST_S, False),
        (True, 0, False),
        (True, LONGEST_S - 0.1, False),
        (True, LONGEST_S, True),
    ],
)
def test_the_longest_time_of_a_call(answered: bool, after_s: float, too_long: bool) -> None:
    desk = Desk()
    call = desk.begun()
    if answered:
        desk.answered(call)
    assert desk.table.is_too_long(call, desk.now + after_s) is too_long


# --- the journal, and who takes it over ----------------------------------------------------------------
def restarted(journal: list[dict[str, Any]], later_s: float = 0.0) -> tuple[Desk, int]:
    """A worker with another monotonic clock takes the journal over, as it was on the disk."""
    desk = Desk(now=9_000.0)
    desk.at += later_s
    rows = json.loads(json.dumps(journal))
    return desk, desk.table.adopt(rows, desk.now, desk.at)


def told(call: Call, now: float) -> dict[str, Any]:
    """All that is known of a call, its times as seconds before `now`."""
    return {
        "call": [call.context, call.call_id, call.caller_tag, call.from_value, call.to_value],
        "lines": [call.caller_line, call.callee_line],
        "at": [call.begun_at, call.answered_at],
        "ago": [
            now - call.begun_now,
            None if call.answered_now is None else now - call.answered_now,
        ],
        "dialogs": {
            tag: (
                *(d.callee_tag, d.caller.contact, d.callee.contact, d.caller.routes),
                *(d.callee.routes, d.caller.cseq, d.callee.cseq, d.caller.flow, d.callee.flow),
                *(now - d.answered_now, d.answered_at),
                d.session_until and d.session_until - now,
            )
            for tag, d in call.dialogs.items()
        },
    }


@pytest.mark.parametrize("session_s", [0.0, 500.0])
@pytest.mark.parametrize(
    "flows", [(NEAR, FAR), (None, None), (FAR, None)], ids=["both", "none", "one"]
)
@pytest.mark.parametrize("caller_line", [1, None])
def test_an_answered_call_goes_on_after_a_restart(
    caller_line: int | None, flows: tuple[Flow | None, Flow | None], session_s: float
) -> None:
    desk = Desk()
    call = desk.begun(caller_line=caller_line)
    desk.pass_time(5)
    for tag in ("b", "c"):
        desk.answered(
            call,
            tag,
            caller_flow=flows[0],
            callee_flow=flows[1],
            session_until=session_s and desk.now + session_s,
        )
    desk.pass_time(60)
    after, adopted = restarted(desk.journal, 65)
    assert adopted == 1
    again = after.table.get("ctx")
    assert again is not None
    assert told(again, after.now) == told(call, desk.now)
    assert (again.adopted, call.adopted) == (True, False)
    assert after.written() == ["open"]  # and no record: the call goes on
    assert after.table.placed_by(1) == (1 if caller_line else 0)
    assert after.due_in() == (session_s - 60 if session_s else PROBE_S)


def test_the_journal_row_of_an_adopted_call_says_the_same() -> None:
    desk = Desk()
    desk.answered(desk.begun(), session_until=desk.now + 400)
    first, _ = restarted(desk.journal)
    second, _ = restarted(first.journal)
    assert json.dumps(first.journal) == json.dumps(second.journal) == json.dumps(desk.journal[-1:])


def test_a_journal_of_an_older_version_has_neither_sessions_nor_names_of_peers() -> None:
    desk = Desk()
    desk.answered(desk.begun(), session_until=desk.now + 400)
    row = json.loads(json.dumps(desk.journal[-1]))
    [dialog] = row["dialogs"]
    del dialog[10:]
    del dialog[7][4:]
    after, adopted = restarted([row])
    assert adopted == 1
    [call] = after.table
    assert call.dialogs["b"].session_until == 0.0
    assert call.dialogs["b"].caller.flow == NEAR._replace(peer="")


def test_a_call_that_nobody_had_answered_is_lost() -> None:
    desk = Desk()
    desk.begun()
    after, adopted = restarted(desk.journal, 3)
    assert (adopted, len(after.table), after.table.placed_by(1)) == (0, 0, 0)
    [record] = after.records
    assert record.at == AT + 3
    assert record.fields == {
        "cause": "lost",
        "by": "system",
        "status": None,
        "reason": "",
        "ring_s": 3.0,
        "duration_s": None,
    }
    assert after.written() == ["call.end", "end"]


def test_a_call_that_had_ended_is_remembered_for_its_last_requests() -> None:
    desk = Desk()
    for context in ("answered", "not answered"):
        call = desk.begun(context)
        if context == "answered":
            desk.answered(call)
        desk.ended(call)
    after, adopted = restarted(desk.journal)
    assert (adopted, len(after.table), after.written()) == (0, 0, [])
    assert after.table.lately_over("answered", after.now) is not None
    assert after.table.lately_over("not answered", after.now) is None


@pytest.mark.parametrize("row", [{"op": "end"}, {"op": "end", "c": "unknown"}, {}], ids=str)
def test_rows_of_nothing_known_are_passed_over(row: dict[str, Any]) -> None:
    after, adopted = restarted([row])
    assert (adopted, after.written()) == (0, [])


def test_adopted_calls_are_not_all_probed_at_once() -> None:
    desk = Desk()
    for context in "abcd":
        desk.answered(desk.begun(context))
    after, adopted = restarted(desk.journal)
    assert adopted == 4
    dues = []
    while (due := after.due_in()) is not None:
        dues.append((due, [call.context for call in after.wakes.pop_due(after.now + due)]))
    assert dues == [(75.0, ["a"]), (150.0, ["b"]), (225.0, ["c"]), (300.0, ["d"])]


def test_an_adopted_call_of_a_service_of_ours_is_due_at_once() -> None:
    desk = Desk()
    desk.answered(desk.begun(), callee_contact="")
    after, adopted = restarted(desk.journal)
    assert (adopted, after.due_in()) == (1, 0.0)
