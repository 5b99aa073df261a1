"""What a ticket names leads the help desk to the person, in a real browser; clicks are counted."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, violations, wide
from tests.voip_portal.portal.counting import count_queries, pinned_queries
from tests.voip_portal.portal.test_second_look import staff
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call, Record
from voip_portal.lines.models import Device, Line, State
from voip_portal.location.models import Binding
from voip_portal.numbers import services as numbers
from voip_portal.numbers.models import Address

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


def test_the_page_costs_as_many_queries_with_many_calls(number: str, client: Any) -> None:
    client.force_login(staff("operator"))
    line = Line.objects.get()
    path = f"/admin/find/{line.pk}/"
    client.get(path)
    for n in range(30):
        missed(line, status=480, seen={"phones": [[line.devices.get().pk, 480, "said"]]}, n=n)
    found = count_queries(lambda: client.get(path))
    assert {"/admin/find/N/": found} == pinned_queries("help desk")


CLICKS = "addEventListener('click', () => sessionStorage.n = 1 + Number(sessionStorage.n || 0), true)"


def never_connected(line: Line) -> None:
    Binding.objects.all().delete()


def suspended(line: Line) -> None:
    Line.objects.update(state=State.SUSPENDED)


def its_phone_left(line: Line) -> None:
    missed(line, status=408, seen={"phones": [[line.devices.get().pk, 408, "silent"]]})


def its_phone_is_off(line: Line) -> None:
    missed(line, status=480, seen={"phones": [[line.devices.get().pk, 430, "refused"]]})


def its_phone_is_set_to_away(line: Line) -> None:
    missed(line, status=480, seen={"phones": [[line.devices.get().pk, 480, "said"]]})


def missed(line: Line, n: int = 0, **fields: Any) -> None:
    at = datetime.now(UTC)
    Call.objects.create(
        context=f"late{n}", callee_line=line.pk, started_at=at, open=False, cause="unreachable", **fields
    )


@pytest.mark.parametrize(
    ("happens", "reads"),
    [
        (never_connected, ["Not connected"]),
        (suspended, ["suspended"]),
        (
            its_phone_left,
            ["it did not answer the call at", "Missed; Laptop said nothing: it has gone, or"],
        ),
        (its_phone_is_off, ["Missed; Laptop was not running where it last connected"]),
        (its_phone_is_set_to_away, ["last heard", "Missed; Laptop said that you are away"]),
    ],
)
def test_why_26995_does_not_ring_is_read_within_three_clicks(
    busy_anna: User, log_in_as: LogIn, happens: Callable[[Line], None], reads: list[str]
) -> None:
    """From the first page that the help desk sees after the log-in."""
    line = Line.objects.get()
    Address.objects.filter(line=line, kind="number").update(value="26995")
    happens(line)
    page = log_in_as(staff("help desk"), 1280)
    page.add_init_script(CLICKS)
    page.goto("/")
    page.click("#ticket-q")
    page.keyboard.type("26995")
    page.click(".ticket-do")
    page.wait_for_url("**/admin/find/*/")
    for text in reads:
        expect(page.locator("article.ticket")).to_contain_text(text)
    assert page.evaluate("sessionStorage.n") == "2"
