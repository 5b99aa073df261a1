"""The compose file: readable, and no setting of ours is out of an operator's reach."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OURS_ALONE = {
    *("DATABASE_PASSWORD", "EMAIL_HOST_PASSWORD"),  # come as files
    *("SECRET_KEY", "VOIP_VAR", "VOIP_TLS_FOLDER"),  # in the volume
    *("VOIP_COMPILED", "VOIP_DEBUG"),  # the image is compiled, and no place to look for faults
}


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_every_setting_of_the_documentation_can_be_given() -> None:
    rows = re.findall(
        r"^\| (`[A-Z_`, ]+`) \|", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE
    )
    documented = {name for row in rows for name in re.findall(r"[A-Z_]{3,}", row)}
    given = set(compose()["x-environment"])
    for service in compose()["services"].values():
        given |= set(service.get("environment", {}))
        given |= set(re.findall(r"\$\{(\w+)", str(service)))
    assert len(documented) > 20
    assert documented - given - OURS_ALONE == set()


def test_every_service_of_ours_is_confined_and_starts_again() -> None:
    services = compose()["services"]
    assert {"web", "sipd", "worker", "beat", "shipper"} <= set(services)
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == ("no" if name == "prepare" else "unless-stopped"), name
        for needed in service.get("depends_on", {}):
            assert needed in services, name


def test_all_services_are_told_one_port() -> None:
    """The set-up page is of another service than that which listens."""
    assert {"VOIP_SIP_PORT", "VOIP_TLS_PORT", "VOIP_LISTEN"} <= set(compose()["x-environment"])


def test_the_web_site_can_read_nothing_of_sipd() -> None:
    """Its folder holds the key of the authority that phones trust, and who called whom."""
    services = compose()["services"]
    having = {name for name, each in services.items() if "state" in str(each.get("volumes"))}
    assert having == {"sipd", "shipper"}
    assert services["web"]["volumes"] == services["prepare"]["volumes"] == ["web:/var/lib/voip"]


def test_a_password_is_given_only_to_those_who_need_it() -> None:
    services = compose()["services"]
    mail = {name for name, each in services.items() if "mail" in each.get("secrets", ())}
    assert mail == {"web"}
    for name, each in services.items():
        assert ("EMAIL_HOST_PASSWORD_FILE" in each.get("environment", {})) == (name == "web"), name


def test_every_service_says_whether_it_lives_and_how_much_it_may_log() -> None:
    for name, service in compose()["services"].items():
        assert name == "prepare" or service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert int(service["logging"]["options"]["max-file"]) == 5, name
    postgres = compose()["services"]["postgres"]["healthcheck"]["test"][1]
    assert " -h 127.0.0.1 " in postgres  # the socket answers before the port does


@pytest.mark.parametrize(
    ("given", "run"),
    [
        (
            ["sipd", "--node", "node2", "--port", "5170"],
            "manage.py sipd --node node2 --port 5170",
        ),
        (["shipper", "--verbosity", "2"], "manage.py shipper --verbosity 2"),
        (["prepare", "x"], "scripts/prepare.py x"),
        (["python3", "-V"], "-V"),
    ],
)
def test_arguments_of_a_container_reach_its_process(
    tmp_path: Path, given: list[str], run: str
) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    script = (ROOT / "docker" / "entrypoint.sh").read_text().replace("/srv/voip", str(tmp_path))
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script, "voip", *given],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout == f"{run}\n"


@pytest.mark.parametrize(("age_s", "code"), [(5, 0), (60, 1), (None, 1)])
def test_a_process_that_says_no_more_that_it_lives_is_unhealthy(
    tmp_path: Path, age_s: int | None, code: int
) -> None:
    (tmp_path / "run").mkdir()
    if age_s is not None:
        path = tmp_path / "run" / "beat.health"
        path.touch()
        os.utime(path, (time.time() - age_s,) * 2)
    done = subprocess.run(
        [sys.executable, "-m", "docker.fresh", "beat", "30"],
        cwd=ROOT,
        env={"VOIP_VAR": str(tmp_path)},
    )
    assert done.returncode == code
