"""Finding a fellow student, in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, faults, log_in
from tests.voip_portal.people import make_person, reread
from voip_portal.accounts.models import User
from voip_portal.lines.models import Line
from voip_portal.numbers import services as numbers

pytestmark = IN_A_BROWSER
NewPage = Callable[..., Page]


def test_who_signs_up_is_asked_and_nothing_is_chosen_for_them(
    new_page: NewPage, plan: None
) -> None:
    anna = make_person("Anna")
    page = new_page()
    log_in(page, anna)
    page.fill("[name=username]", "anna")
    page.click("main form button")  # the browser wants an answer
    assert not Line.objects.exists()
    page.check("[name=listed][value=yes]")
    page.click("main form button")
    page.wait_for_selector("#v-secret")
    assert reread(anna).listed


@pytest.mark.parametrize("asked", ["bjorn", "BJÖRN", "renee", "Renée", "bjorn.renee", "number"])
def test_people_are_found_without_accents_and_by_number(
    busy_anna: User, new_page: NewPage, asked: str
) -> None:
    found = User.objects.create_user("b@campus.example", name="Björn Renée", listed=True)
    line = numbers.open_line(found, "bjorn.renee")
    page = new_page()
    log_in(page, busy_anna)
    page.goto("/people/")
    page.fill("[name=q]", numbers.number_of(line) if asked == "number" else asked)
    page.click("main form button")
    expect(page.locator("#found")).to_contain_text("Björn Renée")


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_all_results_are_paged(busy_anna: User, new_page: NewPage, width: int, scheme: str) -> None:
    for n in range(45):
        owner = User.objects.create_user(f"s{n}@campus.example", name=f"Sven {n}", listed=True)
        Line.objects.create(username=f"sven.{n}", owner=owner)
    page = new_page(width, color_scheme=scheme)
    log_in(page, busy_anna)
    page.goto("/people/?q=sven")
    for shown in (40, 45):
        page.click("text=More people")
        expect(page.locator("#found li")).to_have_count(shown)
    assert page.locator("text=More people").count() == 0
    assert faults(page) == []
