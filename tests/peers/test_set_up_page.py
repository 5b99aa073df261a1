"""The set-up page tells a student what is wrong with the phone, and that it works at last.

The phone is baresip, the page is polled by its own script in Chromium, and nobody touches it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.support import baresip
from tests.support.baresip import Baresip
from tests.support.browser import CHROMIUM, Student, chromium, person, picture, sign_up
from tests.support.campus import Campus, wait_for

SHOWN_WITHIN_MS: Final = 8_000
"""The page asks every two seconds; before that the record has to come into the database."""

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.skipif(not baresip.is_installed(), reason="needs baresip"),
]


def test_page_names_the_mistake_and_turns_green_by_itself(tmp_path: Path) -> None:
    var = tmp_path / "var"
    var.mkdir(mode=0o700)
    foreign: list[str] = []
    with (
        Campus(var).start_all() as house,
        chromium() as browser,
        person(browser, house, foreign) as page,
    ):
        clara = Student(page, "Clara Ek", "clara.ek")
        sign_up(house, clara, tmp_path)
        page.evaluate("window.untouched = true")

        with phone(clara, tmp_path / "1", user="clara.eek"):
            shows(page, "unknown_name", "Unknown user name")
            light = page.locator("#status .light")
            expect(light).to_contain_text("“clara.eek”")
            expect(light).to_contain_text("“clara.ek”")
            picture(page, tmp_path, "unknown-name")
        with phone(clara, tmp_path / "2", secret=mistyped(clara.secret)):
            shows(page, "wrong_secret", "Wrong secret")
            expect(page.locator("#status .light")).to_contain_text(re.compile(r"at \d\d:\d\d:\d\d"))
            picture(page, tmp_path, "wrong-secret")
        with phone(clara, tmp_path / "3"):
            shows(page, "registered", "Your phone is connected.")
            expect(page.locator("#status .light")).to_contain_text(re.compile("baresip.*UDP"))
            picture(page, tmp_path, "connected")
            assert page.evaluate("window.untouched"), "the page was loaded again"
            make_a_new_secret(page, house)
            shows(page, "waiting", "Waiting for your phone")
            picture(page, tmp_path, "new-secret")
    assert foreign == []


def make_a_new_secret(page: Page, house: Campus) -> None:
    """It is asked first; then the registration with the old secret is gone within a second."""
    page.reload()
    page.get_by_role("link", name="Make a new secret").click()
    expect(page.get_by_role("heading", name="A new secret for")).to_be_visible()
    assert registrations(house) == 1
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.locator("#v-secret")).to_be_visible()
    wait_for("the end of the registration", lambda: registrations(house) == 0, 1.0)


def registrations(house: Campus) -> int:
    rows = house.query("SELECT count(*) FROM location_binding", database="bindings")
    return int(rows[0][0])


def shows(page: Page, state: str, text: str) -> None:
    """The light comes to this state, and says so, without anybody's hand."""
    light = page.locator(f"#status [data-state={state}]")
    expect(light).to_be_visible(timeout=SHOWN_WITHIN_MS)
    expect(light).to_contain_text(text)


def phone(student: Student, folder: Path, *, user: str = "", secret: str = "") -> Baresip:
    """The student's softphone, set up by the page but for what was mistyped."""
    return Baresip(folder, user or student.username, secret or student.secret, student.server)


def mistyped(secret: str) -> str:
    """The secret with its last character wrong."""
    return secret[:-1] + ("x" if secret[-1] != "x" else "y")
