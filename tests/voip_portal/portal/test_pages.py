import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.core.mail import send_mail
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from tests.voip_portal.people import PASSWORD, Meanwhile, kept_of, make_person, reread
from tests.voip_portal.portal.counting import count_queries, pinned_queries
from voip_portal.accounts.models import User
from voip_portal.accounts.services import end_sessions
from voip_portal.calls.models import Call
from voip_portal.changes.models import Change
from voip_portal.lines import services
from voip_portal.lines.models import MAX_DEVICES, Device, DeviceSecret, Line, State
from voip_portal.lines.services import add_device, suspend, suspend_person
from voip_portal.location.models import Binding
from voip_portal.numbers.models import Address, AddressState, Domain
from voip_portal.portal.closing import close_account, forget_closed
from voip_portal.portal.forms import CloseForm, SettingsForm
from voip_portal.wsgi import application

pytestmark = pytest.mark.django_db(databases="__all__")

AsUser = Callable[[User], Client]
API = "/api/v1/devices/{}/"
JSON = "application/json"
PAGES = [
    "/",
    "/devices/",
    "/registered/",
    "/registered/list/",
    "/calls/",
    "/people/",
    "/people/?q=berg",
    "/settings/",
    "/settings/close/",
    "/settings/data/",
    "/accounts/password/change/",
]


@pytest.mark.parametrize(
    "path", [*PAGES[1:], "/devices/1/", "/welcome/", "/api/v1/devices/", "/api/v1/calls/"]
)
def test_strangers_are_sent_to_the_log_in(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == (403 if path.startswith("/api/") else 302)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_stands_on_its_own_files(
    annas_device: Device, anna: User, as_user: AsUser, path: str
) -> None:
    answer = as_user(anna).get(path)
    assert answer.status_code == 200
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    page = answer.content.decode()
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page)
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page)


def test_query_counts_of_pages_are_pinned(
    annas_device: Device,
    anna: User,
    as_user: AsUser,
    register: Callable[..., Binding],
    call: Callable[..., Call],
) -> None:
    """Each count is written down in queries.json; more rows must not cost more queries."""
    for n in range(8):
        device, _secret = add_device(annas_device.line, f"Phone {n}", "campus")
        register(device)
        call(caller_line=annas_device.line_id)
        call(callee_line=annas_device.line_id)
    client = as_user(anna)
    anna.listed = True
    anna.save()
    found = {}
    for path in [*PAGES[:8], f"/devices/{annas_device.pk}/", "/api/v1/devices/", "/api/v1/calls/"]:
        client.get(path)
        count = count_queries(lambda path=path: client.get(path))  # type: ignore[misc]
        found[re.sub(r"/\d+/", "/N/", path)] = count
    assert found == pinned_queries("student")


def test_devices_are_added_renamed_and_revoked(
    annas_line: Line, anna: User, as_user: AsUser
) -> None:
    client = as_user(anna)
    assert "No device yet" in client.get("/devices/").content.decode()
    page = client.post("/devices/", {"label": "Tablet"}).content.decode()
    assert 'id="v-secret"' in page
    device = Device.objects.get(line=annas_line)
    client.post(f"/devices/{device.pk}/rename/", {"label": "Old tablet"})
    assert "Old tablet" in client.get("/devices/").content.decode()
    assert "Revoke “Old tablet”?" in client.get(f"/devices/{device.pk}/revoke/").content.decode()
    client.post(f"/devices/{device.pk}/revoke/")
    device.refresh_from_db()
    assert device.revoked_at is not None
    assert "No device yet" in client.get("/devices/").content.decode()


@pytest.mark.parametrize("path", ["", "{pk}/rename/", "{pk}/secret/"])
def test_changing_devices_is_limited_on_all_ways_together(
    annas_device: Device,
    anna: User,
    boris: User,
    line_of: Callable[[User], Line],
    as_user: AsUser,
    monkeypatch: Any,
    path: str,
) -> None:
    monkeypatch.setitem(settings.ACCOUNT_RATE_LIMITS, "change_devices", "2/m/user")
    client = as_user(anna)
    page = "/devices/" + path.format(pk=annas_device.pk)
    for _ in range(3):
        assert client.get("/devices/").status_code == 200  # looking is free
    assert client.post("/devices/", {"label": "Phone"}).status_code == 200
    assert client.patch(API.format(annas_device.pk), {"label": "Desk"}, JSON).status_code == 200
    before = [list(m.objects.order_by("pk").values()) for m in (Device, DeviceSecret)]
    for asked in (
        client.post(page, {"label": "One more"}),
        client.post("/api/v1/devices/", {"label": "One more"}, JSON),
        client.patch(API.format(annas_device.pk), {"label": "One more"}, JSON),
    ):
        assert asked.status_code == 429
    assert before == [list(m.objects.order_by("pk").values()) for m in (Device, DeviceSecret)]
    assert client.get(API.format(annas_device.pk)).status_code == 200
    # What is lost can be revoked all the same.
    assert client.delete(API.format(annas_device.pk)).status_code == 204
    phone = Device.objects.get(label="Phone")
    assert client.post(f"/devices/{phone.pk}/revoke/").status_code == 302
    assert not Device.objects.active().exists()
    line_of(boris)
    assert as_user(boris).post("/devices/", {"label": "Phone"}).status_code == 200


