"""Where accounts can be reached: the binding table, contact equality, the store's interface."""

from sipcore.bindings.binding import (
    DEFAULT_Q,
    Binding,
    BindingChange,
    LineBindings,
    StoreResult,
    Touch,
)
from sipcore.bindings.codec import flow_from_json, flow_to_json, path_from_json, path_to_json
from sipcore.bindings.contact import another_key, contact_key, equal_contacts, outbound_key
from sipcore.bindings.flow_token import FlowToken, FlowTokens
from sipcore.bindings.silent import SilentDevices
from sipcore.bindings.store import BindingStore, MemoryBindingStore
from sipcore.bindings.table import BindingTable

__all__ = [
    "DEFAULT_Q",
    "Binding",
    "BindingChange",
    "BindingStore",
    "BindingTable",
    "FlowToken",
    "FlowTokens",
    "LineBindings",
    "MemoryBindingStore",
    "SilentDevices",
    "StoreResult",
    "Touch",
    "another_key",
    "contact_key",
    "equal_contacts",
    "flow_from_json",
    "flow_to_json",
    "outbound_key",
    "path_from_json",
    "path_to_json",
]
