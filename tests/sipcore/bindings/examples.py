"""Bindings for tests."""

from __future__ import annotations

from typing import Any

from sipcore.bindings import Binding

AT = 1_800_000_000.0


def a_binding(name: str = "a", line_id: int = 1, expires_s: float = 3600, **fields: Any) -> Binding:
    """A binding whose contact, key and Call-ID follow from `name`."""
    values: dict[str, Any] = {
        "line_id": line_id,
        "contact": f"sip:{name}@192.0.2.1",
        "key": f"sip:{name}@192.0.2.1",
        "call_id": f"call-{name}",
        "cseq": 1,
        "expires_at": AT + expires_s,
        "registered_at": AT,
    }
    return Binding(**(values | fields))
