import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client

from sipcore.eventlog import Cause
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call
from voip_portal.lines.models import Line
from voip_portal.lines.services import add_device, close_line
from voip_portal.numbers.services import number_of, release
from voip_portal.portal.history import history, plain_address
from voip_portal.portal.templatetags.portal import duration

pytestmark = pytest.mark.django_db(databases="__all__")

AsUser = Callable[[User], Client]
NewCall = Callable[..., Call]


@pytest.fixture
def boriss_line(boris: User, line_of: Callable[[User], Line]) -> Line:
    return line_of(boris)


def test_both_sides_see_the_call_each_in_its_own_words(
    annas_line: Line, boriss_line: Line, call: NewCall
) -> None:
    call(caller_line=annas_line.pk, callee_line=boriss_line.pk)
    mine = history([annas_line.pk]).entries[0]
    theirs = history([boriss_line.pk]).entries[0]
    assert (mine.outgoing, mine.party, str(mine.outcome)) == (True, "boris", "Talked; you hung up")
    assert (mine.dial, theirs.dial) == ("boris", "anna")
    assert (theirs.outgoing, theirs.party, str(theirs.outcome)) == (
        False,
        "anna",
        "Talked; they hung up",
    )
    assert (mine.party_number, theirs.party_number) == (
        number_of(boriss_line),
        number_of(annas_line),
    )
    assert mine.duration_s == theirs.duration_s == 61.0


@pytest.mark.parametrize(
    "uri",
    [
        "sip:anonymous@anonymous.invalid",
        "sip:Anonymous@campus.example:5060;transport=tcp",
        "sips:unknown@Unknown.INVALID",
    ],
)
def test_who_hid_their_number_is_not_named_to_the_other_side(
    anna: User,
    annas_line: Line,
    boris: User,
    boriss_line: Line,
    as_user: AsUser,
    call: NewCall,
    uri: str,
) -> None:
    call(caller_line=annas_line.pk, callee_line=boriss_line.pk, from_uri=uri)
    [theirs] = history([boriss_line.pk]).entries
    assert (theirs.party, theirs.party_number, theirs.dial) == ("Hidden number", "", "")
    [mine] = history([annas_line.pk]).entries
    assert (mine.party, mine.party_number) == ("boris", number_of(boriss_line))
    number = number_of(annas_line)
    for path in ("/calls/", "/", "/api/v1/calls/"):
        page = as_user(boris).get(path).content.decode()
        assert "Hidden number" in page, path
        assert "anna" not in page, path
        assert number not in page, path
    page = as_user(anna).get("/calls/").content.decode()
    assert "boris" in page


def test_clara_sees_no_call_of_anna_and_boris(
    annas_line: Line,
    boriss_line: Line,
    clara: User,
    line_of: Callable[[User], Line],
    as_user: AsUser,
    call: NewCall,
) -> None:
    call(caller_line=annas_line.pk, callee_line=boriss_line.pk)
    line_of(clara)
    page = as_user(clara).get("/calls/").content.decode()
    assert "No calls yet" in page
    assert "boris" not in page


def test_a_number_brings_no_history_with_it(
    annas_line: Line, boriss_line: Line, clara: User, line_of: Callable[[User], Line], call: NewCall
) -> None:
    call(caller_line=boriss_line.pk, callee_line=annas_line.pk)
    address = annas_line.addresses.get(kind="number")
    close_line(annas_line)
    release(annas_line)
    next_line = line_of(clara)
    next_line.addresses.filter(kind="number").delete()
    address.refresh_from_db()
    address.line, address.state, address.until = next_line, "held", None
    address.save()
    assert number_of(next_line) == address.value
    assert history([next_line.pk]).entries == []


