"""Fixtures: a numbering plan, and the people of all authorization tests.

Anna owns what is looked at, Boris is another student, Clara sees nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client

from voip_portal.accounts.models import User
from voip_portal.lines.models import Device, DeviceSecret, Line
from voip_portal.lines.services import add_device
from voip_portal.nodes.services import ensure_deployment
from voip_portal.numbers import services as numbers
from voip_portal.numbers.models import Domain

Meanwhile = Callable[[Any, str, Callable[[], object]], None]
PASSWORD = "correct horse 9"


@pytest.fixture(autouse=True)
def quick_and_quiet(settings: Any, tmp_path: Any) -> None:
    """Cheap password hashes, mails and cache of this test only."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.VOIP_CAMPUS_DOMAINS = ["campus.example"]
    settings.CACHES = {
        "default": {
            "BACKEND": "voip_portal.accounts.filecache.SharedFileCache",
            "LOCATION": str(tmp_path / "cache"),
        }
    }
    cache.clear()


@pytest.fixture
def domain(db: Any) -> Domain:
    ensure_deployment()
    return numbers.ensure_numbering_plan("campus.example", "20000", "20099")


def make_person(name: str, **extra: Any) -> User:
    """A person with a verified address, as after sign-up."""
    user = User.objects.create_user(
        f"{name.lower()}@campus.example", PASSWORD, name=f"{name} Berg", **extra
    )
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def reread(user: User) -> User:
    """The person as the database has her now."""
    return User.objects.get(pk=user.pk)


def kept_of(device: Device) -> DeviceSecret:
    """What the database has of a device's secret now."""
    return DeviceSecret.objects.get(device=device)


@pytest.fixture
def anna(domain: Domain) -> User:
    return make_person("Anna")


@pytest.fixture
def boris(domain: Domain) -> User:
    return make_person("Boris")


@pytest.fixture
def clara(domain: Domain) -> User:
    return make_person("Clara")


@pytest.fixture
def line_of() -> Callable[[User], Line]:
    def open_line(user: User) -> Line:
        return numbers.open_line(user, user.email.partition("@")[0])

    return open_line


@pytest.fixture
def annas_line(anna: User, line_of: Callable[[User], Line]) -> Line:
    return line_of(anna)


@pytest.fixture
def annas_device(annas_line: Line) -> Device:
    device, _secret = add_device(annas_line, "Laptop", "campus")
    return device


@pytest.fixture
def as_user() -> Callable[[User], Client]:
    def logged_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return logged_in


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Lets something happen in the middle of a request: just before it calls a function."""

    def put(owner: Any, name: str, happens: Callable[[], object]) -> None:
        goes_on = getattr(owner, name)

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(owner, name, goes_on)
            happens()
            return goes_on(*args, **kwargs)

        monkeypatch.setattr(owner, name, interrupted)

    return put
