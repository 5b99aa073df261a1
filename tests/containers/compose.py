"""Read the compose file as compose does, and say each service as the arguments of `podman create`."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.containers.images import ROOT

FILE: Final = ROOT / "docker" / "compose.yaml"
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?:(:[-?])((?:[^{}]|\{[^{}]*\})*))?\}")
Service = dict[str, Any]


class NotSet(Exception):
    """A variable that the operator must set; the text is the file's own."""


def read(settings: Mapping[str, str]) -> dict[str, Any]:
    """The file with the operator's settings in it; `NotSet` where one is missing."""
    loaded = _filled(yaml.safe_load(FILE.read_text()), settings)
    assert isinstance(loaded, dict)
    return loaded


def in_order(services: Mapping[str, Service]) -> Iterator[str]:
    """Names of services, each after those that it depends on."""
    done: set[str] = set()
    while len(done) < len(services):
        ready = [
            n for n in services if n not in done and set(services[n].get("depends_on", ())) <= done
        ]
        assert ready, "the services wait for each other"
        yield from ready
        done.update(ready)


def arguments(project: dict[str, Any], name: str) -> list[str]:
    """What follows `podman create`: the service as the file has it, image and command last."""
    service = project["services"][name]
    label = project["name"]
    # Not the file's, but this machine's: no control groups here, and limits cannot be raised.
    given = ["--cgroups=disabled", "--pull=never"]
    for limit in ("nofile", "nproc"):
        soft, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{limit.upper()}"))
        given += [
            "--ulimit",
            f"{limit}={min(soft, 1 << 20) % (1 << 20) or 1024}:{1 << 20 if hard < 0 else hard}",
        ]
    given += ["--name", f"{label}-{name}", "--restart", service["restart"]]
    if service.get("network_mode") == "host":
        given += ["--network", "host"]
    else:
        given += ["--network", label, "--network-alias", name]
    if service.get("read_only"):
        given += ["--read-only", "--read-only-tmpfs=false"]
    given += [f"--cap-drop={each}" for each in service.get("cap_drop", ())]
    given += [f"--cap-add={each}" for each in service.get("cap_add", ())]
    given += [f"--security-opt={each.split(':')[0]}" for each in service.get("security_opt", ())]
    given += [f"--tmpfs={each}" for each in service.get("tmpfs", ())]
    given += [f"--publish={each}" for each in service.get("ports", ())]
    given += [f"--volume={label}_{each}" for each in service.get("volumes", ())]
    for secret in service.get("secrets", ()):
        path = Path(project["secrets"][secret]["file"]).resolve()
        given += ["--volume", f"{path}:/run/secrets/{secret}:ro"]
    given += [f"--env={key}={value}" for key, value in service.get("environment", {}).items()]
    if "user" in service:
        given += ["--user", str(service["user"])]
    options = service["logging"]["options"]
    given += ["--log-driver", "k8s-file", "--log-opt", f"max-size={options['max-size']}"]
    if grace := service.get("stop_grace_period"):
        given += ["--stop-timeout", grace.removesuffix("s")]
    return [*given, service["image"], *service.get("command", ())]


def _filled(value: Any, settings: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _text(value, settings)
    if isinstance(value, list):
        return [_filled(each, settings) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, settings) for key, each in value.items()}
    return value


def _text(text: str, settings: Mapping[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if value := settings.get(name):
            return value
        if operator == ":?":
            raise NotSet(rest)
        return _text(rest or "", settings)

    return _VARIABLE.sub(one, text)
