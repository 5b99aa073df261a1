"""Lists at 30,000 people and 1,000,000 calls: every page in less than 300 ms.

Runs on the database that DATABASE_URL names; everything is rolled back with the test's database.
With UPDATE=1 the figures go into `docs/benchmarks.md`:

    UPDATE=1 sh scripts/with_var.sh .venv/bin/python -m tests.support.postgresql -- \
        .venv/bin/pytest -s -m long tests/long
"""

# ruff: noqa: S608 - statements are made of our own constants

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from django.db import connection, connections
from django.test import Client

from voip_portal.accounts.models import User
from voip_portal.lines.models import Device, DeviceSecret, Line
from voip_portal.location.models import Binding
from voip_portal.nodes.services import ensure_deployment
from voip_portal.numbers.models import Address, AddressState, Domain, Kind
from voip_portal.numbers.services import ensure_numbering_plan
from voip_portal.portal.history import history

pytestmark = [pytest.mark.long, pytest.mark.django_db(databases="__all__")]

PEOPLE: Final = 30_000
CALLS: Final = 1_000_000
BUSY_EVERY: Final = 50
"""One call of so many is made by the first line: her history has 20,000."""
LIMIT_MS: Final = 300.0
ROUNDS: Final = 10
"""requests: the system counts processor time in steps of 10 ms."""
BATCH: Final = 2_000
PASSWORD_HASH: Final = "!"
CALL_EVERY_S: Final = 25
BEGAN: Final = datetime.now(UTC) - timedelta(seconds=CALLS * CALL_EVERY_S)
CAUSES: Final = (
    "CASE i % 5 WHEN 0 THEN 'no_answer' WHEN 1 THEN 'cancelled' WHEN 2 THEN 'busy' ELSE 'completed' END"
)
STATUSES: Final = "CASE i % 5 WHEN 0 THEN 408 WHEN 1 THEN 487 WHEN 2 THEN 486 ELSE 200 END"
PAGES_FILE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- pages: make test-long, UPDATE=1 -->\n", "<!-- end of pages -->\n"


def test_every_list_is_quick() -> None:
    first = fill_people()
    fill_calls(first.pk, first.devices.get().pk)
    for alias in connections:
        with connections[alias].cursor() as cursor:
            cursor.execute("ANALYZE")
    student, staff = Client(), Client()
    assert first.owner is not None
    student.force_login(first.owner)
    staff.force_login(User.objects.create_superuser("admin@campus.example"))
    took = {}
    for name, who, url in pages(first, student, staff):
        took[name] = cost(who, url)
        print(f"{name:34} {took[name][0]:7.0f} ms {took[name][1]:7.0f} ms")  # noqa: T201 (the table)
    if os.environ.get("UPDATE") == "1":
        write(took)
    assert {name: ms for name, (ms, _wall) in took.items() if ms >= LIMIT_MS} == {}


def write(took: Mapping[str, tuple[float, float]]) -> None:
    """Put the figures between their marks."""
    text = PAGES_FILE.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    load = os.getloadavg()[0]
    about = (
        f"{connection.vendor}, Python {platform.python_version()}, {os.cpu_count()} cores,"
        f" {datetime.now(UTC):%Y-%m-%d}, load of the machine meanwhile {load:.0f}"
    )
    rows = [f"| {name} | {ms:.0f} | {wall:.0f} |\n" for name, (ms, wall) in took.items()]
    head = "| page | processor, ms | by the clock, ms |\n|---|---|---|\n"
    table = ["\n", about, ":\n\n", head, *rows, "\n"]
    PAGES_FILE.write_text(before + BEGIN + "".join(table) + END + after)


def pages(first: Line, student: Client, staff: Client) -> Iterator[tuple[str, Client, str]]:
    """What is looked at: a name, by whom, and where."""
    middle = history([first.pk], size=10_000).next
    assert middle
    device = first.devices.get().pk
    yield "first page", student, "/"
    yield "devices", student, "/devices/"
    yield "where I am connected", student, "/registered/"
    yield "set-up page", student, f"/devices/{device}/"
    yield "API, calls", student, "/api/v1/calls/"
    yield "API, devices", student, "/api/v1/devices/"
    yield "history, first page", student, "/calls/"
    yield "history, middle page", student, f"/calls/?after={middle}"
    yield "people, by name", student, "/people/?q=Person+29"
    yield "people, by name, page 50", student, "/people/?q=Person+2&page=50"
    yield "people, by number", student, "/people/?q=21500"
    yield "admin home", staff, "/admin/"
    yield "person page", staff, f"/admin/find/{first.pk + 15_000}/"
    yield "person page of the busy line", staff, f"/admin/find/{first.pk}/"
    for name, asked in (
        ("a number", "215000"),
        ("an e-mail address", "student15000@campus.example"),
        ("a Call-ID", "c0500000"),
        ("a device of thousands", "phone"),
        ("a name of thousands", "person"),
        ("nobody", "nobody-at-all"),
    ):
        yield f"find {name}", staff, f"/admin/find/?q={asked}"
    for name, path, last in (
        ("calls", "calls/call", 200),
        ("records", "calls/record", 200),
        ("people", "accounts/user", 600),
        ("lines", "lines/line", 600),
        ("devices", "lines/device", 600),
        ("addresses", "numbers/address", 1200),
        ("registrations", "location/binding", 200),
        ("changes", "changes/change", 200),
    ):
        yield f"admin {name}", staff, f"/admin/{path}/"
        yield f"admin {name}, last page", staff, f"/admin/{path}/?p={last}"
    for name, rest in (
        ("calls of a line", "calls/call/?q=student15000"),
        ("calls of the busy line", f"calls/call/?q={first.username}"),
        ("calls, busy", "calls/call/?cause=busy"),
        ("calls, no answer", "calls/call/?cause=no_answer"),
        ("calls, ongoing", "calls/call/?open=1"),
        ("records of a kind", "calls/record/?kind=call.end"),
        ("records of no kind there is", "calls/record/?kind=auth.refused"),
        ("records of a call", "calls/record/?q=c0500000"),
        ("people, search", "accounts/user/?q=student15000"),
        ("lines, search", "lines/line/?q=student15000"),
        ("devices, search", "lines/device/?q=student15000"),
        ("addresses, search", "numbers/address/?q=student15000"),
        ("registrations, search", "location/binding/?q=student15000"),
    ):
        yield f"admin {name}", staff, f"/admin/{rest}"