def test_pages_are_keyed_and_show_each_call_once(
    annas_line: Line, boriss_line: Line, call: NewCall
) -> None:
    same = datetime(2026, 11, 1, tzinfo=UTC)
    made = [
        call(caller_line=annas_line.pk, callee_line=boriss_line.pk, started_at=same)
        for _ in range(4)
    ]
    made += [call(caller_line=boriss_line.pk, callee_line=annas_line.pk) for _ in range(5)]
    made += [call(caller_line=annas_line.pk, callee_line=annas_line.pk)]
    seen: list[int] = []
    after = ""
    while True:
        page = history([annas_line.pk], after, size=3)
        seen += [entry.id for entry in page.entries]
        call(caller_line=annas_line.pk)  # newer calls do not move the pages
        after = page.next
        if not after:
            break
    expected = sorted(made, key=lambda c: (c.started_at, c.pk), reverse=True)
    assert seen == [c.pk for c in expected]


@pytest.mark.parametrize("after", ["nonsense", "WzEsMl0:x:y", "'; DROP TABLE"])
def test_an_invented_position_begins_at_the_newest_call(
    annas_line: Line, call: NewCall, after: str
) -> None:
    call(caller_line=annas_line.pk)
    assert len(history([annas_line.pk], after).entries) == 1


def test_missed_calls_stand_out(
    anna: User, annas_line: Line, as_user: AsUser, call: NewCall
) -> None:
    call(
        caller_line=None,
        callee_line=annas_line.pk,
        from_uri="sip:door@elsewhere.example",
        cause="cancelled",
        status=487,
        duration_s=None,
    )
    page = as_user(anna).get("/calls/").content.decode()
    assert 'class="call missed"' in page
    assert "Missed; they hung up" in page
    assert "door at elsewhere.example" in page


def test_times_are_in_my_zone(anna: User, annas_line: Line, as_user: AsUser, call: NewCall) -> None:
    call(caller_line=annas_line.pk, started_at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    client = as_user(anna)
    page = client.get("/calls/").content.decode()
    assert "00:30" in page
    assert "Thursday 2 July 2026" in page
    anna.timezone = "America/New_York"
    anna.save()
    assert "18:30" in client.get("/calls/").content.decode()


def test_what_phones_send_is_shown_as_text(
    anna: User, annas_line: Line, as_user: AsUser, call: NewCall
) -> None:
    call(
        caller_line=None,
        callee_line=annas_line.pk,
        from_uri='"x" <sip:<script>alert(1)</script>@e>',
    )
    assert "<script>alert" not in as_user(anna).get("/calls/").content.decode()


def test_a_long_history_costs_no_more_queries(
    annas_line: Line, boriss_line: Line, call: NewCall, django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        call(caller_line=annas_line.pk, callee_line=boriss_line.pk)
    with django_assert_num_queries(4):
        history([annas_line.pk], size=2)


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("sip:anna@campus.example", "anna@campus.example"),
        ("<sip:anna@a.b;x=y>;tag=1", "anna@a.b"),
        ('"Anna" <sips:anna@a.b?h=1>', "anna@a.b"),
        ("tel:112", "112"),
        ("anna", "anna"),
        ("", ""),
    ],
)
def test_addresses_are_shown_plainly(uri: str, text: str) -> None:
    assert plain_address(uri) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.2, "0:00"), (7, "0:07"), (750, "12:30"), (3725, "1:02:05"), (59.6, "1:00")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_the_first_page_shows_the_last_calls(
    anna: User, annas_line: Line, as_user: AsUser, call: NewCall
) -> None:
    for n in range(7):
        call(caller_line=annas_line.pk, started_at=datetime.now(UTC) - timedelta(hours=n))
    page = as_user(anna).get("/").content.decode()
    assert page.count('class="call talked"') == 5


def test_every_line_of_the_page_says_how_the_call_went(
    anna: User, annas_line: Line, as_user: AsUser, call: Callable[..., Call]
) -> None:
    """Whatever the record left out: no cause, no status, no other side."""
    for side in ("caller_line", "callee_line"):
        for cause in ("", "something new", *Cause):
            call(**{side: annas_line.pk}, cause=cause, ended_by="", status=None, to_uri="")
        call(**{side: annas_line.pk}, cause="", open=True)
    client, lines = as_user(anna), []
    after = ""
    while True:
        page = client.get("/calls/", {"after": after}).content.decode()
        lines += re.findall(r'<p class="what"><span>[^<]+</span> · (.*?)</p>', page)
        older = re.search(r'rel="next" href="[^"]*after=([^"]+)"', page)
        if older is None:
            break
        after = unquote(older[1])
    assert len(lines) == 2 * (len(Cause) + 3)
    assert all(len(line.strip()) > 3 for line in lines)


