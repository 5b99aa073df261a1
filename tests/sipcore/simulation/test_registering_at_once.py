"""Devices of one account that register at once, at random workers of two nodes.

Whatever the order that their requests are taken in, the outcome is that of one after the other:
what each is told, and what is stored. The rules are those of the registrar's own tests (`Model`).
"""

from __future__ import annotations

import copy
from random import Random

import pytest

from sipcore.campus.limits import MAX_WAITING_PER_LINE
from sipcore.registrar import RegistrarPolicy
from tests.sipcore.conformance.test_registrar import Registering
from tests.sipcore.registrar.test_two_nodes import CAP, Model
from tests.sipcore.simulation import world as worlds
from tests.sipcore.simulation.phone import Outgoing, Phone
from tests.sipcore.simulation.world import DOMAIN, SIZES, Size, World

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["one worker", "two nodes of three"])

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


def test_a_thousand_times_two_phones_register_at_once(size: Size) -> None:
    races = Races(size)
    for _ in range(ROUNDS):
        races.run_round()
    assert races.in_turn > ROUNDS / 10  # so often the other order would have been seen
    for worker in races.world.workers:
        [account] = races.world.directory.accounts()
        held = {b.contact for b in worker.bindings.bindings(account.id, races.world.network.at)}
        assert held == set(races.model.held)


def test_of_one_account_only_so_many_wait_for_the_store(
    size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its database is slow: the others are told to come back, and other accounts go on."""
    world = World(1, size, ["bob", "clara"])
    bob, clara = Registering(world), Phone(world, "clara", ("10.1.0.3", 5060))
    bob.phone._node = lambda: world.nodes[0].address  # type: ignore[method-assign]
    with monkeypatch.context() as patch:
        patch.setattr(worlds, "STORE_DELAY_S", 5.0)
        writing = bob.send(f"<{bob.contact(5070)}>")
    waiting = []
    for number in range(MAX_WAITING_PER_LINE + 2):
        request = bob.phone.build("REGISTER", f"sip:{DOMAIN}", call_id=f"query-{number}")
        request.set("To", f"<sip:bob@{DOMAIN}>")
        request.remove("Contact")
        waiting.append(bob.phone.start(request, world.nodes[0].address))
    hers = clara.register()
    world.run(1)
    assert hers.status == 200
    assert writing.status == 0
    refused = [outgoing.finals[0] for outgoing in waiting if outgoing.status]
    assert [(r.status, r.first("retry-after")) for r in refused] == [(503, "5")] * 3
    world.run(5)
    assert writing.status == 200
    assert sorted(outgoing.status for outgoing in waiting) == (
        [200] * (MAX_WAITING_PER_LINE - 1) + [503] * 3
    )
    assert list(bob.listed()) == [bob.contact(5070)]
    world.run(40)
    world.check_nothing_left()
