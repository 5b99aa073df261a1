"""Pages over a slow line: what they weigh, and how soon they can be used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.voip_portal.web.site import ROOT, Site, running

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]
BYTES_PER_S = 50_000
PORTAL_S, ADMIN_S = 3.0, 6.0
PASSWORD = "correct horse 9"
ADD_STAFF = f"""
from allauth.account.models import EmailAddress
from voip_portal.accounts.models import User
user = User.objects.create_superuser("root@campus.example", "{PASSWORD}", name="Root")
EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    var = tmp_path_factory.mktemp("var")
    with running(var) as found:
        environ = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        environ |= {"VOIP_VAR": str(var), "DJANGO_SETTINGS_MODULE": "voip_portal.settings"}
        command = [sys.executable, "manage.py", "shell", "-c", ADD_STAFF]
        subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True)  # noqa: S603
        yield found


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """A window with an empty cache."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser.new_page(base_url=site.url)
        browser.close()


def slow_down(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.clearBrowserCache")
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": 40,
            "downloadThroughput": BYTES_PER_S,
            "uploadThroughput": BYTES_PER_S,
        },
    )


def usable_s(page: Page, path: str, selector: str) -> float:
    """Seconds until all that blocks a page has come, and this may be typed into."""
    start = time.monotonic()
    page.goto(path, wait_until="domcontentloaded")
    page.locator(selector).fill("x")
    return time.monotonic() - start


def test_the_log_in_is_usable_within_three_seconds(page: Page) -> None:
    slow_down(page)
    assert usable_s(page, "/accounts/login/", "[name=login]") < PORTAL_S


def test_the_admin_is_usable_within_six_seconds(page: Page) -> None:
    page.goto("/accounts/login/")
    page.fill("[name=login]", "root@campus.example")
    page.fill("[name=password]", PASSWORD)
    page.click("main form button")
    page.wait_for_url("**/admin/")
    page.goto("about:blank")
    slow_down(page)
    assert usable_s(page, "/admin/", "#ticket-q") < ADMIN_S


def test_static_files_are_compressed_and_kept_for_good(site: Site, page: Page) -> None:
    page.goto("/accounts/login/")
    url = page.locator("link[rel=stylesheet]").first.get_attribute("href")
    assert url is not None
    assert url.count(".") == 2  # portal.<hash>.css
    request = urllib.request.Request(f"{site.url}{url}", headers={"Accept-Encoding": "gzip"})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own http URL
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "immutable" in answer.headers["Cache-Control"]


def test_what_was_collected_is_not_collected_again(tmp_path: Path) -> None:
    environ = os.environ | {"VOIP_VAR": str(tmp_path)}
    command = [sys.executable, "manage.py", "collect"]
    subprocess.run(command, cwd=ROOT, env=environ, check=True)  # noqa: S603
    manifest = tmp_path / "static" / "staticfiles.json"
    first = manifest.stat().st_mtime_ns
    subprocess.run(command, cwd=ROOT, env=environ, check=True)  # noqa: S603
    assert manifest.stat().st_mtime_ns == first
