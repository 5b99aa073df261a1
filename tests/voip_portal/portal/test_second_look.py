"""Nothing is done in bulk without a second look, in a real browser."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, violations, wide
from tests.voip_portal.people import make_person
from voip_portal.accounts.models import User
from voip_portal.lines.models import Device, Line, State
from voip_portal.numbers import services as numbers
from voip_portal.numbers.models import Address, AddressState

pytestmark = [*IN_A_BROWSER, pytest.mark.usefixtures("plan")]
LogIn = Callable[..., Page]


def staff(role: str) -> User:
    user = make_person("Staff", is_staff=True, is_superuser=role == "administrator")
    if role != "administrator":
        user.groups.add(Group.objects.get(name=role))
    return user


def lines(count: int) -> list[Line]:
    """Lines of their own owners, without their costly parts."""
    found = []
    for n in range(count):
        owner = User.objects.create_user(f"student{n}@campus.example", name=f"Student {n}")
        found.append(Line.objects.create(username=f"student.{n}", owner=owner))
    return found


def choose(page: Page, path: str, action: str, *, everything: bool = False) -> None:
    """Tick all rows of a list, all pages if wished, and start an action."""
    page.goto(f"/admin/{path}/")
    if everything:
        page.evaluate(
            """() => { const form = document.querySelector("#changelist-form");
                form.querySelectorAll("input[name=_selected_action]").forEach(b => b.checked = true);
                const across = form.querySelector("[name=select_across]"); if (across) across.value = 1; }"""
        )
    else:
        page.evaluate(
            "() => document.querySelectorAll('input[name=_selected_action]').forEach(b => b.checked = true)"
        )
    with page.expect_navigation():
        page.evaluate(
            """action => { const form = document.querySelector("#changelist-form");
                const field = document.querySelector("[name=action]"); field.value = action;
                if (!form.contains(field)) field.setAttribute("form", form.id);
                HTMLFormElement.prototype.submit.call(form); }""",
            action,
        )


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_suspending_says_who_and_what_happens_and_wants_a_reason(
    log_in_as: LogIn, width: int, scheme: str
) -> None:
    lines(3)
    page = log_in_as(staff("help desk"), width, color_scheme=scheme)
    choose(page, "lines/line", "suspend_and_end_calls")
    expect(page.locator("main, #main, body").first).to_contain_text("student.1")
    expect(page.locator("form.look")).to_contain_text("3 lines")
    expect(page.locator("form.look")).to_contain_text("calls ended within a second")
    assert violations(page) + wide(page) == []
    page.locator("button.look-do").click()  # without a reason
    assert not Line.objects.filter(state=State.SUSPENDED).exists()
    page.fill("[name=reason]", "lost phones")
    page.locator("button.look-do").click()
    page.wait_for_url("**/lines/line/")
    assert Line.objects.filter(state=State.SUSPENDED).count() == 3


def test_above_twenty_the_number_is_typed(log_in_as: LogIn) -> None:
    lines(21)
    page = log_in_as(staff("operator"), 1280)
    choose(page, "lines/line", "suspend", everything=True)
    page.fill("[name=reason]", "end of term")
    page.fill("[name=number]", "20")
    page.locator("button.look-do").click()
    expect(page.locator("form.look [role=alert]")).to_contain_text("not the number")
    assert violations(page) == []
    assert not Line.objects.filter(state=State.SUSPENDED).exists()
    page.fill("[name=number]", "21")
    page.locator("button.look-do").click()
    page.wait_for_url("**/lines/line/")
    assert Line.objects.filter(state=State.SUSPENDED).count() == 21


def test_the_help_desk_does_nothing_to_more_than_twenty(log_in_as: LogIn) -> None:
    lines(21)
    page = log_in_as(staff("help desk"), 1280)
    choose(page, "lines/line", "suspend", everything=True)
    expect(page.locator("body")).to_contain_text("You may do this to 20 rows at a time.")
    assert page.locator("form.look").count() == 0
    assert not Line.objects.filter(state=State.SUSPENDED).exists()


def test_what_came_meanwhile_is_not_done_unseen(log_in_as: LogIn) -> None:
    lines(2)
    page = log_in_as(staff("operator"), 1280)
    choose(page, "lines/line", "suspend", everything=True)
    Line.objects.create(username="one.more")
    page.fill("[name=reason]", "x")
    page.locator("button.look-do").click()
    expect(page.locator("form.look [role=alert]")).to_contain_text("look again")
    assert not Line.objects.filter(state=State.SUSPENDED).exists()


def test_revoking_and_deleting_ask_too(log_in_as: LogIn) -> None:
    line = numbers.open_line(make_person("Anna"), "anna")
    Device.objects.create(line=line, label="Laptop")
    Address.objects.filter(line=None).delete()
    domain = numbers.default_domain()
    Address.objects.create(domain=domain, kind="name", value="rector", state=AddressState.RESERVED)
    page = log_in_as(staff("operator"), 1280)
    choose(page, "lines/device", "revoke")
    expect(page.locator("form.look")).to_contain_text("Laptop")
    assert Device.objects.active().count() == 1
    Address.objects.filter(line=line).delete()
    choose(page, "numbers/address", "delete_selected")
    expect(page.locator("form.look")).to_contain_text("rector")
    assert Address.objects.count() == 1
    page.fill("[name=reason]", "nobody needs it")
    page.locator("button.look-do").click()
    page.wait_for_url("**/numbers/address/")
    assert Address.objects.count() == 0