def test_who_sets_up_all_devices_twice_never_meets_the_limit(
    anna: User, annas_line: Line, as_user: AsUser
) -> None:
    client = as_user(anna)
    for _ in range(2):
        for n in range(MAX_DEVICES):
            assert client.post("/devices/", {"label": f"Phone {n}"}).status_code == 200
        for pk in annas_line.devices.active().values_list("pk", flat=True):
            assert client.post(f"/devices/{pk}/revoke/").status_code == 302
    statuses = {client.post("/devices/", {"label": ""}).status_code for _ in range(100)}
    assert statuses == {200, 429}


def test_the_device_that_is_too_many_is_refused_in_words(
    annas_line: Line, anna: User, as_user: AsUser
) -> None:
    for n in range(MAX_DEVICES):
        add_device(annas_line, str(n), "campus")
    assert "revoke one first" in as_user(anna).post("/devices/", {"label": "x"}).content.decode()


def test_a_suspended_line_says_so_everywhere(annas_line: Line, anna: User, as_user: AsUser) -> None:
    suspend(annas_line, end_calls=False)
    client = as_user(anna)
    assert "Your line is suspended" in client.get("/").content.decode()
    assert "Your line is suspended" in client.post("/devices/", {"label": "x"}).content.decode()


def test_where_i_am_connected(
    annas_device: Device, anna: User, as_user: AsUser, register: Callable[..., Binding]
) -> None:
    client = as_user(anna)
    assert "No phone is connected" in client.get("/registered/").content.decode()
    register(annas_device, user_agent="<b>Phone</b>")
    page = client.get("/registered/").content.decode()
    assert "192.0.2.7:5062" in page
    assert "TCP" in page
    assert "<b>Phone" not in page
    Binding.objects.update(expires_at=time.time() - 1)
    assert "No phone is connected" in client.get("/registered/list/").content.decode()


