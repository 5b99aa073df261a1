"""The binding table: what is live, in which version, and how it ends."""

from __future__ import annotations

import gc
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.bindings import Binding, BindingChange, BindingTable, Touch
from sipcore.transport.flow import Flow
from tests.sipcore.bindings.examples import AT, a_binding
from tests.sipcore.bindings.store_contract import add


def test_unknown_line_has_no_bindings_and_version_zero() -> None:
    table = BindingTable()
    assert table.bindings(1, AT) == []
    assert table.version(1) == 0


def test_applied_bindings_are_found_at_the_new_version() -> None:
    table = BindingTable()
    assert table.apply(add(0, a_binding("a"), a_binding("b")))
    assert table.bindings(1, AT) == [a_binding("a"), a_binding("b")]
    assert table.version(1) == 1
    assert table.count == 2


def test_expired_binding_vanishes_at_its_second_without_expire() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a", expires_s=60), a_binding("b")))
    assert len(table.bindings(1, AT + 59.9)) == 2
    assert table.bindings(1, AT + 60) == [a_binding("b")]


def test_touch_moves_the_end() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a", expires_s=60)))
    touch = Touch(a_binding("a").key, AT + 500, "call 2", 8, AT)
    assert table.apply(BindingChange(1, 1, 2, touches=(touch,)))
    (found,) = table.bindings(1, AT + 499)
    assert (found.call_id, found.cseq, found.expires_at) == ("call 2", 8, AT + 500)


def test_bindings_handed_out_do_not_change_under_the_reader() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a", expires_s=60)))
    (before,) = table.bindings(1, AT)
    table.apply(BindingChange(1, 1, 2, touches=(Touch(before.key, AT + 500, "c", 8, AT),)))
    assert before.expires_at == AT + 60


def test_change_that_came_before_is_passed_over() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a")))
    assert table.apply(add(0, a_binding("again")))
    assert table.bindings(1, AT) == [a_binding("a")]


def test_change_after_a_gap_is_not_applied() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a")))
    assert not table.apply(add(2, a_binding("b")))
    assert table.version(1) == 1
    assert table.bindings(1, AT) == [a_binding("a")]


def test_touch_of_an_unknown_binding_changes_nothing() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a")))
    touch = Touch("gone", AT + 60, "c", 2, AT)
    assert not table.apply(BindingChange(1, 1, 2, (a_binding("b"),), (touch,)))
    assert table.bindings(1, AT) == [a_binding("a")]
    assert table.version(1) == 1


def test_replace_holds_what_the_store_had() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a")))
    table.replace(1, 5, [a_binding("b"), a_binding("c")])
    assert table.version(1) == 5
    assert table.bindings(1, AT) == [a_binding("b"), a_binding("c")]
    assert table.count == 2


def test_texts_read_from_a_store_are_held_once() -> None:
    table = BindingTable()
    for line_id in (1, 2):
        contact, agent = f"sip:{line_id}@192.0.2.1", "-".join(("phone", "1.0"))
        row = a_binding(contact=contact, key=(contact + " ")[:-1], user_agent=agent)
        table.replace(line_id, 1, [row])
    (one,), (two,) = table.bindings(1, AT), table.bindings(2, AT)
    assert one.key is one.contact
    assert one.user_agent is two.user_agent


def test_replace_by_something_older_is_passed_over() -> None:
    table = BindingTable()
    table.replace(1, 5, [a_binding("new")])
    table.replace(1, 4, [])
    assert table.bindings(1, AT) == [a_binding("new")]


def test_deleting_the_last_binding_keeps_the_version() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a")))
    table.apply(BindingChange(1, 1, 2, deletes=(a_binding("a").key,)))
    assert table.bindings(1, AT) == []
    assert table.version(1) == 2
    assert table.count == 0


def test_drop_forgets_line_and_version() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a")))
    assert table.drop(1) == (a_binding("a"),)
    assert table.drop(1) == ()
    assert table.version(1) == 0
    assert table.count == 0
    assert table.expire(AT + 9999) == []


