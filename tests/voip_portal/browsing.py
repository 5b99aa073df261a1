"""Fixtures of tests in a real browser, and what is asked of each page there."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.voip_portal.people import PASSWORD, make_person
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call
from voip_portal.lines.models import Device
from voip_portal.lines.services import add_device
from voip_portal.location.models import Binding
from voip_portal.nodes.services import ensure_deployment
from voip_portal.numbers import services as numbers

IN_A_BROWSER = [
    pytest.mark.peers,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
"""Marks of a module of such tests."""

AXE = next((Path(__file__).parent / "portal" / "axe").glob("axe-core-*.min.js"))
WIDTHS = (360, 1280)
WAIT_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright keeps a loop running in this thread; Django then refuses its database by mistake.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def plan() -> None:
    ensure_deployment()
    numbers.ensure_numbering_plan("campus.example", "20000", "20099")


@pytest.fixture
def new_page(browser: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """Opens pages that fail the test on a script error or a request to another host."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(width: int = 360, **options: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, base_url=live_server.url, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: "Security Policy" in m.text and faults.append(m.text))
        page.on("request", lambda r: r.url.startswith(live_server.url) or faults.append(r.url))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def log_in(page: Page, user: User) -> None:
    page.goto("/accounts/login/")
    page.fill("[name=login]", user.email)
    page.fill("[name=password]", PASSWORD)
    page.click("main form button")
    page.wait_for_url(lambda url: "login" not in url)


def connect(device: Device) -> None:
    Binding.objects.create(
        line_id=device.line_id,
        device_id=device.pk,
        key="k",
        contact="sip:a@192.0.2.1",
        call_id="c",
        cseq=1,
        expires_at=time.time() + 60,
        registered_at=time.time(),
        user_agent="Linphone",
    )


@pytest.fixture
def log_in_as(new_page: Callable[..., Page]) -> Callable[..., Page]:
    """A window of somebody who is logged in."""

    def opened(user: User, width: int = 360, **options: Any) -> Page:
        page = new_page(width, **options)
        log_in(page, user)
        return page

    return opened


@pytest.fixture
def busy_anna(plan: None) -> User:
    """Anna with devices, a registration and calls of every tone."""
    anna = make_person("Anna", listed=True)
    line = numbers.open_line(anna, "anna")
    device, _secret = add_device(line, "Laptop", "campus")
    connect(device)
    for n, (cause, status) in enumerate(
        [("completed", 200), ("cancelled", 487), ("rejected", 404), ("busy", 486), ("", 0)] * 8
    ):
        at = datetime(2026, 11, 23, tzinfo=UTC) - timedelta(hours=n)
        Call.objects.create(
            context=f"call{n}",
            callee_line=line.pk,
            from_uri="sip:boris@campus.example",
            started_at=at,
            cause=cause,
            status=status,
            open=not cause,
            duration_s=5.0 if status == 200 else None,
            answered_at=at if status == 200 else None,
        )
    return anna


SERIOUS = frozenset({"serious", "critical"})
ANY = SERIOUS | {"minor", "moderate"}


def violations(page: Page, impacts: frozenset[str] = SERIOUS) -> list[str]:
    """What axe finds that is serious or worse: the admin's theme has its own idea of landmarks."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{page.url}: {v['id']}: {v['nodes'][0]['html'][:200]}"
        for v in found
        if v["impact"] in impacts
    ]


def wide(page: Page) -> list[str]:
    """A page that is wider than its window."""
    is_wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    return [f"{page.url}: too wide"] * is_wide


def faults(page: Page) -> list[str]:
    """Whatever axe finds, and a page that is wider than its window."""
    return violations(page, ANY) + wide(page)


EVERY_LOOK = pytest.mark.parametrize(
    ("scheme", "language"),
    [
        ("light", "en"),
        ("dark", "sv"),
        pytest.param("light", "sv", marks=pytest.mark.long),
        pytest.param("dark", "en", marks=pytest.mark.long),
    ],
)
"""Both themes in both languages, every other pair in `make test-long`; `at_both_widths` looks at each
page of them twice."""


def at_both_widths(page: Page, *looks: Callable[[Page], list[str]]) -> list[str]:
    """What these find of a page, `faults` by default, in a narrow window and in a wide one."""
    found: list[str] = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for look in looks or (faults,):
            found += [f"{width}: {fault}" for fault in look(page)]
    return found


def speaks(user: User, language: str) -> User:
    """The person with this language in the settings."""
    user.language = language
    user.save(update_fields=["language"])
    return user


def the_code() -> str:
    """What the newest mail asks to be typed."""
    found = re.search(r"^([A-Z0-9-]{6,12})$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found is not None
    return found[1]
