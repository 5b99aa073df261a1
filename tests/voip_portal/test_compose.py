"""The compose file: readable, and no setting of ours is out of an operator's reach."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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
