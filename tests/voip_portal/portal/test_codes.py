"""Who mistypes a mailed code, is late, or asks for another one stays on the page, in a real browser."""

import re
import time
from collections.abc import Callable

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core import mail
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, faults, the_code
from tests.voip_portal.people import PASSWORD, make_person
from voip_portal.accounts import codes

pytestmark = [*IN_A_BROWSER, pytest.mark.usefixtures("plan")]
NewPage = Callable[..., Page]
KINDS = ("sign-up", "reset")
LOOKS = [(360, "dark"), (1280, "light")]


def at_the_code(page: Page, kind: str) -> None:
    """Come to the page that asks for a code, and see what all its states have in common."""
    if kind == "sign-up":
        page.goto("/accounts/signup/")
        page.fill("[name=name]", "Anna Berg")
        page.fill("[name=password1]", PASSWORD)
    else:
        make_person("Anna")
        page.goto("/accounts/password/reset/")
    page.fill("[name=email]", "anna@campus.example")
    page.click("main form button")
    page.wait_for_selector("[name=code]")


def type_code(page: Page, code: str) -> None:
    page.fill("[name=code]", code)
    page.click("button[value=verify]")
    page.wait_for_load_state()


def let_pass(seconds: float) -> None:
    """Make what a session knows of its code older."""
    for row in Session.objects.all():
        session = SessionStore(row.session_key)
        for name in ("account_email_verification_code", "account_password_reset_verification"):
            if name in session:
                session[name]["at"] -= seconds
        session.save()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("kind", KINDS)
def test_three_typos_stay_on_the_page_that_says_how_many_tries_are_left(
    new_page: NewPage, kind: str, width: int, scheme: str
) -> None:
    page = new_page(width, color_scheme=scheme)
    at_the_code(page, kind)
    address = page.url
    for left in ("2 tries left", "1 try left"):
        type_code(page, "AAAA-AAAA")
        expect(page.locator(".errorlist")).to_contain_text(left)
    assert faults(page) == []
    type_code(page, "AAAA-AAAA")
    expect(page.locator("main [role=alert]")).to_contain_text("We can send you a new one")
    assert page.url == address
    assert page.locator("[name=code]").count() == 0
    assert faults(page) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_code_can_be_asked_for_when_the_count_down_is_over(
    new_page: NewPage, kind: str
) -> None:
    page = new_page()
    at_the_code(page, kind)
    first = the_code()
    send = page.locator("button", has_text="Send a new code")
    expect(send).to_be_disabled()
    left = int(re.findall(r"\d+", page.inner_text("#send-wait"))[0])
    assert 20 <= left <= codes.SEND_AGAIN_AFTER_S
    expect(page.locator("#send-wait span")).not_to_have_text(str(left))  # it counts
    let_pass(codes.SEND_AGAIN_AFTER_S - 2)
    page.reload()
    expect(send).to_be_enabled()
    send.click()
    expect(page.locator(".messages")).to_contain_text("anna@campus.example")
    assert len(mail.outbox) == 2
    type_code(page, first)
    expect(page.locator(".errorlist")).to_contain_text("2 tries left")
    type_code(page, the_code())
    page.wait_for_url("**/welcome/" if kind == "sign-up" else "**/password/reset/complete/")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_expired_code_is_said_to_be_and_another_one_opens(
    new_page: NewPage, kind: str, width: int, scheme: str
) -> None:
    page = new_page(width, color_scheme=scheme)
    at_the_code(page, kind)
    late = the_code()
    let_pass(codes.GOOD_FOR_S + 1)
    type_code(page, late)
    expect(page.locator("main [role=alert]")).to_contain_text("This code has expired")
    expect(page.locator("main [role=alert]")).to_contain_text("We can send you a new one")
    assert faults(page) == []
    page.click("text=Send a new code")
    page.wait_for_selector("[name=code]")
    type_code(page, the_code())
    page.wait_for_url("**/welcome/" if kind == "sign-up" else "**/password/reset/complete/")


@pytest.mark.parametrize("kind", KINDS)
def test_without_script_who_asks_too_soon_reads_how_many_seconds_are_left(
    new_page: NewPage, kind: str
) -> None:
    page = new_page(java_script_enabled=False)
    at_the_code(page, kind)
    page.click("text=Send a new code")
    expect(page.locator("#send-wait")).to_contain_text(re.compile(r"in \d+ seconds"))
    assert page.locator("[name=code]").count() == 1
    assert len(mail.outbox) == 1
    type_code(page, the_code())
    page.wait_for_url("**/welcome/" if kind == "sign-up" else "**/password/reset/complete/")


@pytest.mark.parametrize("kind", KINDS)
def test_after_the_last_code_all_begins_again(new_page: NewPage, kind: str) -> None:
    page = new_page()
    at_the_code(page, kind)
    for _ in range(codes.SENT_AGAIN):
        let_pass(codes.SEND_AGAIN_AFTER_S)
        page.reload()
        page.click("text=Send a new code")
        page.wait_for_load_state()
    expect(page.locator("main")).to_contain_text("No further code can be sent from here")
    assert faults(page) == []
    page.click("text=Begin again")
    page.wait_for_load_state()
    assert page.locator("[name=email]").count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_that_was_left_for_hours_says_to_begin_again(new_page: NewPage, kind: str) -> None:
    page = new_page()
    at_the_code(page, kind)
    let_pass(2 * 3600)
    page.reload()
    expect(page.locator(".messages")).to_contain_text("This took too long")
    assert page.locator("[name=email]").count() == 1


def test_too_many_of_anything_is_told_in_seconds(
    new_page: NewPage, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = make_person("Anna")
    monkeypatch.setitem(settings.ACCOUNT_RATE_LIMITS, "signup", "1/m/ip")  # type: ignore[attr-defined]
    page = new_page()
    began = time.monotonic()
    for name in ("boris", "clara"):
        page.goto("/accounts/signup/")
        page.fill("[name=name]", "Boris Ek")
        page.fill("[name=email]", f"{name}@campus.example")
        page.fill("[name=password1]", PASSWORD)
        page.click("main form button")
        page.wait_for_load_state()
        if name == "boris":
            page.context.clear_cookies()
    seconds = int(re.findall(r"Try again in (\d+) second", page.inner_text("main"))[0])
    assert 0 < seconds <= 60
    assert time.monotonic() - began < 60
    assert faults(page) == []
    assert anna.is_active
