import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.db import OperationalError, connections, router
from django.test import Client
from django.utils.timezone import now

from tests.voip_portal.people import Meanwhile, kept_of, reread
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call, Record
from voip_portal.lines.models import Device, DeviceSecret, Line
from voip_portal.lines.services import ha1, revoke_device, suspend, suspend_person
from voip_portal.location.models import Binding
from voip_portal.nodes.campus_authority import ensure
from voip_portal.nodes.certificates import AUTHORITY
from voip_portal.nodes.services import ensure_deployment
from voip_portal.numbers.models import Address, NumberRange
from voip_portal.portal.forms import UsernameForm

pytestmark = pytest.mark.django_db(databases="__all__")

AsUser = Callable[[User], Client]
SECRET = re.compile(r'id="v-secret">([a-z2-9-]{23})<')


def shown_secret(page: str) -> str:
    found = SECRET.search(page)
    assert found is not None
    return found[1]


def state(client: Client, device: Device) -> str:
    page = client.get(f"/devices/{device.pk}/status/").content.decode()
    found = re.search(r'data-state="(\w+)"', page)
    assert found is not None
    return found[1]


def test_choosing_a_name_answers_with_a_device_and_its_secret(anna: User, as_user: AsUser) -> None:
    client = as_user(anna)
    assert client.get("/")["Location"] == "/welcome/"
    answer = client.post("/welcome/", {"username": " Anna.Berg ", "listed": "no"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    page = answer.content.decode()
    device = Device.objects.get(line__owner=anna)
    secret = shown_secret(page)
    assert kept_of(device).ha1_sha256 == ha1(
        "sha256", "anna.berg", ensure_deployment().realm, secret
    )
    number = Address.objects.get(line=device.line, kind="number").value
    for value in (">anna.berg<", f">{number}<", ">127.0.0.1<", "Linphone", "baresip"):
        assert value in page


def test_who_is_suspended_while_choosing_a_name_gets_no_line(
    anna: User, as_user: AsUser, meanwhile: Meanwhile
) -> None:
    client = as_user(anna)
    meanwhile(UsernameForm, "clean_username", lambda: suspend_person(reread(anna), end_calls=True))
    assert client.post("/welcome/", {"username": "anna", "listed": "no"})["Location"] == "/"
    assert client.get("/devices/")["Location"].startswith("/accounts/login/")
    assert not Device.objects.exists()


def test_the_secret_is_in_that_one_answer_only(anna: User, as_user: AsUser) -> None:
    client = as_user(anna)
    secret = shown_secret(
        client.post("/welcome/", {"username": "anna", "listed": "no"}).content.decode()
    )
    device = Device.objects.get()
    for path in ("/", "/devices/", f"/devices/{device.pk}/", "/settings/data/", "/api/v1/devices/"):
        assert secret not in client.get(path).content.decode()
    assert not any(secret in str(value) for value in client.session.values())
    assert not any(secret in str(m.body) for m in mail.outbox)
    assert client.post("/welcome/", {"username": "other", "listed": "no"})["Location"] == "/"


def test_a_new_secret_is_offered_and_replaces_the_old(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    client = as_user(anna)
    assert "Make a new secret" in client.get(f"/devices/{annas_device.pk}/").content.decode()
    before = kept_of(annas_device).ha1_md5
    asked = client.get(f"/devices/{annas_device.pk}/secret/").content.decode()
    assert "A new secret for “Laptop”?" in asked
    assert kept_of(annas_device).ha1_md5 == before
    page = client.post(f"/devices/{annas_device.pk}/secret/").content.decode()
    after = kept_of(Device.objects.active().get()).ha1_md5
    assert after != before
    assert after == ha1("md5", "anna", ensure_deployment().realm, shown_secret(page))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ab", "3 to 32"),
        ("12345", "3 to 32"),
        ("admin", "kept for the service"),
        ("ech0", "kept for"),
        ("boris", "is taken"),
        ("bor.is", "is taken"),
    ],
)
def test_names_that_cannot_be_chosen_say_why(
    anna: User, boris: User, line_of: Callable[[User], Line], as_user: AsUser, name: str, says: str
) -> None:
    line_of(boris)
    page = as_user(anna).post("/welcome/", {"username": name, "listed": "no"}).content.decode()
    assert says in page
    assert not Line.objects.filter(owner=anna).exists()


def test_an_empty_pool_is_said_plainly_and_can_be_asked_again(anna: User, as_user: AsUser) -> None:
    pool = NumberRange.objects.all()
    pool.update(is_pool=False)
    client = as_user(anna)
    assert (
        "No number is free"
        in client.post("/welcome/", {"username": "anna", "listed": "no"}).content.decode()
    )
    assert "There is still no free number" in client.post("/number/", follow=True).content.decode()
    pool.update(is_pool=True)
    assert "Your number is 20" in client.post("/number/", follow=True).content.decode()


def test_the_light_follows_the_phone(
    annas_device: Device, anna: User, as_user: AsUser, register: Callable[..., Binding]
) -> None:
    client = as_user(anna)
    assert state(client, annas_device) == "waiting"
    binding = register(annas_device)
    assert state(client, annas_device) == "registered"
    Binding.objects.filter(pk=binding.pk).update(expires_at=time.time() - 1)
    assert state(client, annas_device) == "waiting"


def test_another_devices_registration_is_not_this_ones(
    annas_device: Device, anna: User, as_user: AsUser, register: Callable[..., Binding]
) -> None:
    register(annas_device, device_id=annas_device.pk + 1)
    assert state(as_user(anna), annas_device) == "waiting"


def refuse(username: str, source: str = "127.0.0.1", *, known: bool, before_s: float = 0) -> None:
    Record.objects.create(
        spool_id="one",
        n=Record.objects.count() + 1,
        kind="auth.refused",
        at=time.time() - before_s,
        data={"username": username, "known": known, "source": source, "count": 1},
    )


def registered(device: Device, before_s: float) -> None:
    Record.objects.create(
        spool_id="one",
        n=Record.objects.count() + 1,
        kind="register.new",
        at=time.time() - before_s,
        data={"line": device.line_id, "device": device.pk},
    )


def test_a_wrong_secret_is_said(annas_device: Device, anna: User, as_user: AsUser) -> None:
    refuse("anna", "192.0.2.9", known=True)
    page = as_user(anna).get(f"/devices/{annas_device.pk}/status/").content.decode()
    assert "Wrong secret" in page


def test_an_unknown_name_from_where_i_am_is_said(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    client = as_user(anna)
    refuse("ana", "192.0.2.9", known=False)
    assert state(client, annas_device) == "waiting"
    refuse("<ana>", known=False)
    page = client.get(f"/devices/{annas_device.pk}/status/").content.decode()
    assert "Unknown user name" in page
    assert "<ana>" not in page


def test_other_peoples_wrong_secrets_and_old_ones_are_not_shown(
    annas_device: Device, anna: User, as_user: AsUser, register: Callable[..., Binding]
) -> None:
    client = as_user(anna)
    refuse("boris", known=True)
    refuse("anna", known=True, before_s=60)
    assert state(client, annas_device) == "waiting"
    refuse("anna", known=True)
    register(annas_device)
    assert state(client, annas_device) == "registered"


def test_a_wrong_secret_before_the_phone_was_connected_is_not_shown_after_it_has_gone(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    Device.objects.update(created_at=now() - timedelta(hours=1))
    client = as_user(anna)
    refuse("anna", known=True, before_s=20)
    assert state(client, annas_device) == "wrong_secret"
    registered(annas_device, before_s=10)
    assert state(client, annas_device) == "waiting"
    refuse("anna", known=True)
    assert state(client, annas_device) == "wrong_secret"


def test_the_light_of_a_new_secret_sees_nothing_of_the_old_one(
    annas_device: Device,
    anna: User,
    as_user: AsUser,
    register: Callable[..., Binding],
    call: Callable[..., Call],
) -> None:
    client = as_user(anna)
    refuse("anna", known=True)
    register(annas_device)
    call(caller_line=annas_device.line_id, dialled="sip:echo@campus.example")
    client.post(f"/devices/{annas_device.pk}/secret/")
    renewed = Device.objects.active().get()
    assert state(client, renewed) == "waiting"
    register(renewed, key="other")
    assert "Now make a test call" in client.get(f"/devices/{renewed.pk}/status/").content.decode()


def test_after_a_test_call_to_echo_all_is_done(
    annas_device: Device,
    anna: User,
    as_user: AsUser,
    register: Callable[..., Binding],
    call: Callable[..., Call],
) -> None:
    register(annas_device)
    client = as_user(anna)
    path = f"/devices/{annas_device.pk}/status/"
    assert "dial" in client.get(path).content.decode()
    call(caller_line=annas_device.line_id, dialled="sip:echo@campus.example", started_at=now())
    assert "The test call worked" in client.get(path).content.decode()


def test_a_revoked_device_or_suspended_line_is_said(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    client = as_user(anna)
    suspend(annas_device.line, end_calls=False)
    assert state(client, annas_device) == "blocked"
    revoke_device(annas_device)
    assert client.get(f"/devices/{annas_device.pk}/")["Location"] == "/devices/"


def test_without_script_a_frame_shows_the_light(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    client = as_user(anna)
    assert "<noscript><iframe" in client.get(f"/devices/{annas_device.pk}/").content.decode()
    answer = client.get(f"/devices/{annas_device.pk}/status/page/")
    assert answer["Refresh"] == "3"
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in answer["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in client.get("/")["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "post", "get"),
    [
        ("", 405, 404),
        ("status/", 405, 404),
        ("status/page/", 405, 404),
        ("rename/", 404, 404),
        ("revoke/", 404, 404),
        ("secret/", 404, 404),
    ],
)
def test_clara_sees_nothing_of_annas_device(
    annas_device: Device,
    clara: User,
    line_of: Callable[[User], Line],
    as_user: AsUser,
    path: str,
    post: int,
    get: int,
) -> None:
    line_of(clara)
    client = as_user(clara)
    before = (Device.objects.values().get(), DeviceSecret.objects.values().get())
    page = f"/devices/{annas_device.pk}/{path}"
    assert client.post(page, {"label": "mine"}).status_code == post
    assert client.get(page).status_code == get
    assert before == (Device.objects.values().get(), DeviceSecret.objects.values().get())


@pytest.fixture
def bindings_away() -> Iterator[None]:
    """No question about registrations is answered."""

    def ask(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if Binding._meta.db_table in sql:
            raise OperationalError("no such luck")
        return execute(sql, *rest)

    with connections[router.db_for_read(Binding)].execute_wrapper(ask):
        yield


@pytest.mark.usefixtures("bindings_away")
def test_a_secret_is_shown_also_while_registrations_cannot_be_read(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    client = as_user(anna)
    realm = ensure_deployment().realm
    added = client.post("/devices/", {"label": "Phone"}).content.decode()
    device = Device.objects.get(label="Phone")
    assert kept_of(device).ha1_md5 == ha1("md5", "anna", realm, shown_secret(added))
    renewed = client.post(f"/devices/{device.pk}/secret/").content.decode()
    device = Device.objects.active().get(label="Phone")
    assert kept_of(device).ha1_md5 == ha1("md5", "anna", realm, shown_secret(renewed))
    for page in (added, renewed, client.get(f"/devices/{device.pk}/").content.decode()):
        assert 'data-state="unknown"' in page
    assert state(client, annas_device) == "unknown"
    frame = client.get(f"/devices/{device.pk}/status/page/")
    assert frame["Refresh"] == "3"
    assert "cannot be read at the moment" in frame.content.decode()


@pytest.mark.usefixtures("bindings_away")
def test_a_file_of_my_data_is_never_half_a_file(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    answer = as_user(anna).get("/settings/data/", follow=True)
    assert answer.redirect_chain == [("/settings/", 302)]
    assert "cannot be read at the moment" in answer.content.decode()


@pytest.mark.usefixtures("bindings_away")
def test_the_api_says_null_of_what_it_cannot_read(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    client, mine = as_user(anna), f"/api/v1/devices/{annas_device.pk}/"
    made = client.post("/api/v1/devices/", {"label": "Robot"}, "application/json")
    assert made.status_code == 201
    assert len(made.json()["secret"]) == 23
    renamed = client.patch(mine, {"label": "Desk"}, "application/json").json()
    assert (renamed["label"], renamed["connected"]) == ("Desk", None)
    assert [row["connected"] for row in client.get("/api/v1/devices/").json()] == [None, None]
    assert client.delete(mine).status_code == 204


@pytest.mark.parametrize("name", ["boris", "bor.is"])
def test_of_two_who_choose_one_name_at_once_the_second_is_told(
    name: str,
    anna: User,
    boris: User,
    line_of: Callable[[User], Line],
    as_user: AsUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line_of(boris)
    # The other one's line was not there yet when this form was checked.
    monkeypatch.setattr("voip_portal.lines.services.check_username", lambda username: None)
    page = as_user(anna).post("/welcome/", {"username": name, "listed": "no"}).content.decode()
    assert "is taken" in page
    assert not Line.objects.filter(owner=anna).exists()


def test_guessing_names_is_limited(
    anna: User, as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.ACCOUNT_RATE_LIMITS, "choose_name", "2/m/user")
    client = as_user(anna)
    statuses = [
        client.post("/welcome/", {"username": "admin", "listed": "no"}).status_code
        for _ in range(3)
    ]
    assert statuses == [200, 200, 429]


def test_the_page_says_what_tls_asks_of_a_phone(
    anna: User, as_user: AsUser, client: Client, tmp_path: Path, settings: Any
) -> None:
    settings.VOIP_TLS_FOLDER, settings.VOIP_TLS_PORT = tmp_path, 5061
    link = 'href="/authority.crt"'
    pages = as_user(anna)
    pages.post("/welcome/", {"username": "anna", "listed": "no"})
    address = f"/devices/{Device.objects.get().pk}/"
    assert link not in pages.get(address).content.decode()  # nothing was made yet
    assert client.get("/authority.crt").status_code == 404
    ensure(tmp_path, ["campus.example"])
    page = pages.get(address).content.decode()
    assert link in page
    assert "5061" in page
    answer = client.get("/authority.crt")
    assert answer["Content-Type"] == "application/x-x509-ca-cert"
    assert answer.content == (tmp_path / AUTHORITY).read_bytes()
    assert b"PRIVATE" not in answer.content
    settings.VOIP_TLS_PORT = -1
    assert "TLS" not in pages.get(address).content.decode()
