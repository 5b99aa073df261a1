"""A PostgreSQL that lets in TLS alone: sipd checks its certificate as DATABASE_URL wants."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import self_signed, signed
from tests.support.postgresql import Cluster
from tests.voip_portal.bridge.daemon import ROOT, Deployment, Phone, stop, until

pytestmark = pytest.mark.xdist_group("daemon")
PASSWORD = "unlikely-pass-2718"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, str]]:
    """A deployment, and the URL of its database but for what comes after `?`."""
    folder = tmp_path_factory.mktemp("tls")
    authority = self_signed("Database Authority")
    (folder / "ca.pem").write_bytes(authority.public_pem)
    (folder / "other.pem").write_bytes(self_signed("Another").public_pem)
    with Cluster() as cluster:
        deployment = Deployment(folder / "var", cluster.url)
        deployment.add_line("anna", "secret", "20001")
        deployment.close()
        cluster.demand_tls(signed(authority, "localhost").pem, PASSWORD)
        url = deployment.environment["DATABASE_URL"].replace(
            "postgres@127.0.0.1", "postgres@localhost"
        )
        yield deployment, url
        deployment.close()


def with_url(deployment: Deployment, url: str) -> None:
    deployment.environment |= {"DATABASE_URL": url, "DATABASE_PASSWORD_FILE": ""}
    deployment.environment["DATABASE_PASSWORD"] = PASSWORD


def test_a_node_runs_with_verify_full_and_its_own_name(tls: tuple[Deployment, str]) -> None:
    deployment, url = tls
    query = (
        f"sslmode=verify-full&sslrootcert={deployment.folder.parent}/ca.pem&application_name=campus"
    )
    with_url(deployment, f"{url}?{query}")
    process = deployment.start_sipd()
    phone = Phone(deployment.port)
    deployment.driver["dsn"] = f"{url}?{query}&password={PASSWORD}"
    try:
        until(lambda: phone.register("anna", "secret") == 200, 5)
        rows = deployment.database.query(
            "SELECT a.application_name, s.ssl FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid)"
            " WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()"
        )
        assert len(rows) >= 3  # keeper, its ears, and the writer
        assert set(rows) == {("campus", True)}
        holding = [
            path
            for path in deployment.folder.rglob("*")
            if path.is_file() and PASSWORD.encode() in path.read_bytes()
        ]
        assert holding == []
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert PASSWORD.encode() not in arguments
        opened = [os.readlink(fd) for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert not [name for name in opened if "memfd" in name]
    finally:
        phone.close()
        stop(process)


@pytest.mark.parametrize(
    ("host", "authority", "why"),
    [
        ("localhost", "other.pem", "certificate verify failed"),
        ("127.0.0.1", "ca.pem", "does not match"),
    ],
)
def test_a_server_that_is_another_gets_no_password(
    tls: tuple[Deployment, str], host: str, authority: str, why: str
) -> None:
    deployment, url = tls
    query = f"sslmode=verify-full&sslrootcert={deployment.folder.parent}/{authority}"
    with_url(deployment, url.replace("localhost", host) + f"?{query}")
    code = (
        "import sys, os; from voip_portal.bridge.database import Database\n"
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        "from voip_portal.bridge.management.commands.sipd import driver_settings\n"
        "Database(driver_settings(settings.DATABASES['default'])).query('SELECT 1')\n"
    )
    environment = deployment.environment | {"DJANGO_SETTINGS_MODULE": "voip_portal.settings"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert why in done.stderr.decode()


def test_an_option_that_does_not_exist_is_named(tls: tuple[Deployment, str]) -> None:
    deployment, url = tls
    with_url(deployment, f"{url}?sslmod=verify-full")
    done = subprocess.run(
        [sys.executable, "manage.py", "sipd", "--port", "0"],
        cwd=ROOT,
        env=deployment.environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.decode().count("sslmod") == 1
    assert len(done.stderr.decode().strip().splitlines()) == 1
