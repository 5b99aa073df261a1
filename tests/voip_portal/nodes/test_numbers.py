"""Each node has a number of its own, which tokens say it by, from its first start on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from voip_portal.bridge.management.commands.sipd import daemon_config, known_to_database
from voip_portal.bridge.sipd import worker_config
from voip_portal.nodes.models import Node
from voip_portal.nodes.services import NUMBERS, ensure_deployment, number_of_node

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def deployment() -> None:
    ensure_deployment()


def test_nodes_have_different_numbers_and_each_keeps_its_own() -> None:
    Node.objects.create(name="old")  # reported by a version that knew no numbers
    assert [number_of_node(name) for name in ("node1", "node2", "old")] == [0, 1, 2]
    assert [number_of_node(name) for name in ("old", "node2", "node1")] == [2, 1, 0]


def test_the_daemon_is_told_its_number() -> None:
    number_of_node("node1")
    config = daemon_config("node2", ["127.0.0.1"], 5060, -1)
    assert worker_config(config, incarnation=1).node_number == 1


def test_when_all_numbers_are_given_a_new_node_says_what_to_do() -> None:
    Node.objects.bulk_create(Node(name=f"n{n}", number=n) for n in range(NUMBERS))
    with pytest.raises(CommandError, match=r"The database knows 256 nodes.*forget_node NAME"):
        known_to_database("one more")
    assert not Node.objects.filter(name="one more").exists()
    assert known_to_database("n7").node_number == 7


def test_a_node_that_is_gone_makes_room() -> None:
    number_of_node("node1")
    number_of_node("node2")
    call_command("forget_node", "node1")
    assert number_of_node("node3") == 0


def test_a_node_that_lives_is_not_forgotten() -> None:
    Node.objects.create(name="node1", heartbeat_at=now() - timedelta(seconds=5))
    with pytest.raises(CommandError, match="node1 is alive: stop it first"):
        call_command("forget_node", "node1")
    with pytest.raises(CommandError, match="There is no node node9"):
        call_command("forget_node", "node9")
