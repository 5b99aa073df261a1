"""What a ticket names leads the help desk to the person, in a real browser; clicks are counted."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, violations, wide
from tests.voip_portal.portal.test_second_look import staff
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call, Record
from voip_portal.lines.models import Device, Line, State
from voip_portal.location.models import Binding
from voip_portal.numbers import services as numbers

pytestmark = IN_A_BROWSER
LogIn = Callable[..., Page]


@pytest.fixture
def number(busy_anna: User) -> str:
    Call.objects.filter(context="call0").update(call_id="a84b4c76e66710@pc33")
    Record.objects.create(
        spool_id="one",
        n=1,
        kind="auth.refused",
        at=time.time() - 600,
        data={"username": "anna", "known": True, "source": "192.0.2.9", "count": 1},
    )
    return str(numbers.number_of(Line.objects.get()))


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_a_number_that_does_not_ring_is_answered_in_three_clicks(
    number: str, log_in_as: LogIn, width: int, scheme: str
) -> None:
    Binding.objects.all().delete()
    page = log_in_as(staff("help desk"), width, color_scheme=scheme)
    page.goto("/admin/")
    assert violations(page) + wide(page) == []
    page.fill("#ticket-q", number)
    page.click(".ticket-do")  # one
    page.wait_for_url("**/admin/find/*/")
    ticket = page.locator("article.ticket")
    for text in ("Anna Berg", number, "Laptop", "Not connected", "192.0.2.9"):
        expect(ticket).to_contain_text(text)
    expect(ticket).to_contain_text("Missed; you were on the phone")
    assert violations(page) + wide(page) == []
    page.get_by_role("button", name="Revoke").click()  # two
    page.fill("[name=reason]", "lost")
    page.click(".look-do")  # three
    page.wait_for_url("**/admin/find/*/")
    expect(page.locator("article.ticket")).to_contain_text("No device yet")
    assert not Device.objects.active().exists()


@pytest.mark.parametrize(
    "asked",
    [
        "anna",
        "ANNA@campus.example",
        "sip:anna@campus.example",
        "laptop",
        "a84b4c76e66710@pc33",
        "Anna Berg",
        "berg",
    ],
)
def test_whatever_the_ticket_names_leads_there(
    number: str, client: Any, asked: str, settings: Any
) -> None:
    client.force_login(staff("help desk"))
    answer = client.get("/admin/find/", {"q": asked})
    assert answer["Location"] == f"/admin/find/{Line.objects.get().pk}/"


def test_nobody_is_said_and_students_see_nothing(number: str, client: Any, busy_anna: User) -> None:
    client.force_login(busy_anna)
    assert client.get("/admin/find/", {"q": "anna"}).status_code == 302
    client.force_login(staff("help desk"))
    assert "Nobody is found" in client.get("/admin/find/", {"q": "zorro"}).content.decode()


def test_a_suspended_line_is_resumed_from_the_page(number: str, log_in_as: LogIn) -> None:
    Line.objects.update(state=State.SUSPENDED)
    page = log_in_as(staff("operator"), 1280)
    page.goto(f"/admin/find/{Line.objects.get().pk}/")
    page.get_by_role("button", name="Resume", exact=True).click()
    page.fill("[name=reason]", "phone found")
    page.click(".look-do")
    page.wait_for_url("**/admin/find/*/")
    expect(page.locator("body")).to_contain_text("phone found")
    assert Line.objects.get().state == State.ACTIVE


def test_the_page_costs_as_many_queries_with_many_calls(
    number: str, client: Any, django_assert_max_num_queries: Any
) -> None:
    client.force_login(staff("operator"))
    path = f"/admin/find/{Line.objects.get().pk}/"
    client.get(path)
    with django_assert_max_num_queries(36):
        client.get(path)
