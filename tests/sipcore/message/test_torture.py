"""RFC 4475 and RFC 5118: what the server answers to each torture message, seen from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sipcore.simulation.world import ONE, World

DATA = Path(__file__).parents[2] / "data" / "torture"
SOURCE = ("192.0.2.99", 5060)


def cases() -> list[Any]:
    out = []
    for folder in ("rfc4475", "rfc5118"):
        for entry in json.loads((DATA / folder / "index.json").read_text()):
            path = DATA / folder / entry["file"]
            if entry["file"] == "baddn.dat":
                path = DATA / folder / "extra" / "baddn.fixed.dat"
            out.append(pytest.param(path, entry["outcomes"], id=f"{folder}/{entry['file']}"))
    return out


def answers_to(data: bytes) -> list[int]:
    """The final statuses a worker gives to one datagram, wherever they go."""
    world = World(1, ONE, ["anna"])
    sent: list[bytes] = []
    world.network.send = lambda data, source, destination: sent.append(data)  # type: ignore[method-assign]
    node = world.nodes[0]
    node._receive(data, SOURCE, 0.0)
    world.run(1.0)
    lines = [wire.split(b" ", 2) for wire in sent if wire.startswith(b"SIP/2.0 ")]
    return [int(line[1]) for line in lines if int(line[1]) >= 200]


def allowed(outcome: str, status: int | None) -> bool:
    """Whether an observed final status (None: dropped) is what the outcome asks for."""
    word = outcome.partition("(")[0]
    if word == "drop":
        return status is None
    if word in ("accept", "lenient-accept", "rfc2543-match"):
        # Read and understood: handled, or refused for what it asks and not for how it reads.
        return status not in (400, 500, 505)
    if word == "close":
        return False
    return status == int(word) or (
        word in ("200", "401", "406", "415", "501") and status in (401, 403, 404, 480, 407)
    )


@pytest.mark.parametrize(("path", "outcomes"), cases())
def test_the_answer_to_a_torture_message_is_what_its_rfc_says(
    path: Path, outcomes: list[str]
) -> None:
    finals = answers_to(path.read_bytes())
    status = finals[0] if finals else None
    assert any(allowed(outcome, status) for outcome in outcomes), (status, outcomes)
