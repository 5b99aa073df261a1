"""The SQL store keeps the contract of all stores, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from sipcore.bindings import BindingChange, Touch
from tests.sipcore.bindings.examples import AT, a_binding
from tests.sipcore.bindings.store_contract import RICH, BindingStoreContract, add, line_of
from voip_portal.bridge.binding_store import SqlBindingStore
from voip_portal.bridge.management.commands.sipd import driver_settings
from voip_portal.location.router import ALIAS


@pytest.fixture
def settings_of_bindings() -> dict[str, Any]:
    alias = ALIAS if ALIAS in connections else "default"
    return driver_settings(connections[alias].settings_dict)


@pytest.fixture
def store(settings_of_bindings: dict[str, Any]) -> Iterator[SqlBindingStore]:
    made = SqlBindingStore(settings_of_bindings)
    yield made
    for table in ("location_binding", "location_aor"):
        made.database.execute(f"DELETE FROM {table}")  # noqa: S608
    made.database.close()


@pytest.mark.django_db(transaction=True, databases="__all__")
class TestSqlBindingStore(BindingStoreContract):
    """The contract, in SQL."""

    def test_group_with_a_loser_writes_the_others(self, store: SqlBindingStore) -> None:
        store.commit([add(0, a_binding("a", line_id=n)) for n in (1, 2, 3)])
        touches = [
            BindingChange(n, base, base + 1, touches=(Touch(a_binding("a").key, AT + 9, "c", 9, AT),))
            for n, base in ((1, 1), (2, 7), (3, 1))
        ]
        assert [r.ok for r in store.commit(touches)] == [True, False, True]
        assert line_of(store, 2).bindings == (a_binding("a", line_id=2),)
        assert line_of(store, 3).bindings[0].expires_at == AT + 9

    def test_group_of_every_kind_of_change(self, store: SqlBindingStore) -> None:
        store.commit([add(0, a_binding("a", line_id=n)) for n in (1, 2, 3)])
        key = a_binding("a").key
        results = store.commit(
            [
                BindingChange(1, 1, 2, touches=(Touch(key, AT + 9, "c", 9, AT),)),
                BindingChange(2, 1, 2, deletes=(key,)),
                BindingChange(3, 1, 2, (a_binding("b", line_id=3),), (), (key,)),
                add(0, a_binding("new", line_id=4)),
            ]
        )
        assert all(r.ok for r in results)
        assert line_of(store, 1).bindings[0].cseq == 9
        assert line_of(store, 2).bindings == ()
        assert line_of(store, 3).bindings == (a_binding("b", line_id=3),)
        assert line_of(store, 4).version == 1

    def test_purge_removes_what_has_expired(self, store: SqlBindingStore) -> None:
        store.commit([add(0, RICH)])
        assert store.purge(RICH.expires_at - 1) == 0
        assert store.purge(RICH.expires_at) == 1
        assert line_of(store).version == 1

    def test_two_nodes_that_write_the_same_lines_lose_nothing(
        self, store: SqlBindingStore, settings_of_bindings: dict[str, Any]
    ) -> None:
        lines = range(1, 31)
        store.commit([add(0, a_binding("a", line_id=n)) for n in lines])
        won: list[int] = []

        def refresh(order: list[int]) -> None:
            mine = SqlBindingStore(settings_of_bindings)
            for turn in range(1, 6):
                touch = Touch(a_binding("a").key, AT + turn, "c", turn, AT)
                changes = [BindingChange(n, turn, turn + 1, touches=(touch,)) for n in order]
                won.extend(r.ok for r in mine.commit(changes))
            mine.database.close()

        threads = [
            threading.Thread(target=refresh, args=(order,))
            for order in (list(lines), list(reversed(lines)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        versions = {line_of(store, n).version for n in (1, 15, 30)}
        assert sum(won) == sum(line.version - 1 for line in store.load())
        assert max(versions) == 6