def test_expire_removes_and_reports_each_ended_binding_once() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a", expires_s=60), a_binding("b", expires_s=90)))
    assert table.expire(AT + 59) == []
    assert [b.contact for b in table.expire(AT + 61)] == ["sip:a@192.0.2.1"]
    assert table.expire(AT + 61) == []
    assert table.count == 1
    assert [b.contact for b in table.expire(AT + 10_000)] == ["sip:b@192.0.2.1"]
    assert table.count == 0


def test_expire_leaves_what_was_refreshed_and_comes_back_for_it() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a", expires_s=60)))
    table.apply(BindingChange(1, 1, 2, touches=(Touch(a_binding("a").key, AT + 120, "c", 2, AT),)))
    assert table.expire(AT + 100) == []
    assert len(table.expire(AT + 121)) == 1


def test_end_that_comes_nearer_is_honoured() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a", expires_s=3600)))
    table.apply(BindingChange(1, 1, 2, touches=(Touch(a_binding("a").key, AT + 60, "c", 2, AT),)))
    assert len(table.expire(AT + 61)) == 1
    assert table.expire(AT + 9999) == []


def test_expire_stops_at_its_limit_and_goes_on_next_time() -> None:
    table = BindingTable()
    for line_id in range(1, 101):
        table.apply(add(0, a_binding("a", line_id=line_id, expires_s=60)))
    ended = [len(table.expire(AT + 100, limit=30)) for _ in range(5)]
    assert ended == [30, 30, 30, 10, 0]
    assert table.count == 0


def test_refreshing_a_thousand_times_leaves_one_calendar_entry() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a")))
    key = a_binding("a").key
    for n in range(1, 1000):
        table.apply(BindingChange(1, n, n + 1, touches=(Touch(key, AT + 3600 + n, "c", n + 1, AT),)))
    assert sum(map(len, table._calendar.values())) == 1


def test_line_dropped_and_registered_again_expires_once() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a", expires_s=60)))
    table.drop(1)
    table.apply(add(0, a_binding("a", expires_s=60)))
    assert len(table.expire(AT + 100)) == 1


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4), st.sampled_from("abc"), st.integers(0, 300), st.integers(0, 40)
        ),
        max_size=60,
    )
)
def test_table_agrees_with_a_plain_dictionary(
    steps: list[tuple[int, str, int, int]],
) -> None:
    """Random upserts, touches and passing time against the obvious model."""
    table = BindingTable()
    model: dict[tuple[int, str], Binding] = {}
    at = AT
    for line_id, name, expires_s, passed in steps:
        at += passed
        binding = a_binding(name, line_id=line_id, expires_at=at + expires_s)
        version = table.version(line_id)
        live = {b.key for b in table.bindings(line_id, at)}
        if binding.key in live and expires_s % 2:
            touch = Touch(binding.key, at + expires_s, "t", 2, AT)
            change = BindingChange(line_id, version, version + 1, touches=(touch,))
            model[line_id, binding.key] = model[line_id, binding.key].touched(touch)
        else:
            change = add(version, binding)
            model[line_id, binding.key] = binding
        assert table.apply(change)
        if passed % 3 == 0:
            table.expire(at, limit=2)
        for line in range(1, 5):
            expected = {b.key: b for b in model.values() if b.line_id == line and b.expires_at > at}
            assert {b.key: b for b in table.bindings(line, at)} == expected
    table.expire(at + 10_000)
    assert table.count == 0
    assert not table._calendar


