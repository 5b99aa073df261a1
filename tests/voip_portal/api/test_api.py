from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.utils.translation import trans_real

from tests.voip_portal.people import kept_of
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call
from voip_portal.lines.models import MAX_DEVICES, Device, Line
from voip_portal.lines.services import add_device, ha1
from voip_portal.nodes.services import ensure_deployment

pytestmark = pytest.mark.django_db(databases="__all__")

AsUser = Callable[[User], Client]
DEVICES = "/api/v1/devices/"
JSON = "application/json"


def test_a_device_is_made_with_a_secret_that_is_never_shown_again(
    anna: User, annas_line: Line, as_user: AsUser
) -> None:
    client = as_user(anna)
    answer = client.post(DEVICES, {"label": "Robot"}, JSON)
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    made = answer.json()
    device = Device.objects.get(pk=made["id"])
    kept = kept_of(device)
    assert kept.ha1_md5 == ha1("md5", "anna", ensure_deployment().realm, made["secret"])
    listed = client.get(DEVICES)
    assert [row["label"] for row in listed.json()] == ["Robot"]
    for secret in (made["secret"], kept.ha1_md5, kept.ha1_sha256):
        assert secret not in listed.content.decode()


def test_devices_are_renamed_and_revoked(anna: User, annas_device: Device, as_user: AsUser) -> None:
    client = as_user(anna)
    path = f"{DEVICES}{annas_device.pk}/"
    assert client.patch(path, {"label": "Desk"}, JSON).json()["label"] == "Desk"
    assert client.patch(path, {"label": ""}, JSON).status_code == 400
    assert client.put(path, {"label": "x"}, JSON).status_code == 405
    assert client.delete(path).status_code == 204
    annas_device.refresh_from_db()
    assert annas_device.revoked_at is not None
    assert client.get(path).status_code == 404


def test_the_answer_to_too_many_devices_is_a_sentence(
    anna: User, annas_line: Line, as_user: AsUser
) -> None:
    for n in range(MAX_DEVICES):
        add_device(annas_line, str(n), "campus")
    answer = as_user(anna).post(DEVICES, {"label": "x"}, JSON)
    assert (answer.status_code, answer.json()) == (400, ["You have 10 devices; revoke one first."])


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"label":' * 50_000, b'{"label": ' + b"9" * 5_000 + b"}", b"\xff\xfe", b"{"],
    ids=["lists", "objects", "number", "bytes", "half"],
)
def test_what_is_no_sensible_json_is_refused_in_words(
    annas_device: Device, anna: User, as_user: AsUser, body: bytes
) -> None:
    client = as_user(anna)
    for answer in (
        client.post(DEVICES, body, JSON),
        client.patch(f"{DEVICES}{annas_device.pk}/", body, JSON),
    ):
        assert answer.status_code == 400
        assert "JSON" in answer.json()["detail"]
    assert Device.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_clara_finds_no_device_of_annas(
    annas_device: Device, clara: User, line_of: Callable[[User], Line], as_user: AsUser, method: str
) -> None:
    line_of(clara)
    client = as_user(clara)
    ask = getattr(client, method)
    assert (
        ask(f"{DEVICES}{annas_device.pk}/", {"label": "mine"}, content_type=JSON).status_code == 404
    )
    assert client.get(DEVICES).json() == []
    annas_device.refresh_from_db()
    assert (annas_device.label, annas_device.revoked_at) == ("Laptop", None)


def test_calls_are_ones_own(
    annas_line: Line, anna: User, clara: User, line_of: Callable[[User], Line], as_user: AsUser
) -> None:
    Call.objects.create(
        context="abcdefgh",
        caller_line=annas_line.pk,
        dialled="sip:echo@campus.example",
        cause="completed",
        ended_by="caller",
        started_at=datetime(2026, 11, 23, tzinfo=UTC),
        duration_s=4.0,
        open=False,
    )
    line_of(clara)
    assert as_user(clara).get("/api/v1/calls/").json() == {"results": [], "next": ""}
    found = as_user(anna).get("/api/v1/calls/").json()["results"]
    assert [(c["direction"], c["party"], c["outcome"], c["duration_s"]) for c in found] == [
        ("outgoing", "echo", "Talked; you hung up", 4.0)
    ]


def test_no_answer_may_be_kept_by_a_cache(
    annas_device: Device, anna: User, as_user: AsUser, client: Client
) -> None:
    me = as_user(anna)
    mine = f"{DEVICES}{annas_device.pk}/"
    answers = {
        200: [me.get(path) for path in (DEVICES, mine, "/api/v1/calls/", "/api/v1/schema/")]
        + [me.patch(mine, {"label": "Desk"}, JSON)],
        201: [me.post(DEVICES, {"label": "Robot"}, JSON)],
        204: [me.delete(mine)],
        400: [me.post(DEVICES, {"label": ""}, JSON)],
        403: [client.get(DEVICES)],
        404: [me.get(mine), me.get("/api/nowhere/")],
        405: [me.put(DEVICES, {}, JSON)],
    }
    for status, given in answers.items():
        for answer in given:
            assert (answer.status_code, answer["Cache-Control"]) == (status, "no-store")


def test_who_has_no_name_yet_is_told_so(anna: User, as_user: AsUser) -> None:
    client = as_user(anna)
    assert client.get(DEVICES).json() == []
    assert client.post(DEVICES, {"label": "x"}, JSON).status_code == 400


def test_a_form_of_another_site_changes_nothing(anna: User, annas_line: Line) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(anna)
    assert client.post(DEVICES, {"label": "x"}, JSON).status_code == 403
    assert not Device.objects.exists()


def test_the_description_is_for_who_is_logged_in(anna: User, as_user: AsUser) -> None:
    schema = "/api/v1/schema/"
    assert Client().get(schema).status_code == 403
    answer = as_user(anna).get(schema, {"lang": "sv", "version": "1"})
    assert answer.status_code == 200
    assert b"/api/v1/devices/" in answer.content


def test_the_description_keeps_nothing_of_what_it_was_asked(anna: User, as_user: AsUser) -> None:
    """Django holds a catalogue for ever of each language that was activated once."""
    client = as_user(anna)
    client.get("/api/v1/schema/")
    before = len(trans_real._translations)
    for lang in ("qa", "sv-qa", "../../x", "x" * 5000):
        answer = client.get("/api/v1/schema/", {"lang": lang})
        assert answer.status_code == 400
        assert b"no such language" in answer.content
    assert len(trans_real._translations) == before


def test_no_version_of_an_askers_stands_in_a_header(anna: User, as_user: AsUser) -> None:
    answer = as_user(anna).get("/api/v1/schema/", {"version": "1\r\nSet-Cookie: x=y"})
    assert answer.status_code == 200
    assert "Cookie" not in answer["Content-Disposition"]


def test_the_description_in_docs_is_up_to_date(tmp_path: Path) -> None:
    fresh = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(fresh))
    committed = Path(settings.BASE_DIR) / "docs" / "openapi.yaml"
    assert committed.read_text() == fresh.read_text(), (
        "run: manage.py spectacular --file docs/openapi.yaml"
    )
