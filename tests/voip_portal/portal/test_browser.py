"""The pages in a real browser: by mouse, by keyboard, without script, and as axe sees them."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.utils.timezone import now
from playwright.sync_api import Page, Route, expect

from tests.voip_portal.browsing import (
    AXE,
    EVERY_LOOK,
    IN_A_BROWSER,
    at_both_widths,
    connect,
    faults,
    log_in,
    speaks,
    the_code,
    violations,
)
from tests.voip_portal.people import PASSWORD, make_person
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call
from voip_portal.changes.models import Change
from voip_portal.lines.models import Device, Line
from voip_portal.nodes.counters import REASONS
from voip_portal.nodes.models import Node
from voip_portal.numbers.models import Domain

pytestmark = IN_A_BROWSER
MOST_TABS = 20


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until this has the focus: who has no mouse gets there, and soon."""
    for _ in range(MOST_TABS):
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by {MOST_TABS} tabs")


@pytest.mark.usefixtures("plan")
def test_from_sign_up_to_a_green_light_by_keyboard_alone(new_page: Callable[..., Page]) -> None:
    page = new_page(java_script_enabled=True)
    keys = page.keyboard
    page.goto("/accounts/signup/")
    tab_to(page, "[name=name]")
    keys.type("Anna Berg")
    keys.press("Tab")
    keys.type("anna@campus.example")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    page.wait_for_selector("[name=code]")
    tab_to(page, "[name=code]")
    keys.type(the_code())
    keys.press("Enter")
    page.wait_for_selector("[name=username]")
    keys.type("anna")  # the field has the focus already
    keys.press("Tab")
    assert page.locator("[name=listed]:checked").count() == 0
    keys.press("Space")
    keys.press("Enter")
    secret = page.inner_text("#v-secret")
    assert len(secret) == 23
    tab_to(page, "button[data-copy=v-secret]")
    keys.press("Enter")
    page.wait_for_selector("button[data-copy=v-secret] >> text=Copied")
    assert page.is_visible("[data-state=waiting]")
    connect(Device.objects.get())
    page.wait_for_selector("[data-state=registered]")
    assert lights(page) == ["registered"]
    assert page.inner_text("#v-secret") == secret
    page.reload()
    page.wait_for_selector("text=Make a new secret")
    assert secret not in page.content()
    assert page.url.endswith(f"/devices/{Device.objects.get().pk}/")


def lights(page: Page) -> list[str]:
    """The states that a reader sees on the page and in its frames."""
    found = [frame.locator("[data-state]").all() for frame in page.frames]
    shown = [light for some in found for light in some if light.is_visible()]
    return [str(light.get_attribute("data-state")) for light in shown]


@pytest.mark.usefixtures("plan")
def test_the_same_without_script(new_page: Callable[..., Page]) -> None:
    page = new_page(java_script_enabled=False)
    page.goto("/accounts/signup/")
    page.fill("[name=name]", "Anna Berg")
    page.fill("[name=email]", "anna@campus.example")
    page.fill("[name=password1]", PASSWORD)
    page.click("main form button")
    page.fill("[name=code]", the_code())
    page.click("main form button >> nth=0")
    page.fill("[name=username]", "anna")
    page.check("[name=listed][value=no]")
    page.click("main form button")
    assert len(page.inner_text("#v-secret")) == 23
    assert not page.is_visible("button[data-copy=v-secret]")
    frame = page.frame_locator("iframe")
    assert lights(page) == ["waiting"]
    connect(Device.objects.get())
    frame.locator("[data-state=registered]").wait_for()
    assert lights(page) == ["registered"]
    assert page.is_visible("#v-secret")
    page.click("nav >> text=Calls")
    page.wait_for_selector("text=No calls yet")


def without_refresh(route: Route) -> None:
    """A page that does not load itself again while it is looked at."""
    answer = route.fetch()
    headers = {name: value for name, value in answer.headers.items() if name != "refresh"}
    route.fulfill(response=answer, headers=headers)


