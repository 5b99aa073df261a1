"""Somebody removes the SQLite database: nothing begins anew with an empty one, and it is said."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.voip_portal.bridge.daemon import ROOT, Deployment, Phone, stop, until
from tests.voip_portal.web.site import Site, running

pytestmark = pytest.mark.xdist_group("daemon")


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path, "")
    yield made
    made.close()


@pytest.fixture
def database(deployment: Deployment) -> Path:
    return deployment.folder / "portal.sqlite3"


def health(site: Site) -> int:
    try:
        with urllib.request.urlopen(f"{site.url}/healthz", timeout=10) as page:  # noqa: S310
            return int(page.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def remove(database: Path) -> Path:
    """Move it away with all that belongs to it; where it is now."""
    kept = database.with_name("kept.sqlite3")
    database.rename(kept)
    for end in ("-wal", "-shm"):
        if (beside := Path(f"{database}{end}")).exists():
            beside.rename(f"{kept}{end}")
    return kept


def test_the_web_is_not_healthy_without_it_and_is_when_it_is_back(
    deployment: Deployment, database: Path
) -> None:
    with running(deployment.folder) as site:
        assert health(site) == 200
        kept = remove(database)
        assert [health(site) for _ in range(4)] == [503] * 4
        assert not database.exists()
        kept.rename(database)
        until(lambda: health(site) == 200, 5)


def test_an_empty_one_in_its_place_is_not_healthy(deployment: Deployment, database: Path) -> None:
    with running(deployment.folder) as site:
        remove(database)
        database.touch()
        assert [health(site) for _ in range(4)] == [503] * 4


@pytest.mark.parametrize("command", ["migrate", "first_start", "sipd"])
def test_no_command_makes_another(deployment: Deployment, database: Path, command: str) -> None:
    remove(database)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "manage.py", command],
        cwd=ROOT,
        env=deployment.environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    said = done.stderr.decode().strip()
    assert done.returncode == 1
    assert f"{database} is gone: restore it from a backup" in said
    assert len(said.splitlines()) == 1
    assert not database.exists()


def test_phones_go_on_without_it(
    deployment: Deployment, database: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deployment.add_line("anna", "secret", "20001")
    deployment.close()
    process = deployment.start_sipd()
    phone = Phone(deployment.port)
    try:
        until(lambda: phone.register("anna", "secret") == 200, 5)
        remove(database)
        said = ""

        def told() -> bool:
            nonlocal said
            said += capfd.readouterr().err
            return "stays in force: " in said

        until(told, 10)
        assert phone.register("anna", "secret") == 200
        assert not database.exists()
    finally:
        phone.close()
        stop(process)
    assert process.returncode == 0
