"""What a page knows of a phone besides its registration: when it was last heard, and what it missed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from tests.voip_portal.browsing import EVERY_LOOK, IN_A_BROWSER, at_both_widths, speaks
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call
from voip_portal.lines.models import Device, Line
from voip_portal.lines.services import add_device
from voip_portal.location.models import Binding
from voip_portal.portal.registrations import registrations

pytestmark = pytest.mark.django_db(databases="__all__")

Register = Callable[..., Binding]
NewCall = Callable[..., Call]
MINUTE = timedelta(minutes=1)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def laptop(annas_line: Line) -> Device:
    return add_device(annas_line, "Laptop", "campus")[0]


@pytest.fixture
def registered(laptop: Device, register: Register, now: datetime) -> Binding:
    """Twenty minutes ago, for two hours; refreshed ten minutes ago."""
    at = now.timestamp()
    return register(
        laptop, registered_at=at - 1200, written_at=at - 600, expires_at=at + 6600, call_id="one"
    )


def heard(line: Line) -> tuple[datetime, datetime | None]:
    [found] = registrations([line.pk])
    return found.heard, found.silent


@pytest.mark.usefixtures("registered")
def test_a_phone_was_last_heard_when_it_registered(annas_line: Line, now: datetime) -> None:
    assert heard(annas_line) == (now - 10 * MINUTE, None)


def test_one_of_before_that_was_kept_was_heard_when_it_came(
    annas_line: Line, registered: Binding, now: datetime
) -> None:
    Binding.objects.update(written_at=0)
    assert heard(annas_line) == (now - 20 * MINUTE, None)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    "fields",
    [
        {"side": "caller_line", "caller_device": "it"},
        {"side": "callee_line", "callee_device": "it", "answered_at": "at"},
        {"side": "callee_line", "status": 486, "seen": "said"},
    ],
    ids=["placed", "taken", "refused"],
)
def test_a_call_that_it_placed_took_or_refused_is_news_of_it(
    annas_line: Line, laptop: Device, call: NewCall, now: datetime, fields: dict[str, Any]
) -> None:
    at = now - 3 * MINUTE
    values = {"it": laptop.pk, "at": at, "said": {"phones": [[laptop.pk, 486, "said"]]}}
    fields = {key: values.get(value, value) for key, value in fields.items()}
    fields[fields.pop("side")] = annas_line.pk
    call(started_at=at, cause="rejected", **fields)
    assert heard(annas_line) == (at, None)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("how", ["silent", "refused"])
def test_a_call_that_did_not_reach_it_is_told_until_it_is_heard_again(
    annas_line: Line, laptop: Device, call: NewCall, now: datetime, how: str
) -> None:
    at = now - 3 * MINUTE
    seen = {"phones": [[laptop.pk, 408, how]]}
    call(callee_line=annas_line.pk, started_at=at, cause="no_answer", status=408, seen=seen)
    assert heard(annas_line) == (now - 10 * MINUTE, at)
    Binding.objects.update(written_at=(now - MINUTE).timestamp())
    assert heard(annas_line) == (now - MINUTE, None)


@pytest.mark.usefixtures("registered")
def test_a_probe_that_found_it_gone_is_told(
    annas_line: Line, laptop: Device, call: NewCall, now: datetime
) -> None:
    call(
        callee_line=annas_line.pk,
        callee_device=laptop.pk,
        started_at=now - 9 * MINUTE,
        answered_at=now - 9 * MINUTE,
        ended_at=now - 2 * MINUTE,
        cause="vanished",
        ended_by="system",
        reason="callee did not answer",
    )
    assert heard(annas_line) == (now - 9 * MINUTE, now - 2 * MINUTE)


@pytest.mark.usefixtures("registered")
def test_two_phones_with_the_same_values_are_told_apart_by_their_program(
    annas_line: Line, laptop: Device, register: Register
) -> None:
    register(laptop, key="b", call_id="two", user_agent="baresip v1", contact="sip:a@192.0.2.9")
    register(laptop, key="c", call_id="two", user_agent="baresip v1", contact="sip:a@192.0.2.10")
    found = registrations([annas_line.pk])
    assert sorted(r.name for r in found) == [
        "Laptop · Linphone/5.2",
        "Laptop · baresip v1 · 192.0.2.10",
        "Laptop · baresip v1 · 192.0.2.9",
    ]
    assert {r.is_shared for r in found} == {True}


def test_one_phone_by_two_flows_shares_nothing(
    annas_line: Line, laptop: Device, register: Register
) -> None:
    for n in (1, 2):
        register(laptop, key=f"k{n}", call_id=f"c{n}", instance="<urn:uuid:1>", reg_id=n)
    assert {r.is_shared for r in registrations([annas_line.pk])} == {False}


@pytest.mark.usefixtures("registered")
def test_the_api_says_when_a_device_was_last_heard(
    anna: User, as_user: Callable[[User], Client], now: datetime
) -> None:
    [device] = as_user(anna).get("/api/v1/devices/").json()
    assert datetime.fromisoformat(device["last_heard"]) == now - 10 * MINUTE


@EVERY_LOOK
class TestInABrowser:
    """The pages that show it."""

    pytestmark = IN_A_BROWSER

    def test_a_phone_that_left_and_two_of_one_name(
        self,
        busy_anna: User,
        log_in_as: Callable[..., Page],
        scheme: str,
        language: str,
    ) -> None:
        speaks(busy_anna, language)
        laptop = Device.objects.get()
        pixel, _secret = add_device(laptop.line, "Pixel " + 2 * "långtnamn", "campus")
        now = time.time()
        for device, key, program in ((pixel, "p", "Linphone/6"), (laptop, "l", "baresip 3")):
            Binding.objects.create(
                line_id=device.line_id,
                device_id=device.pk,
                key=key,
                contact="sip:a@192.0.2.8",
                call_id=key,
                cseq=1,
                expires_at=now + 600,
                registered_at=now - 600,
                written_at=now - 300,
                user_agent=program,
            )
        Call.objects.create(
            context="missed",
            callee_line=laptop.line_id,
            from_uri="sip:boris@campus.example",
            started_at=datetime.now(UTC) - MINUTE,
            cause="no_answer",
            status=408,
            open=False,
            seen={"phones": [[pixel.pk, 408, "silent"]]},
        )
        page = log_in_as(busy_anna, color_scheme=scheme)
        words = {
            "en": ("Does not answer", "last heard", "Several phones", "said nothing"),
            "sv": ("Svarar inte", "senast hörd", "Flera telefoner", "svarade inte alls"),
        }[language]
        for path in ("/devices/", "/registered/", "/"):
            page.goto(path)
            main = page.locator("main")
            expect(main).to_contain_text(words[0])
            expect(main).to_contain_text(words[1])
            if path != "/":
                expect(main).to_contain_text(words[2])
            else:
                expect(main).to_contain_text("Laptop · baresip 3")
                expect(main).to_contain_text(words[3])
            assert at_both_widths(page) == []
