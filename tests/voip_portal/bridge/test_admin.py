"""Staff's lists of what the service writes, and the admin's home page."""

# ruff: noqa: S608 - statements are made of our own constants

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sipcore.eventlog import Cause
from tests.voip_portal.people import kept_of, make_person
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call, Record
from voip_portal.changes.models import Change
from voip_portal.lines.models import Device, Line
from voip_portal.location.models import Binding
from voip_portal.nodes.models import Node
from voip_portal.numbers.models import Domain

pytestmark = pytest.mark.django_db(databases="__all__")
AsUser = Callable[[User], Client]
PAGES = (
    "changes/change/",
    "calls/call/",
    "calls/record/",
    "location/binding/",
    "nodes/node/",
)


@pytest.fixture
def operator(domain: Domain, as_user: AsUser) -> Client:
    user = make_person("Olga", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    return as_user(user)


@pytest.fixture
def a_day(annas_line: Line, annas_device: Device) -> Call:
    """One of each."""
    now = time.time()
    Binding.objects.create(
        line_id=annas_line.pk,
        key="k",
        contact="sip:anna@192.0.2.7",
        call_id="c",
        cseq=1,
        expires_at=now + 60,
        registered_at=now,
        user_agent='<script>alert("phone")</script>',
        node="n1",
    )
    Binding.objects.create(
        line_id=annas_line.pk,
        key="gone",
        contact="sip:old@192.0.2.8",
        call_id="c",
        cseq=1,
        expires_at=now - 60,
    )
    Node.objects.create(
        name="n1",
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
        directory_version=Change.objects.order_by("-id")[0].version or 0,
        calls_now=3,
        registrations=17,
        spool_backlog=5,
    )
    Record.objects.create(spool_id="n1-0-1", n=1, kind="call.begin", context="ctx", at=now, data={})
    return Call.objects.create(
        context="ctx",
        from_uri="sip:anna@campus.example",
        dialled="sip:boris@campus.example",
        caller_line=annas_line.pk,
        started_at=timezone.now(),
        cause="failed",
        status=503,
        reason="No gateway",
        duration_s=61.2,
        open=False,
    )


def text_of(client: Client, path: str) -> str:
    answer = client.get(f"/admin/{path}")
    assert answer.status_code == 200, path
    return answer.content.decode()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("a_day")
def test_list_can_be_read_and_nothing_else(operator: Client, page: str) -> None:
    text_of(operator, page)
    assert operator.get(f"/admin/{page}add/").status_code == 403
    app, model = page.strip("/").split("/")
    row = first_key(app, model)
    assert operator.get(f"/admin/{page}{row}/change/").status_code == 200
    assert operator.post(f"/admin/{page}{row}/change/", {}).status_code == 403
    assert operator.post(f"/admin/{page}{row}/delete/", {"post": "yes"}).status_code == 403


def first_key(app: str, model: str) -> int:
    from django.apps import apps

    return int(apps.get_model(app, model).objects.order_by("pk").values_list("pk", flat=True)[0])


@pytest.mark.usefixtures("a_day")
def test_calls_are_found_by_user_name_number_and_context(
    operator: Client, annas_line: Line
) -> None:
    number = annas_line.addresses.get(kind="number").value
    for term in ("anna", number, "ctx"):
        assert "sip:boris@campus.example" in text_of(operator, f"calls/call/?q={term}")
    assert "sip:boris@campus.example" not in text_of(operator, "calls/call/?q=boris")


@pytest.mark.usefixtures("a_day")
def test_calls_tell_who_was_called_and_how_it_went_in_words(
    operator: Client, annas_line: Line
) -> None:
    """A cross for "not ongoing" once stood where people look for "failed"."""
    for n, cause in enumerate(Cause):
        Call.objects.create(
            context=f"ended{n}",
            started_at=timezone.now(),
            caller_line=annas_line.pk,
            callee_line=annas_line.pk if n else None,
            cause="" if cause is Cause.FAILED else cause,
            open=False,
        )
    Call.objects.create(context="open", started_at=timezone.now(), open=True)
    page = text_of(operator, "calls/call/")
    said = re.findall(r"field-caller_reads[^>]*>\s*([^<]*?)\s*<", page)
    assert len(said) == len(Cause) + 2
    assert "Ringing" in said
    assert all(text and "_" not in text for text in said)
    called = re.findall(r"field-callee[\" ][^>]*>\s*([^<]*?)\s*<", page)
    assert set(called) == {"-", "anna"}
    assert not re.search(r">\s*(check_small|close_small|True|False)\s*<", page)


@pytest.mark.usefixtures("a_day")
def test_registrations_show_the_line_and_only_live_ones(operator: Client) -> None:
    page = text_of(operator, "location/binding/?q=anna")
    assert "anna" in page
    assert "192.0.2.7" in page
    assert "192.0.2.8" not in page
    assert "<script>alert" not in page


@pytest.mark.usefixtures("a_day")
def test_changes_tell_who_and_what_without_secrets(operator: Client, annas_device: Device) -> None:
    Line.objects.update(state="suspended")
    page = text_of(operator, "changes/change/")
    assert "state: active → suspended" in page
    assert "outside the portal" in page
    assert kept_of(annas_device).ha1_md5 not in page


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize(("value", "status"), [("nonsense", 200), ("%00", 400)])
@pytest.mark.parametrize(
    "page",
    [
        "calls/call/?cause=",
        "calls/record/?kind=",
        "changes/change/?table_name=",
        "lines/line/?state__exact=",
        "numbers/address/?kind__exact=",
    ],
)
def test_filter_that_staff_made_up_is_no_fault_of_ours(
    operator: Client, page: str, value: str, status: int
) -> None:
    client = Client(raise_request_exception=False)
    client.cookies = operator.cookies
    assert client.get(f"/admin/{page}{value}").status_code == status


@pytest.mark.usefixtures("a_day")
def test_unknown_value_filters_nothing(operator: Client) -> None:
    assert "sip:boris@campus.example" in text_of(operator, "calls/call/?cause=nonsense")


@pytest.mark.usefixtures("a_day")
def test_home_page_tells_the_state_of_the_service(operator: Client) -> None:
    numbered = Change.objects.filter(version__isnull=False)
    latest = numbered.order_by("-version").values_list("version", flat=True)[0]
    Node.objects.update(directory_version=latest)
    page = text_of(operator, "")
    assert "1 of 1 at" in page
    assert "17" in page
    assert "No gateway" in page
    assert "99 / 100" in page
    assert "seconds ago" in page


def test_all_times_are_in_one_zone_and_it_is_named(
    operator: Client, a_day: Call, annas_device: Device
) -> None:
    """Auckland is 13 hours ahead: no time in UTC can be taken for one of its."""
    User.objects.filter(email="olga@campus.example").update(timezone="Pacific/Auckland")
    at = datetime(2026, 11, 23, 20, 30, 15, tzinfo=UTC)
    Device.objects.update(created_at=at, revoked_at=at)
    Node.objects.update(started_at=at)
    Call.objects.update(started_at=at)
    Record.objects.update(at=at.timestamp())
    Binding.objects.update(registered_at=at.timestamp())
    record, binding = first_key("calls", "record"), first_key("location", "binding")
    for page in (
        "",
        "changes/change/",
        "calls/call/",
        f"calls/call/{a_day.pk}/change/",
        "calls/record/",
        f"calls/record/{record}/change/",
        "location/binding/",
        f"location/binding/{binding}/change/",
        "nodes/node/",
        f"lines/device/{annas_device.pk}/change/",
    ):
        text = text_of(operator, page)
        assert "Times: Pacific/Auckland" in text, page
        assert "2026-11-24 09:30:15" in text, page
        assert "20:30" not in text, page


@pytest.mark.usefixtures("a_day")
def test_home_page_tells_of_a_silent_node_and_a_refused_version(operator: Client) -> None:
    Node.objects.update(
        heartbeat_at=timezone.now() - timedelta(seconds=60),
        refused_version=99,
        refused_why="unknown state 'dancing'",
    )
    page = text_of(operator, "")
    assert "silent" in page
    assert "Refused 99" in page
    assert "dancing" in page
    assert "0 of 0 at" in page


@pytest.mark.parametrize("role", ["operator", "help desk", "auditor"])
def test_a_nodes_page_tells_what_was_dropped_or_refused(
    domain: Domain, as_user: AsUser, role: str
) -> None:
    user = make_person("Olga", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    counts = {"latest": {"malformed": 12_345}, "total": {"stun": 6, "malformed": 67_890}}
    node = Node.objects.create(name="n1", counts=counts)
    page = text_of(as_user(user), f"nodes/node/{node.pk}/change/")
    cells = [re.sub(r"<[^>]*>", " ", row).split() for row in re.findall(r"(?s)<tr.*?</tr>", page)]
    rows = [(*words[-3:-2], *words[-2:]) for words in cells if words[-1].isdigit()]
    assert rows == [("malformed", "12345", "67890"), ("stun", "0", "6")]
    assert "Messages that are no SIP, dropped" in page
    assert "ops-quiet" in page
    assert "{&quot;" not in page  # nor as the database has it


def test_a_nodes_page_says_that_nothing_was_dropped(operator: Client) -> None:
    node = Node.objects.create(name="n1")
    page = text_of(operator, f"nodes/node/{node.pk}/change/")
    assert "Nothing since the node started." in page


def test_home_page_of_an_empty_service(operator: Client) -> None:
    assert "is sipd running?" in text_of(operator, "")


def test_home_page_tells_of_a_missing_trigger(operator: Client) -> None:
    on = " ON lines_line" if connection.vendor == "postgresql" else ""
    name = f"changes_on_lines_line_{'row' if on else 'insert'}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{on}")
    assert f"{name} is missing" in text_of(operator, "")


@pytest.mark.usefixtures("a_day")
def test_help_desk_sees_no_changes_on_the_home_page(domain: Domain, as_user: AsUser) -> None:
    user = make_person("Hedda", is_staff=True)
    user.groups.add(Group.objects.get(name="help desk"))
    page = text_of(as_user(user), "")
    assert "The service now" in page
    assert "Latest changes" not in page


@pytest.mark.parametrize("page", ["", *PAGES])
def test_number_of_queries_does_not_grow_with_the_rows(
    operator: Client, a_day: Call, annas_line: Line, page: str
) -> None:
    text_of(operator, page)
    before = count(operator, page)
    Call.objects.bulk_create(
        Call(context=f"c{n}", started_at=a_day.started_at, caller_line=annas_line.pk + n)
        for n in range(30)
    )
    Line.objects.bulk_create(Line(username=f"u{n}", skeleton=f"u{n}") for n in range(30))
    now = time.time()
    Binding.objects.bulk_create(
        Binding(
            line_id=n,
            key=f"k{n}",
            contact="sip:x@192.0.2.9",
            call_id="c",
            cseq=1,
            expires_at=now + 60,
            registered_at=now,
        )
        for n in range(30)
    )
    assert count(operator, page) == before


def count(client: Client, page: str) -> int:
    captured = [CaptureQueriesContext(c) for c in connections.all()]
    for one in captured:
        one.__enter__()
    text_of(client, page)
    for one in captured:
        one.__exit__(None, None, None)
    return sum(map(len, captured))


MANY = 1_000_000
FAST_S = 0.3


@pytest.mark.long
def test_lists_stay_fast_with_a_million_calls(operator: Client, annas_line: Line) -> None:
    many_calls()
    paths = (
        "calls/call/",
        "calls/call/?p=150",
        "calls/call/?open=1",
        "calls/call/?cause=vanished",
        "calls/call/?q=anna",
        "calls/record/",
        "calls/record/?kind=call.end",
        "changes/change/",
        "",
    )
    took = {path: best_of_five(operator, path) for path in paths}
    assert {path: s for path, s in took.items() if s > FAST_S} == {}


def best_of_five(client: Client, path: str) -> float:
    def once() -> float:
        start = time.perf_counter()
        text_of(client, path)
        return time.perf_counter() - start

    return min(once() for _ in range(5))


def many_calls() -> None:
    """A million calls and records of the last year, made by the database itself."""
    start = (datetime.now(UTC) - timedelta(days=365)).strftime("%Y-%m-%d %H:%M:%S")
    if connection.vendor == "postgresql":
        numbers = f"generate_series(1, {MANY}) AS t(n)"
        at: Any = f"timestamptz '{start}+00' + n * interval '31 seconds'"
        text = "'c' || n"
    else:
        numbers = (
            f"(WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {MANY})"
            " SELECT n FROM t) AS t"
        )
        at = f"datetime('{start}', '+' || (n * 31) || ' seconds')"
        text = "'c' || n"
    columns = (
        "context, call_id, from_uri, to_uri, dialled, caller_line, callee_line, started_at,"
        " cause, ended_by, status, reason, node, open"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO calls_call ({columns}) SELECT {text}, 'x', 'sip:a@campus.example',"
            f" 'sip:b@campus.example', 'sip:b@campus.example', n % 30000, n % 29989, {at},"
            f" 'completed', 'caller', 200, '', 'n1', (1 = 0) FROM {numbers}"
        )
        cursor.execute(
            "INSERT INTO calls_record (spool_id, n, kind, context, at, data)"
            f" SELECT 's', n, CASE WHEN n % 2 = 0 THEN 'call.begin' ELSE 'call.end' END, {text},"
            f" n, '{{}}' FROM {numbers}"
        )
        cursor.execute("ANALYZE")


def test_the_list_of_nodes_tells_where_they_listen_and_which_serves_nothing(
    operator: Client,
) -> None:
    rows = [["UDP", "10.0.0.5", 5060, "203.0.113.9"], ["TLS", "::1", 5061, "::1"]]
    Node.objects.create(name="n1", heartbeat_at=timezone.now(), listeners=rows)
    Node.objects.create(name="n2", heartbeat_at=timezone.now())
    page = text_of(operator, "nodes/node/")
    assert "UDP 10.0.0.5:5060, told as 203.0.113.9<br>TLS [::1]:5061" in page
    assert page.count("serves nothing") == 1
    assert '<strong class="ops-bad">serves nothing</strong>' in page
