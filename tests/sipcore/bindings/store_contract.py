"""What every `BindingStore` must do. Subclass it and give a `store` fixture."""

from __future__ import annotations

from sipcore.bindings import Binding, BindingChange, BindingStore, LineBindings, StoreResult, Touch
from sipcore.transport.flow import Flow
from tests.sipcore.bindings.examples import AT, a_binding

RICH = a_binding(
    "rich",
    q=250,
    flow=Flow("TLS", ("192.0.2.250", 5061), ("2001:db8::7", 40404), 17),
    path=("<sip:p1.example;lr;ob>", '"Edge, two" <sip:p2.example;lr>'),
    instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>",
    reg_id=2,
    user_agent="Ünïcode phone/1.0 'quoted' \"twice\"",
    device_id=12,
    registered_at=AT - 12.25,
    expires_at=AT + 3600.123456,
    node="n1",
    params=';audio;methods="INVITE,BYE"',
    written_at=AT - 2.5,
)


def add(version: int, *bindings: Binding) -> BindingChange:
    """A change that adds bindings to their line."""
    return BindingChange(bindings[0].line_id, version, version + 1, bindings)


def line_of(store: BindingStore, line_id: int = 1) -> LineBindings:
    """What the store holds of a line."""
    found = [line for line in store.load() if line.line_id == line_id]
    return found[0] if found else LineBindings(line_id, 0, ())


class BindingStoreContract:
    """Tests that the memory store and every SQL store pass."""

    def test_new_store_holds_nothing(self, store: BindingStore) -> None:
        assert list(store.load()) == []

    def test_no_changes_give_no_results(self, store: BindingStore) -> None:
        assert store.commit([]) == []

    def test_every_field_of_a_binding_comes_back(self, store: BindingStore) -> None:
        (result,) = store.commit([add(0, RICH)])
        assert result.ok
        assert result.version == 1
        assert line_of(store) == LineBindings(1, 1, (RICH,))

    def test_line_can_hold_several_bindings(self, store: BindingStore) -> None:
        store.commit([add(0, a_binding("a"), a_binding("b"))])
        store.commit([add(1, a_binding("c"))])
        assert {b.contact for b in line_of(store).bindings} == {
            "sip:a@192.0.2.1",
            "sip:b@192.0.2.1",
            "sip:c@192.0.2.1",
        }

    def test_upsert_replaces_the_binding_of_the_same_key(self, store: BindingStore) -> None:
        store.commit([add(0, a_binding("a"))])
        newer = a_binding("a", cseq=9, q=500, user_agent="other")
        assert store.commit([add(1, newer)])[0].ok
        assert line_of(store).bindings == (newer,)

    def test_touch_changes_times_and_order_only(self, store: BindingStore) -> None:
        store.commit([add(0, RICH)])
        touch = Touch(RICH.key, AT + 7200.5, "new call", 44, AT)
        (result,) = store.commit([BindingChange(1, 1, 2, touches=(touch,))])
        assert result.ok
        assert line_of(store) == LineBindings(1, 2, (RICH.touched(touch),))

    def test_delete_removes_only_what_it_names(self, store: BindingStore) -> None:
        store.commit([add(0, a_binding("a"), a_binding("b"))])
        gone = a_binding("a").key
        assert store.commit([BindingChange(1, 1, 2, deletes=(gone, "never was"))])[0].ok
        assert line_of(store).bindings == (a_binding("b"),)

    def test_delete_and_upsert_of_one_key_leave_the_upsert(self, store: BindingStore) -> None:
        store.commit([add(0, a_binding("a"))])
        newer = a_binding("a", cseq=5)
        store.commit([BindingChange(1, 1, 2, upserts=(newer,), deletes=(newer.key,))])
        assert line_of(store).bindings == (newer,)

    def test_emptied_line_keeps_its_version(self, store: BindingStore) -> None:
        store.commit([add(0, a_binding("a"))])
        store.commit([BindingChange(1, 1, 2, deletes=(a_binding("a").key,))])
        (result,) = store.commit([add(0, a_binding("b"))])
        assert not result.ok
        assert result.version == 2
        assert result.bindings == ()

    def test_change_from_an_older_version_is_refused_whole(self, store: BindingStore) -> None:
        store.commit([add(0, a_binding("a"))])
        late = BindingChange(1, 0, 1, upserts=(a_binding("b"),), deletes=(a_binding("a").key,))
        (result,) = store.commit([late])
        assert not result.ok
        assert result.version == 1
        assert result.bindings == (a_binding("a"),)
        assert line_of(store) == LineBindings(1, 1, (a_binding("a"),))

    def test_change_from_a_version_yet_to_come_is_refused(self, store: BindingStore) -> None:
        (result,) = store.commit([add(3, a_binding("a"))])
        assert not result.ok
        assert result.version == 0
        assert result.bindings == ()

    def test_touch_of_a_missing_binding_refuses_the_whole_change(self, store: BindingStore) -> None:
        store.commit([add(0, a_binding("a"))])
        touch = Touch(a_binding("purged").key, AT + 60, "call", 2, AT)
        (result,) = store.commit([BindingChange(1, 1, 2, (a_binding("b"),), (touch,))])
        assert not result.ok
        assert result.version == 1
        assert result.bindings == (a_binding("a"),)
        assert line_of(store) == LineBindings(1, 1, (a_binding("a"),))

    def test_change_without_rows_is_compared_and_nothing_else(self, store: BindingStore) -> None:
        store.commit([add(0, a_binding("a"))])
        same, behind, unknown = store.commit(
            [BindingChange(1, 1, 1), BindingChange(1, 0, 0), BindingChange(2, 0, 0)]
        )
        assert same == StoreResult(True, 1)
        assert behind == StoreResult(False, 1, (a_binding("a"),))
        assert unknown == StoreResult(True, 0)
        assert line_of(store) == LineBindings(1, 1, (a_binding("a"),))
        assert line_of(store, 2).version == 0
        assert store.commit([add(0, a_binding("first", line_id=2))])[0].ok

    def test_batch_is_one_after_the_other_and_each_by_itself(self, store: BindingStore) -> None:
        two = a_binding("a", line_id=2)
        batch = [
            add(0, a_binding("a")),
            add(0, two),
            add(0, a_binding("loser")),
            add(1, a_binding("b")),
        ]
        results = store.commit(batch)
        assert [r.ok for r in results] == [True, True, False, True]
        assert [r.version for r in results] == [1, 1, 1, 2]
        assert results[2].bindings == (a_binding("a"),)
        assert {b.key for b in line_of(store).bindings} == {a_binding(n).key for n in ("a", "b")}
        assert line_of(store, 2).bindings == (two,)

    def test_same_key_on_two_lines_is_two_bindings(self, store: BindingStore) -> None:
        store.commit([add(0, a_binding("a", line_id=1)), add(0, a_binding("a", line_id=2))])
        store.commit([BindingChange(1, 1, 2, deletes=(a_binding("a").key,))])
        assert line_of(store, 1).bindings == ()
        assert len(line_of(store, 2).bindings) == 1
