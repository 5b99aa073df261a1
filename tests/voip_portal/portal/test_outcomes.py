import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client
from django.utils import translation

from sipcore.campus.causes import cause_of
from sipcore.eventlog import Cause, Side
from tests.voip_portal.portal.test_second_look import staff
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call
from voip_portal.lines.models import Line
from voip_portal.lines.services import add_device
from voip_portal.portal.outcomes import ROWS, Row, Seen, Tone, outcome


def example(row: Row) -> dict[str, object]:
    """A call that fits the row's conditions and nothing more."""
    status = next(iter(row.status)) if row.status is not None else 0  # type: ignore[call-overload]
    return {
        "cause": row.cause or "failed",
        "by": row.by or "",
        "status": status,
        "reason": (row.reason or "").upper(),
        "seen": Seen(
            rang=row.rang is not False,
            in_call=row.in_call is not False,
            elsewhere=row.elsewhere is True,
            phone=row.phone or "",
        ),
    }


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row.cause}-{row.by}-{row.status}-{row.reason}"
)
def test_every_row_is_reached_and_says_something_to_both_sides(row: Row) -> None:
    facts = example(row)
    assert outcome(outgoing=True, **facts) == (row.outgoing, row.tone)  # type: ignore[arg-type]
    expected = (row.incoming, row.tone_incoming or row.tone)
    assert outcome(outgoing=False, **facts) == expected  # type: ignore[arg-type]
    assert all(len(str(text)) > 3 for text in (row.outgoing, row.incoming))
    if row.named is not None:
        seen = replace(facts["seen"], devices="Laptop")  # type: ignore[type-var]
        said, _tone = outcome(outgoing=False, **(facts | {"seen": seen}))  # type: ignore[arg-type]
        assert "Laptop" in str(said)


@pytest.mark.parametrize(
    ("facts", "outgoing", "incoming", "tone"),
    [
        (
            ("completed", "caller", 200, ""),
            "Talked; you hung up",
            "Talked; they hung up",
            Tone.TALKED,
        ),
        (
            ("completed", "callee", 200, ""),
            "Talked; they hung up",
            "Talked; you hung up",
            Tone.TALKED,
        ),
        (
            ("cancelled", "caller", 487, ""),
            "You hung up before an answer",
            "Missed; they hung up",
            Tone.MISSED,
        ),
        (("busy", "callee", 486, ""), "Busy", "Missed; you were on the phone", Tone.MISSED),
        (("rejected", "callee", 603, "Decline"), "Declined", "You declined", Tone.QUIET),
        (("no_answer", "system", 408, ""), "No answer", "Missed; you did not answer", Tone.MISSED),
        (
            ("rejected", "system", 404, ""),
            "Nobody has this name or number",
            "Not connected",
            Tone.FAILED,
        ),
        (
            ("rejected", "system", 404, "Emergency calls are not carried"),
            "Emergency calls are not possible here: use a mobile phone",
            "Not connected",
            Tone.FAILED,
        ),
        (
            ("rejected", "callee", 488, ""),
            "The two phones have no sound format in common",
            "Missed; the two phones have no sound format in common",
            Tone.MISSED,
        ),
        (
            ("something new", "", 0, ""),
            "A technical fault",
            "Missed; a technical fault",
            Tone.MISSED,
        ),
    ],
)
def test_what_people_read(
    facts: tuple[str, str, int, str], outgoing: str, incoming: str, tone: Tone
) -> None:
    cause, by, status, reason = facts
    said = outcome(outgoing=True, cause=cause, by=by, status=status, reason=reason)
    heard = outcome(outgoing=False, cause=cause, by=by, status=status, reason=reason)
    assert str(said[0]) == outgoing
    assert (str(heard[0]), heard[1]) == (incoming, tone)


NEVER_RANG = Seen(rang=False)
ELSEWHERE = Seen(rang=False, elsewhere=True)