@EVERY_LOOK
def test_axe_finds_nothing_serious_and_nothing_is_too_wide(
    busy_anna: User, new_page: Callable[..., Page], scheme: str, language: str
) -> None:
    speaks(busy_anna, language)
    page = new_page(color_scheme=scheme, locale=language)
    page.route("**/status/page/", without_refresh)
    paths = [
        "/",
        "/help/",
        "/privacy/",
        "/contact/",
        "/accounts/signup/",
        "/accounts/password/reset/",
        "/nowhere/",
        "/accounts/login/?next=/calls/&why=ended",
        "/accounts/login/?why=suspended",
    ]
    device = Device.objects.get()
    mine = [
        "/",
        "/devices/",
        f"/devices/{device.pk}/",
        f"/devices/{device.pk}/rename/",
        f"/devices/{device.pk}/revoke/",
        f"/devices/{device.pk}/secret/",
        f"/devices/{device.pk}/status/page/",
        "/registered/",
        "/calls/",
        "/people/?q=anna",
        "/people/?q=x",
        "/settings/",
        "/settings/close/",
        "/accounts/password/change/",
    ]
    found: list[str] = []
    for path in paths:
        page.goto(path)
        assert page.get_attribute("html", "lang") == language
        found += at_both_widths(page)
    log_in(page, busy_anna)
    for path in mine:
        page.goto(path)
        assert page.get_attribute("html", "lang") == language
        found += at_both_widths(page)
    assert found == []


@pytest.mark.usefixtures("plan")
@EVERY_LOOK
def test_axe_finds_nothing_serious_on_the_way_in_and_where_there_is_nothing_yet(
    new_page: Callable[..., Page], scheme: str, language: str
) -> None:
    page = new_page(color_scheme=scheme, locale=language)
    found: list[str] = []

    def send(**values: str) -> None:
        for name, value in values.items():
            page.fill(f"[name={name}]", value)
        page.click("main form button >> nth=0")
        page.wait_for_load_state()
        found.extend(at_both_widths(page))

    page.goto("/accounts/login/")
    found += at_both_widths(page)
    send(login="nobody@campus.example", password="wrong")
    page.goto("/accounts/signup/")
    send(name="Anna Berg", email="anna@elsewhere.example", password1=PASSWORD)
    send(name="Anna Berg", email="anna@campus.example", password1=PASSWORD)
    assert page.is_visible(".messages > p")
    send(code="AAAA-AAAA")
    send(code=the_code())
    send(username="nobody")
    page.check("[name=listed][value=yes]")
    send(username="admin")
    send(username="anna")
    assert page.is_visible("#v-secret")
    for path in ("/", "/calls/", "/registered/", "/people/", "/accounts/logout/"):
        page.goto(path)
        found += at_both_widths(page)
    page.context.clear_cookies()
    page.goto("/accounts/password/reset/")
    send(email="anna@campus.example")
    send(code="AAAA-AAAA")
    send(code=the_code())
    send(password1="short")
    send(password1="another horse 99")
    page.goto("/mails/")
    found += at_both_widths(page)
    assert found == []


