"""A registered device that answers no call: its owner sees it beside the device."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.test import Client
from django.utils.timezone import localtime

from voip_portal.accounts.models import User
from voip_portal.calls.models import Record
from voip_portal.lines.models import Device
from voip_portal.location.models import Binding

pytestmark = pytest.mark.django_db(databases="__all__")
AsUser = Callable[[User], Client]
Register = Callable[..., Binding]


def told(device: Device, kind: str, at: float, since: float = 0.0) -> None:
    data = {"line": device.line_id, "device": device.pk, "since": since}
    n = Record.objects.count() + 1
    Record.objects.create(spool_id="s", n=n, kind=kind, context="", at=at, data=data)


def hour(at: float) -> str:
    """As the page shows it to Anna, who has chosen no time zone."""
    zone = ZoneInfo(settings.VOIP_TIME_ZONE)
    return localtime(datetime.fromtimestamp(at, UTC), zone).strftime("%H:%M")


@pytest.mark.parametrize("path", ["/devices/", "/registered/", "/registered/list/"])
def test_a_device_that_does_not_answer_says_since_when(
    annas_device: Device, anna: User, as_user: AsUser, register: Register, path: str
) -> None:
    now = time.time()
    register(annas_device, written_at=now - 900)
    told(annas_device, "device.silent", now - 60, since=now - 600)
    page = as_user(anna).get(path).content.decode()
    assert f"Does not answer since {hour(now - 600)}" in page
    assert "Connected</span>" not in page


@pytest.mark.parametrize("why", ["heard", "registered since", "long ago", "another device"])
def test_a_device_that_is_there_is_connected(
    annas_device: Device, anna: User, as_user: AsUser, register: Register, why: str
) -> None:
    now = time.time()
    register(annas_device, written_at=now - (30 if why == "registered since" else 9000))
    silent = annas_device
    if why == "another device":
        silent = Device(pk=annas_device.pk + 1, line_id=annas_device.line_id)
    at = now - 8000 if why == "long ago" else now - 60
    told(silent, "device.silent", at, since=at - 500)
    if why == "heard":
        told(annas_device, "device.heard", now - 50)
    page = as_user(anna).get("/devices/").content.decode()
    assert "Does not answer" not in page
    assert "Connected</span>" in page


def test_the_list_does_not_ask_where_nothing_is_connected(
    annas_device: Device, anna: User, as_user: AsUser
) -> None:
    told(annas_device, "device.silent", time.time())
    assert "Does not answer" not in as_user(anna).get("/devices/").content.decode()


def test_it_is_told_in_swedish(
    annas_device: Device, anna: User, as_user: AsUser, register: Register
) -> None:
    now = time.time()
    register(annas_device, written_at=now - 900)
    told(annas_device, "device.silent", now - 60, since=now - 600)
    client = as_user(anna)
    page = client.get("/devices/", headers={"accept-language": "sv"}).content.decode()
    assert f"Svarar inte sedan {hour(now - 600)}" in page


@pytest.mark.parametrize("path", ["/devices/", "/devices/{pk}/", "/devices/{pk}/status/"])
@pytest.mark.parametrize("days", [1, 3])
def test_the_page_of_a_device_says_that_its_program_is_old(
    annas_device: Device, anna: User, as_user: AsUser, register: Register, path: str, days: int
) -> None:
    """It gives up at SHA-256. The SIP server tells once a day of those it lets in with MD5."""
    now = time.time()
    register(annas_device)
    told(annas_device, "device.md5", now - days * 86_400 + 60)
    page = as_user(anna).get(path.format(pk=annas_device.pk)).content.decode()
    assert ("MD5 alone" in page) == (days == 1)