@pytest.mark.parametrize(
    ("facts", "seen", "outgoing", "incoming"),
    [
        (
            ("unreachable", "system", 480),
            NEVER_RANG,
            "Not reachable: none of their phones is connected",
            "Missed; none of your phones was connected",
        ),
        (
            ("unreachable", "system", 480),
            Seen(),
            "Not answered: their phone says that they are away",
            "Missed; your phone said that you are away",
        ),
        (("busy", "callee", 486), Seen(), "Busy", "Missed; you were on the phone"),
        (("busy", "callee", 486), Seen(in_call=False), "Declined", "You declined"),
        (("rejected", "callee", 603), Seen(in_call=False), "Declined", "You declined"),
        (
            ("cancelled", "caller", 487),
            NEVER_RANG,
            "You hung up before it rang",
            "Missed; they hung up before your phone rang",
        ),
        (
            ("no_answer", "system", 408),
            NEVER_RANG,
            "No answer: no phone of theirs rang",
            "Missed; your phone did not ring",
        ),
        (("failed", "callee", 503), ELSEWHERE, "The other system does not answer", "Not connected"),
        (
            ("unreachable", "system", 404),
            ELSEWHERE,
            "The other system has nobody of this name or number",
            "Not connected",
        ),
        (
            ("failed", "callee", 302),
            Seen(),
            "Their phone passes calls on to where we cannot reach",
            "Missed; your phone passed the call on to where we cannot reach",
        ),
    ],
)
def test_what_was_seen_of_a_call_is_said(
    facts: tuple[str, str, int], seen: Seen, outgoing: str, incoming: str
) -> None:
    cause, by, status = facts
    for is_outgoing, text in ((True, outgoing), (False, incoming)):
        said = outcome(outgoing=is_outgoing, cause=cause, by=by, status=status, seen=seen)
        assert str(said[0]) == text


def test_every_cause_that_sipd_records_has_rows() -> None:
    by_status_only = {Cause.FAILED}
    assert {row.cause for row in ROWS if row.cause} == set(Cause) - by_status_only


def test_every_status_of_sip_has_a_sentence() -> None:
    for status in range(300, 700):
        for outgoing in (True, False):
            assert str(outcome(outgoing=outgoing, cause="rejected", status=status)[0])


@pytest.mark.parametrize("language", ["en", "sv"])
def test_no_call_is_without_words(language: str) -> None:
    """Whatever a record says or leaves out, in both languages, for both sides."""
    causes = ("", "something new", *Cause)
    sides = ("", *Side)
    statuses = (0, 200, *range(300, 700), 999)
    with translation.override(language):
        for cause, by, status in itertools.product(causes, sides, statuses):
            for outgoing in (True, False):
                said, _tone = outcome(outgoing=outgoing, cause=cause, by=by, status=status)
                assert str(said).strip()


def test_causes_that_sipd_gives_a_status_never_say_talked() -> None:
    for status, outgoing in itertools.product(range(300, 700), (True, False)):
        said, tone = outcome(outgoing=outgoing, cause=cause_of(status), status=status)
        assert "Talked" not in str(said)
        assert tone is not Tone.TALKED


def test_a_call_that_goes_on_is_shown_so() -> None:
    assert outcome(outgoing=True, cause="", is_open=True)[1] is Tone.GOING_ON
    assert str(outcome(outgoing=True, cause="", is_open=True, answered=True)[0]) == "Going on now"


@pytest.mark.django_db(databases="__all__")
def test_staff_read_in_the_list_of_calls_what_both_sides_read(
    annas_line: Line, as_user: Callable[[User], Client], call: Callable[..., Call]
) -> None:
    laptop, _secret = add_device(annas_line, "Laptop", "campus")
    made = call(
        callee_line=annas_line.pk,
        cause="busy",
        status=486,
        seen={"phones": [[laptop.pk, 486, "said"]]},
    )
    client = as_user(staff("help desk"))
    for path in ("", f"{made.pk}/change/"):
        page = client.get(f"/admin/calls/call/{path}").content.decode()
        assert "You declined on Laptop" in page
        assert "Declined" in page
