"""The memory store keeps the contract of all stores."""

from __future__ import annotations

import pytest

from sipcore.bindings import MemoryBindingStore
from tests.sipcore.bindings.examples import AT, a_binding
from tests.sipcore.bindings.store_contract import BindingStoreContract, add, line_of


@pytest.fixture
def store() -> MemoryBindingStore:
    return MemoryBindingStore()


class TestMemoryBindingStore(BindingStoreContract):
    """The contract, in memory."""


def test_purge_removes_what_has_expired_and_keeps_versions(store: MemoryBindingStore) -> None:
    store.commit([add(0, a_binding("short", expires_s=60), a_binding("long"))])
    assert store.purge(AT + 60) == 1
    assert len(store) == 1
    assert line_of(store).version == 1
