"""`manage.py sipd --limits`: each limit of the SIP server with its number in force, unit and reason."""

from __future__ import annotations

import re
import resource
import tomllib
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

import sipcore
from sipcore.apps.config import WorkerConfig
from voip_portal.bridge import limits
from voip_portal.bridge.management.commands import sipd as command
from voip_portal.bridge.sipd import stream_limits, worker_config
from voip_portal.nodes.models import Deployment

ROOT = Path(str(sipcore.__file__)).parent
NOT_BOUNDING = {"node_number", "slot", "slots", "incarnation"}
"""Numbers of a WorkerConfig that name something."""


@pytest.fixture(autouse=True)
def open_files() -> Iterator[None]:
    """As many as before: `stream_limits` takes all that there may be."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def printed() -> list[list[str]]:
    out = StringIO()
    call_command("sipd", "--limits", stdout=out)
    return [re.split(r" {2,}", line) for line in out.getvalue().splitlines()]


def test_every_limit_is_printed_with_unit_and_reason() -> None:
    header, *rows = printed()
    assert header == ["package", "name", "number", "unit", "setting", "reason"]
    assert all(len(row) == 6 and all(row) for row in rows)
    assert ["calls", "MAX_OVER", "10,000", "calls", "-"] in [row[:5] for row in rows]
    assert len(rows) > 100


def test_every_number_of_the_limits_files_is_printed() -> None:
    shown = {(limit.package, limit.name) for limit in limits.all_limits({})}
    for path in ROOT.glob("*/limits.py"):
        declared = re.findall(r"^(\w+): Final = [\d(-]", path.read_text(), re.MULTILINE)
        assert {(path.parent.name, name) for name in declared} <= shown, (
            f"{path.parent.name}/limits.py: the string under a limit begins with its unit and a "
            "colon, unless its name ends in _S, _BYTES or _LENGTH; its package is in MODULES."
        )


@pytest.mark.parametrize("module", ["message.limits", "transport.limits", "registrar.policy"])
def test_every_number_of_a_value_is_printed(module: str) -> None:
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    declared = re.findall(r"^    (\w+): (?:int|float) = \d", source, re.MULTILINE)
    assert declared
    assert set(declared) <= {limit.name.split(".")[-1] for limit in limits.limits_of(module)}


def test_every_number_of_a_worker_that_bounds_something_is_printed() -> None:
    numbers = {n for n, d in limits.defaults_of(WorkerConfig).items() if isinstance(d, int | float)}
    shown = {limit.name for limit in limits.limits_of("apps.config")}
    assert shown == {f"WorkerConfig.{name}" for name in numbers - NOT_BOUNDING}


def test_packages_come_from_the_wire_inwards() -> None:
    contracts = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["tool"]["importlinter"]
    order = re.findall(r"\w+", " ".join(reversed(contracts["contracts"][0]["layers"])))
    packages = [module.split(".")[0] for module in limits.MODULES]
    assert packages == sorted(packages, key=order.index)


def test_settings_are_shown_with_the_number_in_force(settings: Any) -> None:
    settings.VOIP_PROBE_S, settings.VOIP_SPOOL_MB = 77.5, 3
    rows = {row[1]: row[2:5] for row in printed()}
    assert rows["WorkerConfig.probe_s"] == ["77.5", "s", "VOIP_PROBE_S"]
    assert rows["MAX_BYTES"] == ["3,145,728", "bytes", "VOIP_SPOOL_MB"]
    connections = rows["StreamLimits.connections"]
    assert connections == [f"{stream_limits().connections:,}", "connections", "ulimit -n"]


@pytest.mark.django_db
def test_what_is_shown_in_force_is_what_the_daemon_gets(settings: Any) -> None:
    settings.VOIP_PROBE_S, settings.VOIP_MAX_CALL_S = 77.0, 99.0
    Deployment.objects.update_or_create(id=1, defaults={"cluster_key": "00" * 32})
    config = command.daemon_config("node1", ["127.0.0.1"], 5060, -1)
    worker = worker_config(config, 0)
    shown = command.limits_set()
    assert shown.pop("node.MAX_BYTES")[0] == config["spool_bytes"]
    assert shown.pop("transport.StreamLimits.connections")[0] == worker.streams.connections
    for key, (number, _) in shown.items():
        assert number == getattr(worker, key.removeprefix("apps.WorkerConfig."))


def test_a_setting_of_no_limit_is_a_mistake() -> None:
    with pytest.raises(KeyError, match=r"node\.GONE"):
        limits.all_limits({"node.GONE": (1, "VOIP_GONE")})
