"""What the audit shows in a real browser: who, when, from where, why, old and new; and nobody clears it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, at_both_widths, violations, wide
from tests.voip_portal.portal.test_second_look import staff
from voip_portal.accounts.models import User
from voip_portal.lines.models import Line

pytestmark = IN_A_BROWSER
LogIn = Callable[..., Page]


@pytest.fixture
def audited(busy_anna: User, log_in_as: LogIn) -> Page:
    """A person was suspended, for a reason, by the buttons of the admin."""
    page = log_in_as(staff("administrator"), 1280)
    page.goto(f"/admin/find/{Line.objects.get().pk}/")
    page.get_by_role("button", name="Suspend the person").click()
    page.fill("[name=reason]", "left the campus")
    page.click(".look-do")
    page.wait_for_url("**/admin/find/*/")
    return page


def test_who_suspended_a_person_from_where_and_why_stands_on_every_page_of_it(
    audited: Page, busy_anna: User
) -> None:
    line = Line.objects.get()
    for path in (
        f"find/{line.pk}/",
        f"accounts/user/{busy_anna.pk}/change/",
        "changes/change/",
    ):
        audited.goto(f"/admin/{path}")
        told = audited.locator("tr", has_text="may log in: yes → no")
        for text in ("staff@campus.example", "127.0.0.1", "left the campus"):
            expect(told.first).to_contain_text(text)
        assert at_both_widths(audited, violations, wide) == []


def test_who_made_staff_and_gave_a_role_stands_on_the_persons_page(
    busy_anna: User, log_in_as: LogIn
) -> None:
    page = log_in_as(staff("administrator"), 1280)
    page.goto(f"/admin/accounts/user/{busy_anna.pk}/change/")
    page.check("[name=is_staff]")
    page.select_option("[name=groups]", label="help desk")
    page.click("[name=_continue]")
    page.wait_for_load_state()
    for change in ("staff: no → yes", "role: help desk"):
        told = page.locator("tr", has_text=change).first
        expect(told).to_contain_text("staff@campus.example")


def test_nobody_is_offered_to_change_or_clear_it(audited: Page) -> None:
    audited.goto("/admin/changes/change/")
    expect(audited.locator("[name=_selected_action], a[href$='/delete/'], a[href$='change/add/']")).to_have_count(0)
    audited.locator("#result_list a").first.click()
    expect(audited.locator("[name=_save], a.deletelink, a[href$='/delete/']")).to_have_count(0)
