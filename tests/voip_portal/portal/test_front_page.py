"""What strangers read, in a real browser: the front page, help, privacy, contact."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, faults, log_in
from voip_portal.accounts.models import User

pytestmark = IN_A_BROWSER
NewPage = Callable[..., Page]


@pytest.mark.parametrize("locale", ["en", "sv"])
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1280, "light")])
def test_a_stranger_reads_what_this_is_and_signs_up(
    new_page: NewPage, plan: None, settings: Any, width: int, scheme: str, locale: str
) -> None:
    settings.VOIP_CONTACT = "help@campus.example"
    page = new_page(width, color_scheme=scheme, locale=locale)
    found: list[str] = []
    for path in ("/", "/help/", "/privacy/", "/contact/"):
        page.goto(path)
        found += faults(page)
    assert found == []
    expect(page.locator("main a[href='mailto:help@campus.example']")).to_be_visible()
    page.goto("/")
    assert page.locator("main ol.steps li").count() == 3
    page.click("main a.big")
    page.wait_for_url("**/accounts/signup/")


def test_the_privacy_page_says_how_long_in_days(
    new_page: NewPage, plan: None, settings: Any
) -> None:
    settings.VOIP_KEEP_DAYS = 90
    page = new_page()
    page.goto("/privacy/")
    expect(page.locator("main")).to_contain_text("how it ended: 90 days")
    expect(page.locator("main")).to_contain_text("with their address: 30 days")


def test_who_is_logged_in_sees_the_overview(busy_anna: User, new_page: NewPage) -> None:
    page = new_page()
    log_in(page, busy_anna)
    page.goto("/")
    expect(page.locator("h1")).to_contain_text("Hello")


def test_without_an_address_nobody_is_told_to_ask_the_administrators(
    new_page: NewPage, plan: None
) -> None:
    page = new_page()
    page.goto("/contact/")
    assert "administrators" not in page.inner_text("main")
