"""The first call: two students sign up in a browser, set up two softphones, and talk.

Everything runs as `make run` starts it: on SQLite and files, and on PostgreSQL and Redis. Pictures of the pages, 360 and 1280 pixels wide, are left in
the test's folder.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import baresip, postgresql, redis_server
from tests.support.baresip import Baresip
from tests.support.browser import CHROMIUM, Student, chromium, person, picture, sign_up, softphone
from tests.support.campus import Campus, wait_for
from tests.support.postgresql import Cluster
from tests.support.redis_server import RedisServer

HISTORY_WITHIN_S: Final = 5.0

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.skipif(not baresip.is_installed(), reason="needs baresip"),
]


@pytest.fixture(params=["embedded", "servers"])
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Campus]:
    """Everything, started as by `make run` in an empty folder."""
    var = tmp_path / "var"
    var.mkdir(mode=0o700)
    with ExitStack() as stack:
        settings = {}
        if request.param == "servers":
            if postgresql.binaries() is None or not redis_server.is_installed():
                pytest.skip("needs PostgreSQL and Redis")
            settings["DATABASE_URL"] = stack.enter_context(Cluster()).url
            settings["REDIS_URL"] = stack.enter_context(RedisServer()).url
        yield stack.enter_context(Campus(var, settings).start_all())


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_two_students_sign_up_and_talk(house: Campus, browser: Browser, tmp_path: Path) -> None:
    foreign: list[str] = []
    with ExitStack() as stack:
        pages = [stack.enter_context(person(browser, house, foreign)) for _ in range(3)]
        anna = Student(pages[0], "Anna Berg", "anna.berg")
        boris = Student(pages[1], "Boris Dahl", "boris.dahl")
        for student in (anna, boris):
            sign_up(house, student, tmp_path)
        callers = stack.enter_context(softphone(anna, tmp_path))
        called = stack.enter_context(softphone(boris, tmp_path, answers=True))
        for student in (anna, boris):
            # Nobody touches the page: it turns green by itself.
            expect(student.page.locator("#status [data-state=registered]")).to_be_visible()
            picture(student.page, tmp_path, f"{student.username}-5-connected")

        by_name = talk(house, callers, called, f"sip:{boris.username}@{boris.server}")
        by_number = talk(house, callers, called, f"sip:{boris.number}@{boris.server}")

        deadline = time.monotonic() + HISTORY_WITHIN_S
        shown = {by_name: 1.0, by_number: 1.0}
        for call_id in shown:
            row = house.call_row(call_id, max(0.1, deadline - time.monotonic()))
            assert row["cause"] == "completed"
            shown[call_id] = row["duration_s"]
        for student, other in ((anna, boris), (boris, anna)):
            check_history(student, other, list(shown.values()), tmp_path)
        log_in_to_admin(house, pages[2])
        check_admin(house, pages[2], anna, boris, list(shown.values()), tmp_path)
    assert foreign == []
    if house.settings:
        in_files = {path.name for path in house.var.iterdir()}
        assert not in_files & {"portal.sqlite3", "bindings.sqlite3", "broker", "cache"}, in_files


def talk(campus: Campus, caller: Baresip, called: Baresip, uri: str) -> str:
    """One call with sound in both directions; its Call-ID. The row says how long it was."""
    before = min(caller.heard(), called.heard())
    caller.dial(uri)
    established = caller.expect("CALL_ESTABLISHED")
    begun = time.monotonic()
    called.expect("CALL_ESTABLISHED")
    for each in (caller, called):
        each.expect("CALL_RTPESTAB")
    wait_for(
        "sound both ways", lambda: min(caller.heard(), called.heard()) > before + 6000, timeout=10
    )
    caller.command("hangup")
    called.expect("CALL_CLOSED")
    lasted = time.monotonic() - begun
    call_id = str(established["id"])
    assert campus.call_row(call_id)["duration_s"] == pytest.approx(lasted, abs=0.3)
    caller.events.clear()
    called.events.clear()
    return call_id


def check_history(student: Student, other: Student, durations: list[float], folder: Path) -> None:
    """Both calls stand in a student's history, with the other's name and the right duration."""
    page = student.page
    page.goto("/calls/")
    rows = page.locator("li.call")
    expect(rows).to_have_count(2)
    direction = "Outgoing" if student.username == "anna.berg" else "Incoming"
    for row, duration in zip(rows.all(), reversed(durations), strict=True):
        text = row.inner_text()
        assert direction in text
        assert other.name in text or other.username in text or other.number in text
        assert seconds(row.locator(".duration").inner_text()) == pytest.approx(duration, abs=1)
    picture(page, folder, f"{student.username}-6-calls")
    page.goto("/")
    picture(page, folder, f"{student.username}-7-home")


def seconds(text: str) -> int:
    """0:07, 1:02:03 or 7 s as seconds."""
    total = 0
    for part in re.findall(r"\d+", text):
        total = total * 60 + int(part)
    return total


def log_in_to_admin(campus: Campus, page: Page) -> None:
    """With the password that the first start printed once."""
    printed = campus.log("supervisor")
    email = re.search(r"e-mail address\s+(\S+)", printed)
    password = re.search(r"password\s+(\S+)", printed)
    assert email is not None
    assert password is not None
    page.goto("/admin/")
    page.locator("input[name=login]").fill(email[1])
    page.locator("input[type=password]").fill(password[1])
    page.locator("form:has(input[name=login]) button").first.click()
    page.wait_for_url("**/admin/**")


def check_admin(
    campus: Campus,
    page: Page,
    anna: Student,
    boris: Student,
    durations: list[float],
    folder: Path,
) -> None:
    """The admin's home has figures, and its list of calls both calls."""
    picture(page, folder, "admin-1-home")
    page.goto("/admin/calls/call/")
    body = page.locator("body").inner_text()
    assert body.count(anna.username) >= 2
    assert boris.number in body
    for duration in durations:
        assert re.search(rf"\b0?{int(duration)}(?:[.,]\d|\b)", body), f"{duration} not in {body}"
    picture(page, folder, "admin-2-calls")
