"""Names as long as they may be, without a blank, on a small phone; and counts that stopped counting."""

from collections.abc import Callable

import pytest
from django.utils import translation
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, faults, wide
from tests.voip_portal.portal.test_second_look import staff
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call
from voip_portal.changes.read_only import REACH, MoreThan
from voip_portal.lines.models import Device, Line, State
from voip_portal.location.models import Binding

pytestmark = IN_A_BROWSER
LogIn = Callable[..., Page]


@pytest.fixture
def long_anna(busy_anna: User) -> User:
    User.objects.update(name="W" * 100)
    Device.objects.update(label="W" * 60)
    Line.objects.update(username="w" * 32)
    Binding.objects.update(user_agent="W" * 200)
    Call.objects.update(from_uri=f"sip:{'w' * 60}@pbx.example.org")
    return User.objects.get()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1280, "light")])
def test_no_page_of_a_student_is_widened(
    long_anna: User, log_in_as: LogIn, width: int, scheme: str
) -> None:
    device = Device.objects.get().pk
    page = log_in_as(long_anna, width, color_scheme=scheme)
    found: list[str] = []
    for path in (
        "/",
        "/devices/",
        f"/devices/{device}/",
        f"/devices/{device}/secret/",
        f"/devices/{device}/rename/",
        f"/devices/{device}/revoke/",
        "/registered/",
        "/calls/",
        "/people/?q=ww",
        "/settings/",
    ):
        page.goto(path)
        found += faults(page)
    assert found == []


def test_no_page_of_the_admin_is_widened(long_anna: User, log_in_as: LogIn) -> None:
    page = log_in_as(staff("operator"), 360)
    line = Line.objects.get().pk
    for path in ("", f"find/{line}/", "lines/line/", "lines/device/", "calls/call/"):
        page.goto(f"/admin/{path}")
        assert wide(page) == []


def test_a_suspended_lines_page_offers_no_new_secret(busy_anna: User, log_in_as: LogIn) -> None:
    Line.objects.update(state=State.SUSPENDED)
    page = log_in_as(busy_anna)
    page.goto(f"/devices/{Device.objects.get().pk}/")
    expect(page.locator("[data-state=blocked]")).to_be_visible()
    expect(page.locator("text=Make a new secret")).to_have_count(0)


def test_the_admin_shows_no_table_names_no_show_all_and_no_capital_letters_of_its_own(
    busy_anna: User, log_in_as: LogIn
) -> None:
    root = staff("administrator")
    page = log_in_as(root, 1280)
    page.goto("/admin/")
    assert "lines_line" not in page.inner_text("body")
    page.goto("/admin/calls/call/?q=anna")
    assert "Show all" not in page.inner_text("body")
    page.goto(f"/admin/accounts/user/{busy_anna.pk}/change/")
    expect(page.locator("h1").first).to_contain_text("anna@campus.example")


def test_the_help_desk_is_shown_no_link_to_records(busy_anna: User, log_in_as: LogIn) -> None:
    page = log_in_as(staff("help desk"), 1280)
    page.goto(f"/admin/calls/call/{Call.objects.order_by('pk')[0].pk}/change/")
    assert page.locator("a[href*='/calls/record/']").count() == 0


def test_roles_are_swedish_for_swedish_staff(plan: None, log_in_as: LogIn) -> None:
    root = staff("administrator")
    root.language = "sv"
    root.save()
    page = log_in_as(root, 1280)
    page.goto("/admin/auth/group/")
    expect(page.locator("#result_list")).to_contain_text("kundtjänst")
    page.goto("/admin/accounts/user/add/")
    expect(page.locator("body")).to_contain_text("driftansvarig")


def test_a_count_that_stopped_says_so() -> None:
    with translation.override("en"):
        assert str(MoreThan(REACH)) == "more than 10,000"