def test_thirty_thousand_lines_cost_less_than_a_kilobyte_each() -> None:
    """Worst usual case: every phone behind NAT, with an instance and a Call-ID of its own."""
    rng = random.Random(1)
    lines = 10_000  # dearer per line than 30,000 are: the calendar is as long
    agents = [f"Linphone/5.{n} (belle-sip/5.3)" for n in range(5)]
    local = ("192.0.2.250", 5060)
    gc.collect()
    tracemalloc.start()
    table = BindingTable()
    for line_id in range(1000, 1000 + lines):
        host = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}"
        contact = f"sip:student{line_id}@{host}:{rng.randrange(1024, 65536)};transport=udp"
        uuid = f"{rng.getrandbits(128):032x}"
        table.apply(
            add(
                0,
                Binding(
                    line_id=line_id,
                    contact=contact,
                    key=contact,
                    call_id=f"{rng.getrandbits(64):016x}@{host}",
                    cseq=rng.randrange(1000, 60000),
                    expires_at=AT + rng.random() * 3600,
                    flow=Flow("UDP", local, (f"198.51.100.{line_id % 256}", 1024 + line_id)),
                    instance=f"<urn:uuid:{uuid}>",
                    user_agent=agents[line_id % 5],
                    device_id=line_id * 2,
                    registered_at=AT + rng.random(),
                    node="n1",
                ),
            )
        )
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table.count == lines
    assert held / lines < 1024


# --- where a phone is that has left its flow -----------------------------------------------------
def a_flow(number: int) -> Flow:
    return Flow("TCP", ("192.0.2.250", 5060), ("198.51.100.7", 40_000 + number), number)


PHONE, OTHER = "<urn:uuid:1>", "<urn:uuid:2>"


@pytest.mark.rfc("REG-26")
@pytest.mark.parametrize(
    ("before", "after", "number"),
    [
        ({"instance": PHONE}, [{"instance": PHONE, "flow": a_flow(2)}], 2),
        ({"device_id": 7}, [{"device_id": 7, "flow": a_flow(2)}], 2),
        ({"instance": PHONE}, [], 1),
        # Another phone, or another device.
        ({"instance": PHONE}, [{"instance": OTHER, "flow": a_flow(2)}], 1),
        ({"device_id": 7}, [{"device_id": 8, "flow": a_flow(2)}], 1),
        ({"device_id": 7}, [{"device_id": 7, "instance": PHONE, "flow": a_flow(2)}], 1),
        # Which of two phones of one device it was nobody knows; two flows of one instance are its own.
        ({"device_id": 7}, [{"device_id": 7, "flow": a_flow(n)} for n in (2, 3)], 1),
        (
            {"instance": PHONE},
            [{"instance": PHONE, "flow": a_flow(n), "expires_s": 100 * n} for n in (3, 2)],
            3,
        ),
        # It is not where the proxy is that it has registered through, nor where no flow leads to it.
        ({"instance": PHONE}, [{"instance": PHONE, "flow": a_flow(2), "path": ("<sip:p;lr>",)}], 1),
        ({"instance": PHONE}, [{"instance": PHONE}], 1),
        # It has come back by the flow that it had left, or is no longer registered.
        ({"instance": PHONE}, [{"instance": PHONE, "flow": a_flow(n)} for n in (1, 2)], 1),
        ({"instance": PHONE}, [{"instance": PHONE, "flow": a_flow(2), "expires_s": -1}], 1),
    ],
)
def test_where_a_phone_is_that_has_left_its_flow(
    before: dict[str, Any], after: list[dict[str, Any]], number: int
) -> None:
    table = BindingTable()
    old = a_binding("old", flow=a_flow(1), **before)
    table.apply(add(0, old))
    assert table.flow_now(a_flow(1), AT) == a_flow(1)
    table.apply(BindingChange(1, 1, 2, deletes=(old.key,)))
    fresh = [a_binding(f"new{i}", **fields) for i, fields in enumerate(after)]
    table.apply(BindingChange(1, 2, 3, upserts=tuple(fresh)))
    assert table.flow_now(a_flow(1), AT) == a_flow(number)
    assert table.flow_now(a_flow(9), AT) == a_flow(9)  # nobody has ever had it


def test_repr_says_how_much_is_held() -> None:
    table = BindingTable()
    table.apply(add(0, a_binding("a")))
    assert repr(table) == "<BindingTable bindings=1 lines=1>"