@pytest.mark.parametrize("path", ["/", "/registered/", "/devices/", "/calls/", "/people/?q=anna"])
def test_a_list_whose_database_is_away_says_so(
    annas_device: Device, anna: User, as_user: AsUser, monkeypatch: Any, path: str
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("no such luck")

    views = "voip_portal.portal.views"
    for name in ("devices.registrations", "home.registrations", "home.history", "people.search"):
        monkeypatch.setattr(f"{views}.{name}", away)
    monkeypatch.setattr("voip_portal.portal.history.history", away)
    answer = as_user(anna).get(path)
    assert answer.status_code == 200
    assert "cannot be read at the moment" in answer.content.decode()


def test_only_listed_students_are_found(
    annas_line: Line, anna: User, boris: User, line_of: Callable[[User], Line], as_user: AsUser
) -> None:
    line_of(boris)
    client = as_user(boris)
    assert "Nobody found" in client.get("/people/", {"q": "anna"}).content.decode()
    anna.listed = True
    anna.save()
    for words in ("anna", "ann ber", "Berg Anna"):
        assert (
            annas_line.addresses.get(kind="number").value
            in client.get("/people/", {"q": words}).content.decode()
        )
    assert "Nobody found" in client.get("/people/", {"q": "boris"}).content.decode()
    suspend(annas_line, end_calls=False)
    assert "Nobody found" in client.get("/people/", {"q": "anna"}).content.decode()


@pytest.mark.parametrize(
    "words",
    ["Åsa", "åsa", "ÅSA", "a\u030asa", "öberg ås", "O\u0308BERG", "groß", "GROSS"],
)
def test_people_are_found_however_their_name_is_typed(
    annas_line: Line, anna: User, as_user: AsUser, words: str
) -> None:
    """In small or capital letters, and with letters in parts, as file names of a Mac have them."""
    client = as_user(anna)
    client.post("/settings/", {"name": "A\u030asa O\u0308berg Groß", "listed": "on"})
    assert reread(anna).name == "Åsa Öberg Groß"
    number = annas_line.addresses.get(kind="number").value
    assert number in client.get("/people/", {"q": words}).content.decode()
    assert number not in client.get("/people/", {"q": f"{words}x"}).content.decode()


def test_a_name_may_be_as_long_as_it_is_kept(anna: User, as_user: AsUser) -> None:
    client = as_user(anna)
    assert client.post("/settings/", {"name": "a\u030a" * 100}).status_code == 302
    assert reread(anna).name == "å" * 100
    answer = client.post("/settings/", {"name": "\ufb2c" * 100})  # each is kept as three
    assert answer.context["form"].errors["name"]
    assert reread(anna).name == "å" * 100


def test_searching_is_limited(
    anna: User, annas_line: Line, as_user: AsUser, monkeypatch: Any
) -> None:
    monkeypatch.setitem(settings.ACCOUNT_RATE_LIMITS, "find_person", "2/m/user")
    client = as_user(anna)
    assert [client.get("/people/", {"q": "xy"}).status_code for _ in range(3)] == [200, 200, 429]


def test_settings_are_saved_and_the_language_follows(anna: User, as_user: AsUser) -> None:
    client = as_user(anna)
    form = {"name": "Anna B", "language": "sv", "timezone": "Asia/Tokyo", "listed": "on"}
    assert client.post("/settings/", form).status_code == 302
    anna.refresh_from_db()
    assert (anna.name, anna.language, anna.timezone, anna.listed) == (
        "Anna B",
        "sv",
        "Asia/Tokyo",
        True,
    )
    assert '<html lang="sv">' in client.get("/settings/").content.decode()
    assert client.post("/settings/", form | {"timezone": "Mars/Base"}).status_code == 200


def test_settings_that_are_being_saved_undo_no_suspension(
    annas_line: Line, anna: User, as_user: AsUser, meanwhile: Meanwhile
) -> None:
    client = as_user(anna)
    before = anna.session_epoch
    meanwhile(SettingsForm, "clean_name", lambda: suspend_person(reread(anna), end_calls=True))
    client.post("/settings/", {"name": "Anna B"})
    found = reread(anna)
    assert (found.name, found.is_active) == ("Anna B", False)
    assert found.session_epoch > before


def test_settings_that_are_being_saved_bring_nothing_of_a_closed_account_back(
    annas_line: Line, anna: User, as_user: AsUser, meanwhile: Meanwhile
) -> None:
    client = as_user(anna)
    meanwhile(SettingsForm, "clean_name", lambda: close_account(reread(anna)))
    client.post("/settings/", {"name": "Anna B", "listed": "on"})
    found = reread(anna)
    assert found.closed_at is not None
    assert (found.name, found.is_active, found.listed) == ("", False, False)
    assert "anna" not in found.email
    assert not found.has_usable_password()


def test_closing_an_account_undoes_no_logging_out_everywhere(
    annas_line: Line, anna: User, as_user: AsUser, meanwhile: Meanwhile
) -> None:
    client = as_user(anna)
    before = anna.session_epoch
    meanwhile(CloseForm, "clean_password", lambda: end_sessions(reread(anna)))
    client.post("/settings/close/", {"password": PASSWORD})
    found = reread(anna)
    assert found.closed_at is not None
    assert found.session_epoch == before + 2  # once for each


def test_my_data_is_complete_and_holds_no_secret(
    annas_device: Device,
    anna: User,
    as_user: AsUser,
    register: Callable[..., Binding],
    call: Callable[..., Call],
) -> None:
    register(annas_device)
    call(caller_line=annas_device.line_id)
    answer = as_user(anna).get("/settings/data/")
    assert answer["Content-Disposition"].startswith("attachment")
    text = answer.content.decode()
    kept = kept_of(annas_device)
    assert kept.ha1_md5 not in text
    assert kept.ha1_sha256 not in text
    assert anna.password not in text
    data = json.loads(text)
    assert data["person"]["e-mail"] == "anna@campus.example"
    assert data["lines"][0]["devices"][0]["name"] == "Laptop"
    assert data["registrations"][0]["program"] == "Linphone/5.2"
    assert data["calls"][0]["at"] == "2026-11-23T13:01:00+01:00"


def test_closing_needs_the_password_and_takes_everything(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    client = as_user(anna)
    assert (
        "not your password"
        in client.post("/settings/close/", {"password": "guess"}).content.decode()
    )
    client.post("/settings/close/", {"password": PASSWORD})
    line = Line.objects.get()
    anna.refresh_from_db()
    annas_device.refresh_from_db()
    assert (line.state, line.end_calls) == (State.CLOSING, True)
    assert annas_device.revoked_at is not None
    assert not anna.is_active
    assert set(Address.objects.exclude(value="echo").values_list("kind", "state")) == {
        ("name", AddressState.RESERVED),
        ("number", AddressState.QUARANTINE),
    }
    assert client.get("/settings/").status_code == 302


def test_the_history_of_changes_forgets_who_closed_her_account(
    annas_device: Device, anna: User, boris: User, line_of: Callable[[User], Line], as_user: AsUser
) -> None:
    me, staff = as_user(anna), as_user(make_person("Root", is_staff=True, is_superuser=True))
    device = annas_device.pk
    boriss = line_of(boris)
    me.post(f"/devices/{device}/rename/", {"label": "Annas desk"})
    staff.post(f"/admin/lines/device/{device}/change/", {"label": "Annas chair"})
    staff.post("/admin/accounts/user/", {"action": "suspend", "_selected_action": [boris.pk]})
    count = Change.objects.count()
    me.post("/settings/close/", {"password": PASSWORD})
    assert Change.objects.count() > count
    assert Device.objects.get(pk=device).label == ""
    assert set(with_anna()) == {"numbers_address"}
    assert f"closed-{anna.pk}@invalid" in Change.objects.values_list("actor", flat=True)
    assert not LogEntry.objects.filter(object_repr__icontains="anna").exists()

    forget_closed()
    assert set(with_anna()) == {"numbers_address"}  # a node may still have to read these
    forget_closed(timezone.now() + timedelta(days=2))
    assert with_anna() == []
    kept = Change.objects.filter(table_name="lines_line", row_key=str(boriss.pk))
    assert all("boris" in json.dumps([c.before, c.after]) for c in kept)
    page = staff.get("/admin/changes/change/").content.decode()
    assert "no longer kept: the account is closed" in page


def with_anna() -> list[str]:
    """The tables whose changes name her."""
    rows = Change.objects.values_list("table_name", "before", "after", "actor")
    return [row[0] for row in rows if "anna" in json.dumps(row).lower()]


def test_mails_are_for_browsers_on_this_machine_only(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    settings.EMAIL_FILE_PATH = str(tmp_path)
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    assert client.get("/mails/", HTTP_HOST="testserver").status_code == 404
    client.defaults["HTTP_HOST"] = "127.0.0.1:8000"
    assert "No mail yet" in client.get("/mails/").content.decode()
    send_mail("Code <b>", "It is ABCD", None, ["anna@campus.example"])
    page = client.get("/mails/", REMOTE_ADDR="::1").content.decode()
    assert "It is ABCD" in page
    assert "<b>" not in page
    assert client.get("/mails/", REMOTE_ADDR="192.0.2.1").status_code == 404
    assert client.get("/mails/", HTTP_X_FORWARDED_FOR="127.0.0.1").status_code == 404
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert client.get("/mails/").status_code == 404


@pytest.mark.parametrize("path", ["/", "/devices/", "/registered/", "/calls/", "/people/"])
def test_staff_without_a_line_go_to_the_admin_and_students_choose_a_name(
    anna: User, as_user: AsUser, path: str
) -> None:
    root = make_person("Root", is_staff=True, is_superuser=True)
    assert as_user(root).get(path)["Location"] == "/admin/"
    assert as_user(anna).get(path)["Location"] == "/welcome/"


def test_staff_may_have_a_line_too(anna: User, annas_line: Line, as_user: AsUser) -> None:
    client = as_user(make_person("Root", is_staff=True))
    assert 'href="/welcome/"' in client.get("/settings/").content.decode()
    assert client.post("/welcome/", {"username": "karin", "listed": "no"}).status_code == 200
    assert client.get("/").status_code == 200
    for someone in (client, as_user(anna)):
        assert "/welcome/" not in someone.get("/settings/").content.decode()


def test_health(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_without_its_database_the_site_is_not_healthy(client: Client, monkeypatch: Any) -> None:
    def away() -> None:
        raise OperationalError("no such luck")

    monkeypatch.setattr("voip_portal.portal.views.health.connection.cursor", away)
    assert client.get("/healthz").status_code == 503


TURNED = "Anna\u202egreB"
"""Shown as "AnnaBerg", with what follows it turned around too."""


def test_characters_that_cannot_be_seen_are_refused_everywhere(
    annas_device: Device, anna: User, as_user: AsUser, client: Client
) -> None:
    me = as_user(anna)
    staff = as_user(make_person("Root", is_staff=True, is_superuser=True))
    device, line = f"lines/device/{annas_device.pk}", f"lines/line/{annas_device.line_id}"
    inline = {"devices-TOTAL_FORMS": 0, "devices-INITIAL_FORMS": 0}
    for asked in (
        me.post("/devices/", {"label": TURNED}),
        me.post(f"/devices/{annas_device.pk}/rename/", {"label": TURNED}),
        me.post("/settings/", {"name": TURNED}),
        client.post(
            "/accounts/signup/",
            {"name": TURNED, "email": "x@campus.example", "password1": PASSWORD},
        ),
        staff.post(f"/admin/accounts/user/{anna.pk}/change/", {"name": TURNED}),
        staff.post(f"/admin/{device}/change/", {"label": TURNED}),
        staff.post(f"/admin/{line}/change/", inline | {"label": TURNED}),
    ):
        assert asked.status_code == 200
        assert "invisible character (U+202E) after “Anna”" in asked.content.decode()
    for asked in (
        me.post("/api/v1/devices/", {"label": TURNED}, "application/json"),
        me.patch(f"/api/v1/devices/{annas_device.pk}/", {"label": TURNED}, "application/json"),
    ):
        assert asked.status_code == 400
        assert "U+202E" in asked.json()["label"][0]
    assert list(Device.objects.values_list("label", flat=True)) == ["Laptop"]
    assert not User.objects.filter(name=TURNED).exists()


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/", "/api/v1/devices/"])
@pytest.mark.parametrize("charset", ["hex", "zlib", "undefined", "utf-16", "no-such-charset"])
def test_a_charset_other_than_utf_8_is_refused_in_words(
    client: Client, path: str, charset: str
) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="login"\r\n\r\na\r\n--x--\r\n'
    content_type = f"multipart/form-data; boundary=x; charset={charset}"
    answer = client.generic("POST", path, body, content_type=content_type)
    assert (answer.status_code, answer.content) == (400, b"Send text as UTF-8.\n")


@pytest.mark.parametrize("parameter", ["charset=utf-8", "charset=UTF8", 'charset="utf-8"'])
def test_utf_8_is_read_however_it_is_written(client: Client, parameter: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="login"\r\n\r\na\r\n--x--\r\n'
    content_type = f"multipart/form-data; boundary=x; {parameter}"
    assert client.generic("POST", "/accounts/login/", body, content_type).status_code == 200


def test_a_content_type_that_cannot_be_read_is_refused_too() -> None:
    """Django raises it before any middleware, so nothing but the server's 500 would answer."""
    asked: dict[str, Any] = {"CONTENT_TYPE": "text/plain; x*=no-such-charset''y"}
    setup_testing_defaults(asked)
    told: list[str] = []
    body = application(asked, lambda status, headers: told.append(status))
    assert told == ["400 Bad Request"]
    assert b"".join(body) == b"Send text as UTF-8.\n"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/people/", 200), ("/accounts/login/", 302), ("/api/v1/calls/", 200), ("/healthz", 200)],
)
def test_a_nul_in_a_query_is_refused_in_words(
    annas_line: Line, anna: User, as_user: AsUser, path: str, status: int
) -> None:
    client = as_user(anna)
    answer = client.get(f"{path}?q=a%00", headers={"accept-language": "sv"})
    assert answer.status_code == 400
    assert answer.content.decode() == "En fråga får inte innehålla NUL-tecken.\n"
    assert client.get(f"{path}?q=%2500").status_code == status


def test_a_cookie_with_a_nul_is_refused_in_words(client: Client) -> None:
    cookie = 'sessionid="\\000abcdefghijkl"'
    answer = client.get("/", headers={"cookie": cookie, "accept-language": "sv"})
    assert answer.status_code == 400
    assert answer.content.decode() == "En kaka från webbplatsen är skadad: ta bort den.\n"


def test_who_is_suspended_while_the_name_is_chosen_gets_no_error(
    domain: Domain, anna: User, as_user: AsUser, meanwhile: Meanwhile
) -> None:
    client = as_user(anna)
    suspended = lambda: suspend_person(reread(anna), end_calls=True)  # noqa: E731
    meanwhile(services, "add_device", suspended)
    answer = client.post("/welcome/", {"username": "annabell", "listed": "no"})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert not Device.objects.exists()
