"""`docs/a-datagrams-way.md` lists the files that a request passes, as the code stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sipcore.message import parse_message
from sipcore.node.worker import Worker
from sipcore.transport.flow import Flow
from tests.sipcore.simulation.phone import Phone
from tests.sipcore.simulation.world import ONE, World
from tests.support.walk import Walk

pytestmark = pytest.mark.source
PAGE = Path(__file__).resolve().parents[2] / "docs" / "a-datagrams-way.md"
MOST_CHANGES = 24
LISTS = re.compile(r"<!-- (\w+) -->\n```\n(.*?)```\n", re.DOTALL)
SENT = "Host.send"


@pytest.fixture(scope="module")
def ways() -> dict[str, list[str]]:
    """The passages of an INVITE with credentials, a MESSAGE with credentials and a BYE, forwarded."""
    found: dict[str, list[str]] = {}
    receive = Worker.receive

    def watched(worker: Worker, data: bytes, flow: Flow, now: float, at: float) -> None:
        method = data.partition(b" ")[0].decode()
        is_followed = method in ("INVITE", "MESSAGE", "BYE") and method not in found
        if not is_followed or (method != "BYE" and b"Proxy-Authorization" not in data):
            receive(worker, data, flow, now, at)
            return
        walk = Walk(lambda: receive(worker, data, flow, now, at), SENT)
        found[method] = walk.passages()
        assert parse_message(worker.out.sends[-1][1]).cseq_method == method

    world = World(1, ONE, ["anna", "bob"])
    anna, bob = (Phone(world, n, (f"10.1.0.{i}", 5060)) for i, n in enumerate(("anna", "bob")))
    anna.register()
    bob.register()
    world.run(1)
    call_and_hang_up(world, anna)  # caches are warm, as they nearly always are
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "receive", watched)
        anna.message("bob", b"hello")
        call_and_hang_up(world, anna)
    return found


def call_and_hang_up(world: World, anna: Phone) -> None:
    call = anna.call("bob")
    world.run(5)
    [dialog] = call.dialogs.values()
    anna.hang_up(dialog)
    world.run(5)


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE"])
def test_the_page_lists_the_files_that_a_request_passes(
    ways: dict[str, list[str]], method: str
) -> None:
    listed = dict(LISTS.findall(PAGE.read_text()))
    assert listed[method].splitlines() == ways[method]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE"])
def test_a_request_changes_file_only_so_often(ways: dict[str, list[str]], method: str) -> None:
    assert len(ways[method]) <= MOST_CHANGES
    assert f"| {method} | {len(ways[method])} |" in PAGE.read_text()
