"""Redis goes away under the web: people log in and search, limits hold, /healthz says it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.db import OperationalError
from django.test import Client

from tests.support.redis_server import RedisServer
from tests.voip_portal.people import PASSWORD
from voip_portal.accounts import steadycache
from voip_portal.accounts.models import User
from voip_portal.numbers.services import open_line

REDIS = "django.core.cache.backends.redis.RedisCache"
FILES = "voip_portal.accounts.filecache.SharedFileCache"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steadycache, "_state", steadycache._State())


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def use(settings: Any, backend: str, location: str) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "voip_portal.accounts.steadycache.SteadyCache",
            "LOCATION": location,
            "OPTIONS": {"BACKEND": backend},
        }
    }
    if "default" in vars(caches._connections):  # type: ignore[attr-defined]
        del caches["default"]


@pytest.fixture
def on_redis(settings: Any, redis: RedisServer) -> RedisServer:
    use(settings, REDIS, redis.url)
    return redis


def log_in(client: Client, person: User, password: str = PASSWORD) -> int:
    fields = {"login": person.email, "password": password}
    return client.post("/accounts/login/", fields).status_code


@pytest.mark.django_db
def test_people_log_in_and_search_without_redis(
    on_redis: RedisServer, client: Client, anna: User, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get("/healthz").content == b"ok\n"
    open_line(anna, "anna")
    on_redis.kill()
    assert log_in(client, anna) == 302
    assert client.get("/people/?q=bob").status_code == 200
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.content.decode().startswith("degraded: Redis cannot be reached (")
    told = [r for r in caplog.records if r.name == "voip_portal.cache"]
    assert [r.levelno for r in told] == [logging.ERROR]
    assert all(r.exc_info is None for r in caplog.records)


@pytest.mark.django_db
def test_limits_hold_without_redis(on_redis: RedisServer, client: Client, anna: User) -> None:
    on_redis.kill()
    pages = [
        client.post("/accounts/login/", {"login": anna.email, "password": "wrong"})
        for _ in range(7)
    ]
    assert [page.status_code for page in pages] == [200] * 7
    assert "Too many failed" not in pages[4].content.decode()
    assert "Too many failed" in pages[6].content.decode()


@pytest.mark.django_db
def test_redis_is_taken_up_again(
    on_redis: RedisServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steadycache, "AGAIN_AFTER_S", 0.0)
    on_redis.kill()
    assert b"degraded" in client.get("/healthz").content
    on_redis.start()
    assert client.get("/healthz").content == b"ok\n"
    cache.set("shared", 1)
    with on_redis.client() as direct:
        assert len(direct.keys("*shared")) == 1


@pytest.mark.django_db
def test_a_wrong_password_of_redis_is_said(
    settings: Any, redis: RedisServer, client: Client
) -> None:
    with redis.client() as direct:
        direct.config_set("requirepass", "right")
    use(settings, REDIS, redis.url.replace("127.0.0.1", ":wrong@127.0.0.1"))
    assert "Redis cannot be reached (" in client.get("/healthz").content.decode()


@pytest.mark.django_db
def test_a_folder_that_cannot_be_written_is_said(
    settings: Any, client: Client, anna: User, tmp_path: Path
) -> None:
    use(settings, FILES, str(tmp_path / "cache"))
    assert client.get("/healthz").content == b"ok\n"
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    (tmp_path / "cache").write_text("a file in its place")
    assert log_in(client, anna) == 302
    assert client.get("/healthz").content.startswith(b"degraded: The cache cannot be used (")


def away(*args: object, **kwargs: object) -> None:
    raise OperationalError("connection failed: FATAL:  password authentication failed\nDETAIL: x")


@pytest.mark.django_db
def test_without_its_database_a_page_is_503(anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(anna)
    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", away)
    answer = browser.get("/settings/")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"
    assert "Your phones go on working" in answer.content.decode()