def test_somebody_elsewhere_is_shown_with_the_domain(
    annas_line: Line, call: Callable[..., Call]
) -> None:
    call(caller_line=annas_line.pk, dialled="sip:100@pbx.example.org", to_uri="")
    call(caller_line=annas_line.pk, dialled="sip:nobody@campus.example", to_uri="")
    assert [e.party for e in history([annas_line.pk]).entries] == [
        "nobody",
        "100 at pbx.example.org",
    ]


def test_a_local_number_is_of_here_and_has_no_domain(
    annas_line: Line, call: Callable[..., Call]
) -> None:
    """As the daemon records it: the user part that was dialled, the domain only where it is not ours."""
    fields = {"caller_line": annas_line.pk, "caller_device": 1, "to_uri": "sip:x@192.0.2.1"}
    fields |= {"cause": "unreachable", "ended_by": "system", "status": 404, "ringing_at": None}
    call(**fields, dialled="29999")
    call(**fields, dialled="100", seen={"elsewhere": "pbx.example.org"})
    found = history([annas_line.pk]).entries
    assert [(e.party, str(e.outcome)) for e in found] == [
        ("100 at pbx.example.org", "The other system has nobody of this name or number"),
        ("29999", "Nobody has this name or number"),
    ]


def test_which_of_my_devices_took_or_declined_it_is_said_to_me_alone(
    annas_line: Line, boriss_line: Line, call: Callable[..., Call]
) -> None:
    laptop, _ = add_device(annas_line, "Laptop", "campus")
    phone, _ = add_device(boriss_line, "Pixel", "campus")
    lines = {"caller_line": boriss_line.pk, "callee_line": annas_line.pk}
    call(
        **lines,
        caller_device=phone.pk,
        cause="busy",
        status=486,
        seen={"phones": [[laptop.pk, 486, "said"]]},
    )
    call(**lines, caller_device=phone.pk, callee_device=laptop.pk)
    mine, theirs = (
        [(e.device, str(e.outcome)) for e in history([line.pk]).entries]
        for line in (annas_line, boriss_line)
    )
    assert mine == [("Laptop", "Talked; they hung up"), ("", "You declined on Laptop")]
    assert theirs == [("Pixel", "Talked; you hung up"), ("Pixel", "Declined")]


def test_transfers_are_joined_to_the_calls_they_came_from(
    annas_line: Line,
    boriss_line: Line,
    clara: User,
    line_of: Callable[[User], Line],
    call: Callable[..., Call],
) -> None:
    claras_line = line_of(clara)
    moved = {"moved_by": "caller", "moved_to": "sip:clara@campus.example"}
    first = call(caller_line=annas_line.pk, callee_line=boriss_line.pk, seen=moved)
    call(
        caller_line=boriss_line.pk,
        callee_line=claras_line.pk,
        seen={"came_from": first.context},
    )
    joined = [
        [str(e.joined) for e in history([line.pk]).entries]
        for line in (annas_line, boriss_line, claras_line)
    ]
    assert joined == [
        ["You passed them on to clara."],
        ["Comes from the call at 12:01 with anna.", "They passed you on to clara."],
        ["Passed on from another call."],
    ]


def test_busy_is_who_was_in_a_call_and_all_others_declined(
    annas_line: Line, call: Callable[..., Call]
) -> None:
    answered = datetime(2026, 11, 23, 13, tzinfo=UTC)
    call(caller_line=annas_line.pk, started_at=answered, ended_at=answered + timedelta(minutes=9))
    refused = {"cause": "busy", "ended_by": "callee", "status": 486, "answered_at": None}
    for minutes in (5, 20):
        at = answered + timedelta(minutes=minutes)
        call(callee_line=annas_line.pk, started_at=at, **refused)
    said = [str(entry.outcome) for entry in history([annas_line.pk]).entries]
    assert said == ["You declined", "Missed; you were on the phone", "Talked; you hung up"]
