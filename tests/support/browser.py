"""Students at headless Chromium: a window each, signing up, and the softphone they set up by the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.baresip import Baresip
from tests.support.campus import Campus, wait_for

CHROMIUM: Final = which("chromium") or which("chromium-browser")
ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD: Final = "quite-a-long-passphrase-17"
WIDTHS: Final = (360, 1280)


@dataclass(slots=True)
class Student:
    """A person at a browser, and what the set-up page told them."""

    page: Page
    name: str
    username: str
    server: str = ""
    secret: str = ""
    number: str = ""

    @property
    def email(self) -> str:
        return f"{self.username}@campus.example"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def person(browser: Browser, campus: Campus, foreign: list[str]) -> Iterator[Page]:
    """A browser window of somebody's own; requests to other hosts are noted."""
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{campus.web_port}", timezone_id="Europe/Stockholm"
    )
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(f"http://127.0.0.1:{campus.web_port}/")
            else foreign.append(request.url)
        ),
    )
    try:
        yield page
    finally:
        context.close()


def picture(page: Page, folder: Path, name: str) -> None:
    """The whole page at both widths; nothing may be wider than a small phone."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.screenshot(path=folder / f"{name}-{width}.png", full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide in a window of {width}"


def sign_up(campus: Campus, student: Student, folder: Path) -> None:
    """From the front page to the set-up page of the first device."""
    page = student.page
    page.goto("/accounts/signup/")
    picture(page, folder, f"{student.username}-1-sign-up")
    page.get_by_label("Your name").fill(student.name)
    page.get_by_label("Campus e-mail address").fill(student.email)
    page.locator("input[type=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.wait_for_url("**/confirm-email/**")
    picture(page, folder, f"{student.username}-2-code")
    page.locator("input[name=code]").fill(code_for(campus, student.email))
    page.locator("form:has(input[name=code]) button").first.click()
    page.wait_for_url("**/welcome/")
    picture(page, folder, f"{student.username}-3-name")
    page.get_by_label("User name").fill(student.username)
    page.get_by_label("Yes, list me").check()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#v-secret")).to_be_visible()
    student.server = page.locator("#v-server").inner_text()
    student.secret = page.locator("#v-secret").inner_text()
    student.number = page.locator("#v-number").inner_text()
    assert page.locator("#v-user").inner_text() == student.username
    expect(page.locator("#status [data-state=waiting]")).to_be_visible()
    picture(page, folder, f"{student.username}-4-set-up")


def code_for(campus: Campus, email: str) -> str:
    """The code in the newest mail to this address."""

    def look() -> str | None:
        for path in sorted((campus.var / "mail").glob("*.log"), reverse=True):
            text = path.read_text()
            if f"To: {email}" in text:
                found = re.findall(r"^\s*([A-Z0-9]{3,6}-?[A-Z0-9]{3,6})\s*$", text, re.MULTILINE)
                if found:
                    return str(found[-1])
        return None

    return wait_for(f"a mail to {email}", look, 10)


def softphone(student: Student, folder: Path, *, answers: bool = False) -> Baresip:
    return Baresip(
        folder / student.username, student.username, student.secret, student.server, answers=answers
    )
