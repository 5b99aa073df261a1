"""From which addresses phones with a binding send."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipcore.bindings import Binding, BindingChange, BindingTable
from sipcore.transport.flow import Flow

FLOW = Flow("UDP", ("10.0.0.1", 5060), ("203.0.113.9", 40_123))


def binding(contact: str, flow: Flow | None = None, line_id: int = 1, **more: object) -> Binding:
    made = Binding(line_id, contact, contact, "call", 1, 1000.0, flow=flow)
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "host"),
    [
        (binding("sip:a@192.168.1.2", FLOW), "203.0.113.9"),
        (binding("sip:a@203.0.113.9:5070;transport=tcp"), "203.0.113.9"),
        (binding("sip:a@[2001:DB8:0::1]:5060"), "2001:db8::1"),
        (binding("sip:a@[::ffff:10.0.0.9]"), "10.0.0.9"),
    ],
)
def test_a_phone_is_known_by_where_it_sends_from(held: Binding, host: str) -> None:
    table = BindingTable()
    assert not table.is_source(host)
    table.replace(1, 1, [held])
    assert table.is_source(host)
    assert not table.is_source("192.168.1.2")
    table.replace(1, 2, [])
    assert not table.is_source(host)


def test_a_phone_behind_an_edge_proxy_is_known_by_no_address() -> None:
    table = BindingTable()
    table.replace(1, 1, [binding("sip:a@203.0.113.9", path=("<sip:edge.example;lr>",))])
    assert not table.is_source("203.0.113.9")


def test_an_address_is_known_until_the_last_phone_has_left_it() -> None:
    table = BindingTable()
    first, second = binding("sip:a@10.1.0.1:5060"), binding("sip:b@10.1.0.1:5070", line_id=2)
    table.replace(1, 1, [first])
    table.replace(2, 1, [second])
    table.drop(1)
    assert table.is_source("10.1.0.1")
    assert [gone.contact for gone in table.expire(2000.0)] == [second.contact]
    assert not table.is_source("10.1.0.1")


def test_a_phone_that_has_moved_is_known_at_its_new_address() -> None:
    table = BindingTable()
    table.replace(1, 1, [binding("sip:a@192.168.1.2", FLOW)])
    moved = binding("sip:a@192.168.1.2", FLOW._replace(remote=("198.51.100.7", 5060)))
    table.apply(BindingChange(1, 1, 2, upserts=(moved,)))
    assert table.is_source("198.51.100.7")
    assert not table.is_source("203.0.113.9")
