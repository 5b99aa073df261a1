"""What a registration leaves behind, and how it changes: immutable values (RFC 3261 §10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from sipcore.transport.flow import Flow

DEFAULT_Q: Final = 1000


@dataclass(slots=True, frozen=True)
class Binding:
    """One contact of an address-of-record, as one device registered it.

    Never changed in place: a change may be on its way to the store, to other workers and to other
    nodes at the same time.
    """

    line_id: int
    """The account whose address-of-record this is."""
    contact: str
    """The contact's URI as registered, without header parameters."""
    key: str
    """Identity within the line, see `contact_key` and `outbound_key`."""
    call_id: str
    cseq: int
    expires_at: float
    q: int = DEFAULT_Q
    """Preference in thousandths."""
    flow: Flow | None = None
    """Where it registered from, when the contact cannot be reached as written; else None."""
    path: tuple[str, ...] = ()
    """Route values to the contact, in order (RFC 3327)."""
    instance: str = ""
    """Value of +sip.instance without quotes, angle brackets included (RFC 5626 §4.1)."""
    reg_id: int = 0
    """The reg-id when outbound processing was applied, else 0 (RFC 5626 §6)."""
    user_agent: str = ""
    device_id: int = 0
    """The device whose secret authenticated it; 0 when there was none."""
    registered_at: float = 0.0
    """When this contact was first registered; refreshes leave it."""
    node: str = ""
    """The node that took the registration: only it can use a stream flow."""
    params: str = ""
    """Further Contact parameters as text, `;audio;methods="INVITE,BYE"` (RFC 3840 §5)."""
    written_at: float = 0.0
    """When the phone last registered it, by a change or a refresh; UTC seconds."""

    def touched(self, touch: Touch) -> Binding:
        """This binding with the times and the order of a refresh."""
        return Binding(
            self.line_id,
            self.contact,
            self.key,
            touch.call_id,
            touch.cseq,
            touch.expires_at,
            self.q,
            self.flow,
            self.path,
            self.instance,
            self.reg_id,
            self.user_agent,
            self.device_id,
            self.registered_at,
            self.node,
            self.params,
            touch.written_at,
        )


class Touch(NamedTuple):
    """A refresh that changes only times and order."""

    key: str
    expires_at: float
    call_id: str
    cseq: int
    written_at: float


class BindingChange(NamedTuple):
    """What one REGISTER changes on one line: all of it or nothing, and only from `base_version`.

    One without rows has `new_version` equal to `base_version` and changes nothing: it asks whether
    the line is still at that version.
    """

    line_id: int
    base_version: int
    new_version: int
    upserts: tuple[Binding, ...] = ()
    touches: tuple[Touch, ...] = ()
    deletes: tuple[str, ...] = ()
    """Keys. Deletes go first, then upserts and touches."""


class StoreResult(NamedTuple):
    """What the store says to a change."""

    ok: bool
    version: int
    """The line's version now."""
    bindings: tuple[Binding, ...] | None = None
    """On a conflict: what the store holds, to compute the change again from."""


class LineBindings(NamedTuple):
    """All the store holds of one line."""

    line_id: int
    version: int
    bindings: tuple[Binding, ...]
