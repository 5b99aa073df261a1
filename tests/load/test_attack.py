"""`make attack` sends what it says: whole SIP messages, each another one, from where it says."""

import pytest

from sipcore.message import parse_message
from tests.load.attack.floods import A_NETWORK, KINDS, ONE, RANDOM, Kind, Target, addresses

TARGET = Target("127.0.0.1", 5060, 5061, "anna", "campus", "nonce")
DATAGRAMS = [pytest.param(kind, id=kind.name) for kind in KINDS if kind.make is not None]


@pytest.mark.parametrize("kind", DATAGRAMS)
def test_each_datagram_of_a_flood_is_a_message_of_its_own(kind: Kind) -> None:
    assert kind.make is not None
    made = [parse_message(kind.make(TARGET, n)) for n in range(30)]
    assert len({message.call_id for message in made}) == 30
    assert len({message.via.branch for message in made}) == 30


def test_a_flood_comes_from_one_address_from_one_network_or_from_everywhere() -> None:
    networks = {
        sources: {a.rpartition(".")[0] for a in addresses(sources)} for sources in (ONE, A_NETWORK)
    }
    assert [len(addresses(sources)) for sources in (ONE, A_NETWORK)] == [1, 250]
    assert [len(found) for found in networks.values()] == [1, 1]
    assert len({a.rpartition(".")[0] for a in addresses(RANDOM)}) > 900
