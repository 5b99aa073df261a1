"""The language buttons at the foot of every page."""

from collections.abc import Callable

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import IN_A_BROWSER, faults, log_in, the_code
from tests.voip_portal.people import PASSWORD, reread
from voip_portal.accounts.models import User
from voip_portal.lines.models import Device

pytestmark = IN_A_BROWSER
NewPage = Callable[..., Page]


def chosen(page: Page) -> str:
    return page.locator("footer button[aria-current=true]").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_a_choice_is_kept_also_by_who_chose_another_language_in_the_settings(
    busy_anna: User, new_page: NewPage, width: int, scheme: str
) -> None:
    User.objects.update(language="en")
    page = new_page(width, color_scheme=scheme)
    log_in(page, busy_anna)
    page.goto("/people/?q=anna")
    assert chosen(page) == "English"
    page.click("text=Svenska")
    expect(page.locator("h1")).to_have_text("Sök en medstudent")
    assert page.url.endswith("/people/?q=anna")
    assert chosen(page) == "Svenska"
    assert reread(busy_anna).language == "sv"
    assert faults(page) == []
    page.goto("/settings/")
    expect(page.locator("#id_language")).to_have_value("sv")


@pytest.mark.parametrize("script", [True, False])
def test_a_secret_stays_where_it_is(busy_anna: User, new_page: NewPage, script: bool) -> None:
    page = new_page(java_script_enabled=True)
    log_in(page, busy_anna)
    page.goto("/devices/")
    page.fill("[name=label]", "Tablet")
    if not script:
        page.route("**/*.js", lambda route: route.abort())
    page.click("main form button")
    secret = page.inner_text("#v-secret")
    page.click("text=Svenska")
    expect(page.locator("h1")).to_have_text("Ställ in din telefon")
    assert page.inner_text("#v-secret") == secret
    page.click("text=English")
    expect(page.locator("h1")).to_have_text("Set up your phone")
    assert page.inner_text("#v-secret") == secret
    assert chosen(page) == "English"


def test_nothing_but_the_devices_own_secret_is_shown_again(busy_anna: User) -> None:
    client = Client()
    client.force_login(busy_anna)
    device = Device.objects.get()
    for text in ("abcde-abcde-abcde-abcde", "<b>", ""):
        answer = client.post(
            f"/devices/{device.pk}/language/", {"language": "sv", "secret": text}
        ).content.decode()
        assert 'id="v-secret"' not in answer
        assert not text or text not in answer


def test_who_signs_up_may_change_the_language_on_every_page(new_page: NewPage, plan: None) -> None:
    page = new_page()
    page.goto("/accounts/signup/")
    page.fill("[name=name]", "Anna Berg")
    page.fill("[name=email]", "anna@campus.example")
    page.fill("[name=password1]", PASSWORD)
    page.click("main form button")
    page.wait_for_selector("[name=code]")
    page.click("text=Svenska")
    expect(page.locator("h1")).to_have_text("Titta i din e-post")
    page.fill("[name=code]", the_code())
    page.click("main form button >> nth=0")
    page.wait_for_url("**/welcome/")
    assert User.objects.get().language == "sv"
    assert chosen(page) == "Svenska"


def test_nobody_is_led_to_another_site(client: Client, plan: None) -> None:
    answer = client.post("/i18n/setlang/", {"language": "sv", "next": "https://evil.example/"})
    assert answer["Location"] == "/"
