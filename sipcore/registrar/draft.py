"""One REGISTER's changes, worked out on a copy and written as one (RFC 3261 §10.3 item 7)."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import NamedTuple

from sipcore.bindings import (
    Binding,
    BindingChange,
    Touch,
    contact_key,
    find_contact,
    outbound_key,
)
from sipcore.registrar.policy import RegistrarPolicy, WhenFull
from sipcore.registrar.wanted import Wanted
from sipcore.transport.flow import Flow


class OutOfOrder(Exception):
    """A binding was last changed by the same Call-ID with no lower CSeq: nothing may change."""


class Full(Exception):
    """There is no room for another contact."""


class Source(NamedTuple):
    """What all contacts of one REGISTER have in common."""

    line_id: int
    call_id: str
    cseq: int
    at: float
    device_id: int
    user_agent: str
    node: str
    path: tuple[str, ...]


class Draft:
    """The bindings of a line as they will be, if everything succeeds."""

    __slots__ = ("_after", "_before", "_edited", "_mine", "_source", "_touches")

    def __init__(self, source: Source, bindings: Sequence[Binding]) -> None:
        self._source = source
        self._before = {binding.key: binding for binding in bindings}
        self._after = dict(self._before)
        self._edited = False
        """Whether `_after` may differ from `_before`."""
        self._touches: dict[str, Touch] = {}
        self._mine: set[str] = set()
        """Keys this REGISTER has spoken about: not out of order, never displaced."""

    def put(self, wanted: Wanted, flow: Flow | None) -> None:
        """Add or renew a contact; it takes the place of the same instance's earlier one."""
        before, key = self._find(wanted)
        if before is None:
            self._replace_instance(wanted, key)
            self._replace_twin(wanted)
        else:
            self._check_order(before)
            if self._is_refresh(before, wanted, flow):
                self._touch(before, wanted)
                return
            key = key or before.key
            if key != before.key:
                self._forget(before.key)
        self._touches.pop(key, None)
        self._edited = True
        self._after[key] = self._binding(wanted, key, flow, before)
        self._mine.add(key)

    def remove(self, wanted: Wanted) -> None:
        """Remove a contact if it is bound."""
        before, _ = self._find(wanted)
        if before is not None:
            self._check_order(before)
            self._forget(before.key)

    def remove_all(self) -> None:
        """What `Contact: *` asks for."""
        for binding in self._before.values():
            self._check_order(binding)
            self._forget(binding.key)

    def change(self, version: int, policy: RegistrarPolicy) -> BindingChange:
        """The change to write, from this version of the line.

        When there is nothing to change it only has the store confirm the version: what is to be
        removed may have been registered through another node, which we have not heard of yet.
        """
        self._make_room(policy)
        before, after = self._before, self._after
        touches = tuple(self._touches.values())
        upserts: tuple[Binding, ...] = ()
        deletes: tuple[str, ...] = ()
        if self._edited:
            upserts = tuple(b for key, b in after.items() if before.get(key) is not b)
            deletes = tuple(key for key in before if key not in after)
        new_version = version + 1 if upserts or deletes or touches else version
        return BindingChange(self._source.line_id, version, new_version, upserts, touches, deletes)

    def _find(self, wanted: Wanted) -> tuple[Binding | None, str]:
        """The binding this contact speaks of, and the key a new one would have, if known yet."""
        if wanted.reg_id:
            key = outbound_key(wanted.instance, wanted.reg_id)
            return self._after.get(key), key
        for binding in self._after.values():
            if binding.contact == wanted.contact and not binding.reg_id:
                return binding, binding.key
        key = contact_key(wanted.uri)
        return find_contact(self._after.values(), wanted.uri, key), key

    def _replace_instance(self, wanted: Wanted, key: str) -> None:
        """A phone that comes back under another contact leaves no binding behind."""
        if not wanted.instance or wanted.reg_id:
            return
        for other in list(self._after.values()):
            same = other.instance == wanted.instance and not other.reg_id
            if same and other.key != key and other.key not in self._mine:
                self._check_order(other)
                self._forget(other.key)

    def _replace_twin(self, wanted: Wanted) -> None:
        """A sips contact means its sip version too: the later one counts (RFC 5630 §5.1.1.1)."""
        if wanted.reg_id:
            return
        scheme, _, rest = wanted.contact.partition(":")
        other = "sips" if scheme.lower() == "sip" else "sip"
        for binding in list(self._after.values()):
            if not binding.reg_id:
                twin, _, tail = binding.contact.partition(":")
                if twin.lower() == other and tail == rest and binding.key not in self._mine:
                    self._check_order(binding)
                    self._forget(binding.key)

    def _check_order(self, binding: Binding) -> None:
        source = self._source
        ours = binding.key in self._mine
        if not ours and binding.call_id == source.call_id and binding.cseq >= source.cseq:
            raise OutOfOrder

    def _is_refresh(self, before: Binding, wanted: Wanted, flow: Flow | None) -> bool:
        """Whether nothing but times and order differs."""
        source = self._source
        return (
            before.contact == wanted.contact
            and before.flow == flow
            and before.q == wanted.q
            and before.path == source.path
            and before.instance == wanted.instance
            and before.params == wanted.params
            and before.user_agent == source.user_agent
            and before.device_id == source.device_id
            and before.node == source.node
        )

    def _touch(self, before: Binding, wanted: Wanted) -> None:
        source = self._source
        expires_at = source.at + wanted.expires_s
        touch = Touch(before.key, expires_at, source.call_id, source.cseq)
        self._mine.add(before.key)
        if self._before.get(before.key) is before:
            self._touches[before.key] = touch
        else:  # the same new contact twice in one request: the last one counts
            self._after[before.key] = before.touched(touch)

    def _forget(self, key: str) -> None:
        self._edited = True
        del self._after[key]
        self._touches.pop(key, None)

    def _binding(
        self, wanted: Wanted, key: str, flow: Flow | None, before: Binding | None
    ) -> Binding:
        source = self._source
        return Binding(
            line_id=source.line_id,
            contact=wanted.contact,
            key=wanted.contact if key == wanted.contact else key,  # one copy of the text
            call_id=source.call_id,
            cseq=source.cseq,
            expires_at=source.at + wanted.expires_s,
            q=wanted.q,
            flow=flow,
            path=source.path,
            instance=wanted.instance,
            reg_id=wanted.reg_id,
            user_agent=intern(source.user_agent),
            device_id=source.device_id,
            registered_at=source.at if before is None else before.registered_at,
            node=source.node,
            params=intern(wanted.params),
        )

    def _make_room(self, policy: RegistrarPolicy) -> None:
        excess = len(self._after) - policy.max_contacts
        if excess <= 0 or len(self._after) <= len(self._before):
            return
        others = [b for key, b in self._after.items() if key not in self._mine]
        if policy.when_full is WhenFull.REFUSE or len(others) < excess:
            raise Full
        others.sort(key=lambda binding: binding.expires_at)
        for binding in others[:excess]:
            self._forget(binding.key)
