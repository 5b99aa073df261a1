"""Devices of one account that register at once, at random workers of two nodes.

Whatever the order that their requests are taken in, the outcome is that of one after the other:
what each is told, and what is stored. The rules are those of the registrar's own tests (`Model`).
"""

from __future__ import annotations

import copy
from random import Random

import pytest

from sipcore.registrar import RegistrarPolicy
from tests.sipcore.registrar.test_two_nodes import CAP, Model
from tests.sipcore.simulation.phone import Outgoing, Phone
from tests.sipcore.simulation.world import SIZES, Size, World

ROUNDS = 1000
MOVES = ("refresh", "refresh", "move", "leave", "clear")


class Races:
    """Five phones of bob, and what a registrar with one request at a time would hold."""

    def __init__(self, size: Size) -> None:
        self.random = Random(20261123)
        self.world = World(1, size, ["bob"], policy=RegistrarPolicy(max_contacts=CAP))
        self.phones = [Phone(self.world, "bob", (f"10.1.0.{i}", 5060)) for i in range(1, 6)]
        self.model = Model()
        self.in_turn = 0

    def run_round(self) -> None:
        moves = [(phone, self.random.choice(MOVES)) for phone in self.random.sample(self.phones, 2)]
        sent = [self.send(phone, move) for phone, move in moves]
        self.world.run(2)
        assert [outgoing.status for outgoing in sent] == [200, 200]
        told = [set(contacts_of(outgoing)) for outgoing in sent]
        [line] = self.world.store.load()
        stored = {binding.contact for binding in line.bindings}
        outcomes = []
        for order in ((0, 1), (1, 0)):
            model = copy.deepcopy(self.model)
            expected = [set[str](), set[str]()]
            for i in order:
                model.handle(moves[i][1], sent[i].request, self.world.network.at)
                expected[i] = set(model.held)
            if expected == told and set(model.held) == stored:
                outcomes.append((order, model))
        assert outcomes, f"{self.world}: {moves}: {told}, stored {stored}, was {self.model.held}"
        order, self.model = outcomes[0]
        self.in_turn += len(outcomes) == 1 and order == (0, 1)

    def send(self, phone: Phone, move: str) -> Outgoing:
        if move == "clear":
            return phone.register(0, "*")
        port = 5060 if move in ("refresh", "leave") else self.random.randrange(1024, 5000)
        expires = 0 if move == "leave" else self.random.randrange(600, 7000)
        last = phone.address[0][-1]
        instance = f';+sip.instance="<urn:uuid:{last}>"' if int(last) % 2 else ""
        contact = f"<sip:bob@{phone.address[0]}:{port}>;expires={expires}{instance}"
        return phone.register(expires, contact)


def contacts_of(outgoing: Outgoing) -> list[str]:
    return [contact.uri_text for contact in outgoing.finals[0].contacts]


@pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])
def test_a_thousand_times_two_phones_register_at_once(size: Size) -> None:
    races = Races(size)
    for _ in range(ROUNDS):
        races.run_round()
    assert races.in_turn > ROUNDS / 10  # so often the other order would have been seen
    for worker in races.world.workers:
        [account] = races.world.directory.accounts()
        held = {b.contact for b in worker.bindings.bindings(account.id, races.world.network.at)}
        assert held == set(races.model.held)
