"""Rate limits hold over all web processes: shown with two real gunicorn workers."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.http import HttpResponse
from django.test import Client

from tests.voip_portal.people import PASSWORD
from voip_portal.accounts.models import User
from voip_portal.accounts.views import subnet

ROOT = Path(settings.BASE_DIR)
TRIES = 13
LIMIT = 10
"""allauth: failed log-ins a minute from one address."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The portal under gunicorn with two workers and an empty SQLite database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    environ |= {"VOIP_VAR": str(tmp_path), "HOME": str(tmp_path)}
    environ.setdefault("DJANGO_SETTINGS_MODULE", "voip_portal.settings")
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"],
        cwd=ROOT,
        env=environ,
        check=True,
    )
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-w2",
        "-b",
        f"127.0.0.1:{port}",
        "voip_portal.wsgi",
    ]
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=ROOT, env=environ, stdout=log, stderr=log
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own http URL
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def failed_log_in(site: str, n: int) -> int:
    """The status of one failed log-in by a browser of its own, so on a connection of its own."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with browser.open(f"{site}/accounts/login/", timeout=20) as page:
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    assert token is not None
    fields = {"csrfmiddlewaretoken": token[1], "login": f"x{n}@campus.example", "password": "wrong"}
    try:
        with browser.open(
            f"{site}/accounts/login/", urllib.parse.urlencode(fields).encode(), timeout=20
        ) as page:
            return 429 if "Too many failed" in page.read().decode() else int(page.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_two_gunicorn_workers_share_one_count(site: str) -> None:
    with ThreadPoolExecutor(4) as browsers:
        statuses = sorted(browsers.map(lambda n: failed_log_in(site, n), range(TRIES)))
    assert statuses == [200] * LIMIT + [429] * (TRIES - LIMIT)


def test_subnets() -> None:
    assert subnet("192.0.2.77") == "192.0.2.0/24"
    assert subnet("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert subnet("unknown") == "unknown"


@pytest.mark.django_db(databases="__all__")
def test_sign_ups_are_limited_for_a_whole_subnet(client: Client) -> None:
    settings.ACCOUNT_RATE_LIMITS["signup_subnet"] = "3/m/key"
    try:
        statuses = [
            client.post("/accounts/signup/", REMOTE_ADDR=f"192.0.2.{n}").status_code
            for n in range(5)
        ]
    finally:
        settings.ACCOUNT_RATE_LIMITS["signup_subnet"] = "120/m/key"
    assert statuses == [200, 200, 200, 429, 429]
    assert not User.objects.exists()


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize(
    "host", ["localhost:{n}", "localhost", "LOCALHOST", "127.0.0.{n}"], ids=str.upper
)
def test_wrong_passwords_for_one_account_count_together_whatever_the_host_is_called(
    anna: User, settings: Any, host: str
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    for n in range(1, 7):
        answer = log_in(anna.email, "a wrong one", host.format(n=n), f"192.0.2.{n}")
        assert ("Too many failed" in answer.content.decode()) == (n > 5)
    assert log_in("Anna@Campus.example", PASSWORD, "localhost:7", "192.0.2.7").status_code == 200
    assert (
        log_in("boris@campus.example", "a wrong one", "localhost", "192.0.2.8").status_code == 200
    )


@pytest.mark.django_db(databases="__all__")
def test_a_new_password_forgives_the_wrong_ones(anna: User, client: Client) -> None:
    for n in range(6):
        log_in(anna.email, "a wrong one", f"localhost:{n + 1}", f"192.0.2.{n}")
    client.post("/accounts/password/reset/", {"email": anna.email})
    code = re.search(r"^([A-Z0-9-]{6,12})$", str(mail.outbox[-1].body), re.MULTILINE)
    assert code is not None
    answer = client.post("/accounts/password/reset/confirm/", {"code": code[1]})
    words = {"password1": "another horse 9", "password2": "another horse 9"}
    client.post(answer["Location"], words)
    assert log_in(anna.email, "another horse 9", "localhost:9", "192.0.2.9").status_code == 302


def log_in(email: str, password: str, host: str, source: str) -> HttpResponse:
    """A log-in by a browser without cookies, from an address of its own."""
    form = {"login": email, "password": password}
    return Client().post("/accounts/login/", form, HTTP_HOST=host, REMOTE_ADDR=source)
