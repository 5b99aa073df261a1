"""Two phones of one account, each at a node of its own, at once: right by construction.

A node computes from its own table, and the store takes the change only from the version it was
computed from. Whoever comes second gets what is stored now and computes again.
"""

from __future__ import annotations

import random

import pytest

from sipcore.bindings import BindingChange, MemoryBindingStore
from sipcore.message import Request, Response
from sipcore.registrar import RegistrarPolicy
from tests.sipcore.registrar.harness import ANNA, UUID, Node, a_register, expires_of

ROUNDS = 1000
CAP = 3


def two_nodes() -> tuple[Node, Node]:
    store = MemoryBindingStore()
    policy = RegistrarPolicy(max_contacts=CAP)
    return Node("n1", store, policy), Node("n2", store, policy)


def heal(node: Node) -> None:
    """What re-reading the other writer's stream does: hold what is stored."""
    for line in node.store.load():
        node.table.replace(*line)


def stored(node: Node) -> set[str]:
    return {b.contact for line in node.store.load() for b in line.bindings}


def race(nodes: tuple[Node, Node], requests: tuple[Request, Request]) -> list[Response]:
    """Both compute before either is stored; then both are stored, the first one first."""
    started = [node.start(request) for node, request in zip(nodes, requests, strict=True)]
    answers = []
    for node, request, outcome in zip(nodes, requests, started, strict=True):
        if isinstance(outcome, BindingChange):
            outcome = node.finish(request, outcome)
        answers.append(outcome)
    for node in nodes:
        heal(node)
    return answers


def test_loser_computes_again_and_lists_the_winners_contact() -> None:
    nodes = two_nodes()
    first = a_register("<sip:a@192.0.2.7>", call_id="a")
    second = a_register("<sip:b@192.0.2.7:5062>", call_id="b")
    answers = race(nodes, (first, second))
    assert [list(expires_of(answer)) for answer in answers] == [
        ["sip:a@192.0.2.7"],
        ["sip:a@192.0.2.7", "sip:b@192.0.2.7:5062"],
    ]
    assert [node.conflicts for node in nodes] == [0, 1]
    assert nodes[0].bindings() == nodes[1].bindings()


def test_late_register_that_loses_the_race_is_out_of_order_after_all() -> None:
    nodes = two_nodes()
    newer = a_register("<sip:a@192.0.2.7>;expires=600", call_id="a", cseq=9)
    older = a_register("<sip:a@192.0.2.7>;expires=0", "<sip:z@192.0.2.7>", call_id="a", cseq=8)
    answers = race(nodes, (newer, older))
    assert [answer.status for answer in answers] == [200, 500]
    assert stored(nodes[0]) == {"sip:a@192.0.2.7"}


def test_refresh_of_what_another_node_removed_registers_anew() -> None:
    nodes = two_nodes()
    nodes[1].register(a_register("<sip:a@192.0.2.7>", call_id="a"))
    heal(nodes[0])
    star = a_register("*", call_id="admin", headers=[("Expires", "0")])
    refresh = a_register("<sip:a@192.0.2.7>", call_id="a", cseq=2)
    answers = race(nodes, (star, refresh))
    assert answers[0].contacts == []
    assert expires_of(answers[1]) == {"sip:a@192.0.2.7": 3600}
    assert stored(nodes[0]) == {"sip:a@192.0.2.7"}


def test_removal_through_a_node_that_has_not_heard_of_the_contact_removes_it() -> None:
    one, two = two_nodes()
    one.register(a_register("<sip:a@192.0.2.7>", call_id="a"))
    response = two.register(a_register("<sip:a@192.0.2.7>;expires=0", call_id="a", cseq=2))
    assert response.contacts == []
    assert stored(two) == set()


@pytest.mark.parametrize("seed", [20261123])
def test_a_thousand_races_leave_every_table_and_answer_right(seed: int) -> None:
    """Each round two of five phones refresh, move, leave or clear at once, in random order.

    The model is what a registrar that handles one request at a time would hold.
    """
    rng = random.Random(seed)
    nodes = two_nodes()
    model = Model()
    for number in range(1, ROUNDS + 1):
        for node in nodes:
            node.at += 5
        phones = rng.sample(range(5), 2)
        order = rng.choice([nodes, nodes[::-1]])
        moves = [rng.choice(["refresh", "refresh", "move", "leave", "clear"]) for _ in phones]
        requests = [
            register_of(phone, move, number, rng) for phone, move in zip(phones, moves, strict=True)
        ]
        answers = race(order, (requests[0], requests[1]))
        for move, request, answer in zip(moves, requests, answers, strict=True):
            model.handle(move, request, order[0].at)
            assert answer.status == 200
            assert expires_of(answer) == model.listed(order[0].at), f"round {number}"
        assert nodes[0].bindings() == nodes[1].bindings()
        assert stored(nodes[0]) == set(model.listed(order[0].at)), f"round {number}"
        assert nodes[0].table.version(ANNA.id) == nodes[1].table.version(ANNA.id)
    assert sum(node.conflicts for node in nodes) > ROUNDS / 2


def register_of(phone: int, move: str, number: int, rng: random.Random) -> Request:
    """A REGISTER of one of five phones; odd ones have an instance, so that they replace themselves."""
    port = 1012 * 5 if move in ("refresh", "leave") else rng.randrange(1024, 5000) * 5
    instance = f';+sip.instance="{UUID[:-2]}{phone}>"' if phone % 2 else ""
    if move == "clear":
        return a_register("*", call_id=f"phone{phone}", cseq=number, headers=[("Expires", "0")])
    expires = 0 if move == "leave" else rng.randrange(600, 7000)
    contact = f"<sip:p{phone}@192.0.2.7:{port + phone}>;expires={expires}{instance}"
    return a_register(contact, call_id=f"phone{phone}", cseq=number)


class Model:
    """The rules in their plainest form: one dictionary, one request at a time."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[float, str | None]] = {}
        """Contact → (end, instance)."""

    def handle(self, move: str, request: Request, at: float) -> None:
        self.held = {c: entry for c, entry in self.held.items() if entry[0] > at}
        if move == "clear":
            self.held.clear()
            return
        (contact,) = request.contacts
        if move == "leave":
            self.held.pop(contact.uri_text, None)
            return
        instance = contact.params.get("+sip.instance")
        if contact.uri_text not in self.held and instance is not None:
            self.held = {c: e for c, e in self.held.items() if e[1] != instance}
        added = contact.uri_text not in self.held
        self.held[contact.uri_text] = (at + int(contact.params["expires"] or 0), instance)
        if added and len(self.held) > CAP:
            others = [c for c in self.held if c != contact.uri_text]
            del self.held[min(others, key=lambda c: self.held[c][0])]

    def listed(self, at: float) -> dict[str, int]:
        return {contact: round(end - at) for contact, (end, _) in self.held.items()}
