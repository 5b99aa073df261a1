"""One REGISTER's changes, worked out on a copy and written as one (RFC 3261 §10.3 item 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import intern
from typing import NamedTuple

from sipcore.bindings import (
    Binding,
    BindingChange,
    Touch,
    another_key,
    contact_key,
    equal_contacts,
    outbound_key,
)
from sipcore.errors import MalformedMessage
from sipcore.message import Uri, parse_name_addr, parse_uri
from sipcore.registrar.limits import RESTARTED_S
from sipcore.registrar.policy import RegistrarPolicy, WhenFull
from sipcore.registrar.wanted import Wanted
from sipcore.transport.flow import Flow, same_host


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
    is_alive: Callable[[Binding], bool]
    """Whether a phone is still there by the flow of its binding, as far as is known."""
    nonce_at: float
    """When the nonce was minted that its credentials answer; 0 where there are none."""


class Draft:
    """The bindings of a line as they will be, if everything succeeds.

    A contact that is reached as it is written is one phone. Of one that is reached by a flow the same
    may be written by several: routers in two homes give the same private addresses.
    """

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

    def has_kept(self, call_id: str, host: str) -> bool:
        """Whether a phone at this address was reached by its flow before, under this Call-ID."""
        for binding in self._before.values():
            flow = binding.flow
            is_kept = flow is not None and not flow.reliable and same_host(flow.remote[0], host)
            if is_kept and binding.call_id == call_id:
                return True
        return False

    def put(self, wanted: Wanted, flow: Flow | None) -> None:
        """Add or renew a contact; it takes the place of the same instance's earlier one."""
        before, key = self._find(wanted, flow)
        if before is None:
            self._replace_instance(wanted, key)
            self._replace_twin(wanted, flow)
            self._replace_restarted(wanted, flow)
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

    def remove(self, wanted: Wanted, flow: Flow | None) -> None:
        """Remove a contact if it is bound; that of another phone stays."""
        before, _ = self._find(wanted, flow)
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

    def _find(self, wanted: Wanted, flow: Flow | None) -> tuple[Binding | None, str]:
        """The binding this contact speaks of, and the key it is to have."""
        if wanted.reg_id:
            key = outbound_key(wanted.instance, wanted.reg_id)
            return self._after.get(key), key
        for binding in self._after.values():
            if (
                binding.contact == wanted.contact
                and not binding.reg_id
                and self._is_at(binding, flow)
            ):
                return binding, binding.key
        key = contact_key(wanted.uri)
        equal = equal_contacts(self._after.values(), wanted.uri, key)
        ours = [each for each in equal if self._is_same_phone(each, wanted, flow)]
        if ours:
            call_id = self._source.call_id
            ours.sort(key=lambda each: (not self._is_at(each, flow), each.call_id != call_id))
            return ours[0], ours[0].key if key in self._after else key
        if key in self._after:
            source = self._source
            key = another_key(key, f"{source.device_id} {source.call_id} {wanted.instance}")
        return None, key

    def _is_at(self, binding: Binding, flow: Flow | None) -> bool:
        """Whether a binding is reached by the way that this REGISTER came."""
        return binding.flow == flow and binding.path == self._source.path

    def _is_same_phone(self, before: Binding, wanted: Wanted, flow: Flow | None) -> bool:
        """Whether the phone that wrote an equal contact is the one that writes it now.

        From another host with another Call-ID it is a second one, while the first is there still.
        """
        source = self._source
        if self._is_at(before, flow):
            return True
        here, there = _host_of(wanted.uri, flow, source.path), self._host_of(before)
        if same_host(here, wanted.uri.host) and same_host(there, wanted.uri.host):
            return True  # as it is written it is one place
        if before.device_id != source.device_id:
            return False
        if wanted.instance and before.instance:
            return wanted.instance == before.instance
        if before.call_id == source.call_id:
            return True
        if here and same_host(here, there) and not _are_connections(before.flow, flow):
            return True
        return not source.is_alive(before)

    def _host_of(self, binding: Binding) -> str:
        uri = _uri_of(binding)
        return "" if uri is None else _host_of(uri, binding.flow, binding.path)

    def _replace_instance(self, wanted: Wanted, key: str) -> None:
        """A phone that comes back under another contact leaves no binding behind."""
        if not wanted.instance or wanted.reg_id:
            return
        for other in list(self._after.values()):
            same = other.instance == wanted.instance and not other.reg_id
            if same and other.key != key and other.key not in self._mine:
                self._check_order(other)
                self._forget(other.key)

    def _replace_restarted(self, wanted: Wanted, flow: Flow | None) -> None:
        """A phone that has restarted under another name leaves no binding behind.

        It is known by its device and its socket, and counts anew: two contacts that one phone has on
        purpose come in one request, or with the same Call-ID and a higher CSeq.
        """
        source = self._source
        if wanted.reg_id or not source.device_id or (source.path and not _is_flow(source.path)):
            return
        here, socket = _host_of(wanted.uri, flow, source.path), _socket_of(wanted.uri)
        for other in list(self._after.values()):
            if other.reg_id or other.device_id != source.device_id or other.key in self._mine:
                continue
            if other.call_id == source.call_id and other.cseq < source.cseq:
                continue
            if wanted.instance and other.instance and wanted.instance != other.instance:
                continue
            uri = _uri_of(other)
            if uri is None or _socket_of(uri) != socket:
                continue
            there = _host_of(uri, other.flow, other.path)
            is_near = bool(here) and same_host(here, there)
            if self._is_at(other, flow) or (is_near and not _are_connections(other.flow, flow)):
                self._check_order(other)
                self._forget(other.key)

    def _replace_twin(self, wanted: Wanted, flow: Flow | None) -> None:
        """A sips contact means its sip version too: the later one counts (RFC 5630 §5.1.1.1)."""
        if wanted.reg_id:
            return
        scheme, _, rest = wanted.contact.partition(":")
        other = "sips" if scheme.lower() == "sip" else "sip"
        for binding in list(self._after.values()):
            if not binding.reg_id:
                twin, _, tail = binding.contact.partition(":")
                same = twin.lower() == other and tail == rest and binding.key not in self._mine
                if same and self._is_same_phone(binding, wanted, flow):
                    self._check_order(binding)
                    self._forget(binding.key)

    def _check_order(self, binding: Binding) -> None:
        source = self._source
        if binding.key in self._mine or binding.call_id != source.call_id:
            return
        # A phone that makes the same Call-ID after each restart counts from 1 again. No copy of an
        # older request answers a challenge that is younger than what it would undo.
        has_restarted = source.nonce_at >= binding.written_at + RESTARTED_S
        if binding.cseq >= source.cseq and not has_restarted:
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
        touch = Touch(before.key, expires_at, source.call_id, source.cseq, source.at)
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
            written_at=source.at,
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


def _is_flow(path: tuple[str, ...]) -> bool:
    """Whether a Path leads to one phone alone: its first proxy keeps flows apart (RFC 5626 §5.1)."""
    return "ob" in parse_name_addr(path[0]).uri.params


def _uri_of(binding: Binding) -> Uri | None:
    try:
        return parse_uri(binding.contact)
    except MalformedMessage:
        return None


def _host_of(contact: Uri, flow: Flow | None, path: tuple[str, ...]) -> str:
    """Where a phone is seen to be; "" where only a proxy between us knows."""
    if flow is not None:
        return flow.remote[0]
    return "" if path else contact.host


def _socket_of(contact: Uri) -> tuple[str, int, str]:
    """Host, port and transport that a contact names."""
    transport = "TLS" if contact.scheme == "sips" else contact.params.get("transport") or "UDP"
    return contact.host, contact.port or 5060, transport.upper()


def _are_connections(before: Flow | None, flow: Flow | None) -> bool:
    """Whether each has a connection of its own: the end of the older one is heard of."""
    return before is not None and before.reliable and flow is not None and flow.reliable