@EVERY_LOOK
def test_axe_finds_nothing_serious_where_somebody_asks_too_often(
    busy_anna: User,
    new_page: Callable[..., Page],
    scheme: str,
    language: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(settings.ACCOUNT_RATE_LIMITS, "find_person", "1/m/user")
    speaks(busy_anna, language)
    page = new_page(color_scheme=scheme, locale=language)
    log_in(page, busy_anna)
    answers = [page.goto("/people/?q=anna") for _ in range(2)]
    assert [answer.status for answer in answers if answer is not None] == [200, 429]
    assert at_both_widths(page) == []


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_axe_finds_nothing_at_all_on_the_page_of_our_own_faults(
    new_page: Callable[..., Page], width: int, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(user: User | None) -> None:
        raise OSError("no zones")

    monkeypatch.setattr("voip_portal.portal.middleware.zone", broken)
    page = new_page(width, color_scheme=scheme)
    answer = page.goto("/accounts/login/")
    assert answer is not None
    assert answer.status == 500
    assert page.is_visible("[lang=sv] >> text=Något gick fel")
    page.evaluate(AXE.read_text())
    assert page.evaluate("axe.run({resultTypes: ['violations']})")["violations"] == []
    assert faults(page) == []


@EVERY_LOOK
def test_axe_finds_nothing_serious_in_the_admin_and_nothing_is_cut_off(
    busy_anna: User, new_page: Callable[..., Page], scheme: str, language: str
) -> None:
    root = make_person("Root", is_staff=True, is_superuser=True, language=language)
    User.objects.filter(pk=busy_anna.pk).update(
        name="Anna-Maria Oberhauser-Schwarzenberger von und zu Hohenfels-Lindqvist the Third"
    )
    Device.objects.update(label="The telephone that stands beside the window of room 1")
    counts = dict.fromkeys(REASONS, 123_456_789)
    node = Node.objects.create(
        name="one",
        started_at=now(),
        heartbeat_at=now(),
        refused_why="no realm",
        counts={"latest": {"malformed": 12_345}, "total": counts},
    )
    page = new_page(color_scheme=scheme, locale=language)
    log_in(page, root)
    line = Line.objects.get()
    role = Group.objects.get(name="help desk")
    found: list[str] = []
    for path in (
        "",
        "calls/call/",
        f"calls/call/{Call.objects.order_by('pk')[0].pk}/change/",
        "calls/record/",
        "changes/change/",
        f"changes/change/{Change.objects.order_by('pk')[0].pk}/change/",
        "location/binding/",
        "nodes/node/",
        f"nodes/node/{node.pk}/change/",
        "lines/line/",
        f"lines/line/{line.pk}/change/",
        "lines/device/",
        f"lines/device/{Device.objects.get().pk}/change/",
        "numbers/domain/",
        "numbers/domain/add/",
        f"numbers/domain/{Domain.objects.get().pk}/change/",
        "numbers/numberrange/add/",
        "numbers/address/",
        "numbers/address/add/",
        "accounts/user/",
        "accounts/user/add/",
        f"accounts/user/{busy_anna.pk}/change/",
        f"accounts/user/{busy_anna.pk}/history/",
        "auth/group/",
        f"auth/group/{role.pk}/change/",
        f"auth/group/{role.pk}/delete/",
        "find/?q=nobody-at-all",
        f"find/{line.pk}/",
        "try/",
        f"try/?caller=nobody-at-all&dialled={line.username}",
        f"try/?caller={line.username}&dialled={line.username}",
        "password_change/",
    ):
        page.goto(f"/admin/{path}")
        assert page.get_attribute("html", "lang") == language
        found += at_both_widths(page, violations, cut_off)
    page.goto(f"/admin/find/{line.pk}/")
    page.locator(".ticket-act").first.click()
    page.wait_for_selector(".look")
    found += at_both_widths(page, violations, cut_off)
    assert found == []


def cut_off(page: Page) -> list[str]:
    """Cells that do not show all they hold, tables to be scrolled, and a page that is too wide."""
    return [
        f"{page.url}: {what}"
        for what in page.evaluate(
            """() => [...document.querySelectorAll("html, td, div:has(> table), .readonly")]
                .filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 ||
                    e.tagName === "TD" && e.scrollHeight > e.clientHeight + 1)
                .map(e => `${e.tagName} ${e.className.slice(0, 40)}: ${e.textContent.trim().slice(0, 40)}`)"""
        )
    ]


def test_older_calls_are_added_below_without_leaving_the_page(
    busy_anna: User, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    log_in(page, busy_anna)
    page.goto("/calls/")
    assert page.locator("li.call").count() == 25
    page.click("text=Older calls")
    expect(page.locator("li.call")).to_have_count(40)
    assert page.url.endswith("/calls/")


def test_when_the_server_is_silent_the_page_says_so(
    busy_anna: User, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    log_in(page, busy_anna)
    page.goto("/registered/")
    page.route("**/registered/list/", lambda route: route.abort())
    page.wait_for_selector("text=No answer from the server")
    page.unroute("**/registered/list/")
    page.wait_for_selector("#registered-trouble", state="hidden")
