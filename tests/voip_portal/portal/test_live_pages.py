"""Pages that stay open: what they do when their person is no longer logged in."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, faults, log_in
from tests.voip_portal.people import PASSWORD, make_person
from voip_portal.accounts.models import User
from voip_portal.accounts.services import end_sessions
from voip_portal.lines.models import Device
from voip_portal.lines.services import suspend_person

pytestmark = IN_A_BROWSER
NewPage = Callable[..., Page]


def log_in_again(page: Page) -> None:
    page.fill("[name=login]", "anna@campus.example")
    page.fill("[name=password]", PASSWORD)
    page.click("main form button")


def test_a_polling_page_goes_to_the_log_in_that_says_why_and_comes_back(
    busy_anna: User, new_page: NewPage
) -> None:
    page = new_page()
    log_in(page, busy_anna)
    page.goto("/registered/")
    end_sessions(busy_anna)
    page.wait_for_url("**/accounts/login/?**")
    expect(page.locator("main [role=alert]")).to_contain_text("Your session has ended")
    assert page.locator("form:has([name=password])").count() == 1
    assert faults(page) == []
    log_in_again(page)
    page.wait_for_url("**/registered/")
    expect(page.locator("main")).to_contain_text("Laptop")


def test_the_light_of_a_device_goes_to_the_log_in_and_comes_back_to_the_devices_page(
    busy_anna: User, new_page: NewPage
) -> None:
    page = new_page()
    log_in(page, busy_anna)
    device = Device.objects.get()
    page.goto(f"/devices/{device.pk}/")
    end_sessions(busy_anna)
    page.wait_for_url("**/accounts/login/?**")
    log_in_again(page)
    page.wait_for_url(f"**/devices/{device.pk}/")


def test_a_search_goes_to_the_log_in_and_comes_back_to_the_search(
    busy_anna: User, new_page: NewPage
) -> None:
    page = new_page()
    log_in(page, busy_anna)
    page.goto("/people/?q=anna")
    end_sessions(busy_anna)
    page.fill("[name=q]", "berg")
    page.click("main form button")
    page.wait_for_url("**/accounts/login/?**")
    log_in_again(page)
    page.wait_for_url("**/people/?q=anna")


def test_paging_goes_to_the_log_in_and_comes_back_to_the_calls(
    busy_anna: User, new_page: NewPage
) -> None:
    page = new_page()
    log_in(page, busy_anna)
    page.goto("/calls/")
    page.context.clear_cookies()
    page.click("text=Older calls")
    page.wait_for_url("**/accounts/login/?**")
    expect(page.locator("main [role=alert]")).to_contain_text("Your session has ended")
    log_in_again(page)
    page.wait_for_url("**/calls/")


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_a_suspended_person_is_told_so_and_whom_to_ask(
    busy_anna: User, new_page: NewPage, settings: object, width: int, scheme: str
) -> None:
    settings.VOIP_CONTACT = "help@campus.example"  # type: ignore[attr-defined]
    page = new_page(width, color_scheme=scheme)
    log_in(page, busy_anna)
    page.goto("/registered/")
    suspend_person(busy_anna, end_calls=False)
    page.wait_for_url("**/accounts/login/?**")
    told = page.locator("main [role=alert]")
    expect(told).to_contain_text("Your account was suspended")
    expect(told.locator("a")).to_have_attribute("href", "mailto:help@campus.example")
    assert faults(page) == []


def test_who_was_never_logged_in_is_told_of_no_session(new_page: NewPage, plan: None) -> None:
    page = new_page()
    page.goto("/calls/")
    page.wait_for_url("**/accounts/login/?**")
    expect(page.locator("main [role=alert]")).to_have_count(0)


def test_the_admins_search_goes_to_the_log_in(new_page: NewPage, plan: None) -> None:
    root = make_person("Root", is_staff=True, is_superuser=True)
    page = new_page(1280)
    log_in(page, root)
    page.goto("/admin/lines/line/")
    page.context.clear_cookies()
    page.evaluate("void htmx.ajax('GET', '/admin/search/?s=anna', 'body')")  # it ends this page
    page.wait_for_url("**/login/?**")
    expect(page.locator("main [role=alert]")).to_contain_text("Your session has ended")