def cost(client: Client, url: str) -> tuple[float, float]:
    """Milliseconds of a request: of the processor, ours and the database's, and by the clock.

    The first is what the page takes on a machine that does nothing else, whatever this one does.
    """
    assert client.get(url).status_code < 400, url
    took = []
    used = used_s()
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        client.get(url)
        took.append(time.perf_counter() - begun)
    return (used_s() - used) / ROUNDS * 1000, statistics.median(took) * 1000


def used_s() -> float:
    """Processor time of this process and of its database sessions."""
    used = time.process_time()
    if connection.vendor == "postgresql":
        for alias in connections:
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                stat = Path(f"/proc/{cursor.fetchone()[0]}/stat").read_text()
            user, system = stat.rpartition(")")[2].split()[11:13]
            used += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return used


def fill_people() -> Line:
    """People with a line, a device, two addresses and a registration each; the first line."""
    ensure_deployment()
    domain: Domain = ensure_numbering_plan("campus.example", "200000", "299999")
    people = User.objects.bulk_create(map(person, range(PEOPLE)), BATCH)
    lines = Line.objects.bulk_create(
        (
            Line(username=f"student{i}", skeleton=f"student{i}", owner=u)
            for i, u in enumerate(people)
        ),
        BATCH,
    )
    devices = Device.objects.bulk_create(
        (Device(line=line, label="Phone") for line in lines),
        BATCH,
    )
    DeviceSecret.objects.bulk_create(
        (DeviceSecret(device=d, ha1_md5="0" * 32, ha1_sha256="0" * 64) for d in devices), BATCH
    )
    Address.objects.bulk_create(
        (
            Address(domain=domain, kind=kind, value=value, line=line, state=AddressState.HELD)
            for i, line in enumerate(lines)
            for kind, value in ((Kind.NAME, line.username), (Kind.NUMBER, str(200_000 + i)))
        ),
        BATCH,
    )
    Binding.objects.bulk_create(map(binding, devices), BATCH)
    return lines[0]


def person(i: int) -> User:
    return User(
        email=f"student{i}@campus.example",
        name=f"Person {i}",
        name_folded=f"person {i}",
        listed=True,
        password=PASSWORD_HASH,
    )


def binding(device: Device) -> Binding:
    contact = f"sip:phone@192.0.2.1:{1024 + device.line_id % 60_000}"
    return Binding(
        line_id=device.line_id,
        key=contact,
        contact=contact,
        call_id=f"r{device.line_id}",
        cseq=1,
        expires_at=time.time() + 3600,
        device_id=device.pk,
        registered_at=time.time(),
        written_at=time.time(),
        node="n1",
    )


def fill_calls(first: int, device: int) -> None:
    """Calls between all lines and one record of each, made inside the database."""
    postgresql = connection.vendor == "postgresql"
    context = "'c' || lpad(i::text, 7, '0')" if postgresql else "printf('c%07d', i)"
    epoch = f"({BEGAN.timestamp():.0f} + i * {CALL_EVERY_S})"
    at = f"to_timestamp({epoch})" if postgresql else f"datetime({epoch}, 'unixepoch')"
    data = "'{}'::jsonb" if postgresql else "'{}'"
    callee = f"(i * 7) % {PEOPLE}"
    silent = f"""'{{"phones": [[' || ({device} + {callee}) || ', 408, "silent"]]}}'"""
    seen = f"CASE i % 5 WHEN 0 THEN ({silent}){'::jsonb' if postgresql else ''} END"
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {CALLS}) "
    caller = f"CASE WHEN i % {BUSY_EVERY} = 0 THEN {first} ELSE {first} + i % {PEOPLE} END"
    with connection.cursor() as cursor:
        cursor.execute(
            numbers
            + "INSERT INTO calls_call (context, call_id, from_uri, to_uri, dialled, caller_line,"
            " callee_line, started_at, answered_at, ended_at, duration_s, cause, ended_by, status,"
            " reason, node, open, caller_device, callee_device, seen)"
            f" SELECT {context}, {context}, 'sip:a@campus.example',"
            f" 'sip:b@campus.example', 'b', {caller}, {first} + {callee}, {at},"
            f" CASE WHEN i % 5 > 2 THEN {at} END, {at}, 20, {CAUSES}, 'caller', {STATUSES}, '', 'n1',"
            f" FALSE, {device} + i % {PEOPLE}, CASE WHEN i % 5 > 2 THEN {device} + {callee} END,"
            f" {seen} FROM n"
        )
        cursor.execute(
            numbers
            + "INSERT INTO calls_record (spool_id, n, kind, context, at, data) SELECT 'n1-0-1', i,"
            f" CASE i % 3 WHEN 0 THEN 'call.end' ELSE 'call.begin' END, {context}, {epoch}, {data}"
            " FROM n"
        )
