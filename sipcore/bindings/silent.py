"""Registered devices that have answered nothing lately: for their owners to see.

A phone that has lost its network stays registered for up to two hours. One call without an answer is a
moment; two in a row, or one that asks it whether it is there, are told. Whatever comes from it clears it.
"""

from __future__ import annotations

from collections.abc import Callable

from sipcore.bindings.binding import Binding
from sipcore.bindings.limits import CALLS_TO_TELL, MAX_SILENT
from sipcore.eventlog import Kind, Record
from sipcore.transport.flow import Address


class _Silence:
    """What was tried in vain."""

    __slots__ = ("calls", "context", "is_told", "line_id", "remote", "since")

    def __init__(self, line_id: int, remote: Address, since: float) -> None:
        self.line_id = line_id
        self.remote = remote
        self.since = since
        """UTC, seconds: of the first attempt."""
        self.calls = 0
        self.context = ""
        """Of the last call: of a fork each way to the device may tell of it."""
        self.is_told = False


class SilentDevices:
    """Silences by device. `emit` takes records; `at` is UTC in seconds."""

    __slots__ = ("_emit", "_silences", "remotes")

    def __init__(self, emit: Callable[[Record], None]) -> None:
        self._emit = emit
        self._silences: dict[int, _Silence] = {}
        self.remotes: dict[Address, int] = {}
        """Where they were tried, and which one. Empty nearly always: ask it first, that costs nothing."""

    def missed(self, binding: Binding, remote: Address, context: str, at: float) -> None:
        """The device has answered nothing to the INVITE of this call."""
        silence = self._silence(binding, remote, at)
        if silence is not None and silence.context != context:
            silence.context = context
            silence.calls += 1
            if silence.calls >= CALLS_TO_TELL:
                self._tell(binding.device_id, silence, at)

    def missed_probe(self, binding: Binding, remote: Address, at: float) -> None:
        """The device has not answered when it was asked whether it is there."""
        silence = self._silence(binding, remote, at)
        if silence is not None:
            self._tell(binding.device_id, silence, at)

    def heard_from(self, remote: Address, at: float) -> None:
        """Something came from there, which is one of `remotes`."""
        self.heard(self.remotes.get(remote, 0), at)

    def heard_at(self, binding: Binding | None, at: float) -> None:
        """The device that has registered this has answered."""
        if binding is not None:
            self.heard(binding.device_id, at)

    def heard(self, device_id: int, at: float) -> None:
        """Something came from this device."""
        silence = self._forget(device_id)
        if silence is not None and silence.is_told:
            fields = {"line": silence.line_id, "device": device_id}
            self._emit(Record(Kind.DEVICE_HEARD, "", at, fields))

    def _forget(self, device_id: int) -> _Silence | None:
        silence = self._silences.pop(device_id, None)
        if silence is not None and self.remotes.get(silence.remote) == device_id:
            del self.remotes[silence.remote]
        return silence

    def _silence(self, binding: Binding, remote: Address, at: float) -> _Silence | None:
        device_id = binding.device_id
        if not device_id:
            return None
        silence = self._silences.get(device_id)
        if silence is None:
            if len(self._silences) >= MAX_SILENT:
                self._forget(next(iter(self._silences)))
            silence = self._silences[device_id] = _Silence(binding.line_id, remote, at)
            self.remotes[remote] = device_id
        return silence

    def _tell(self, device_id: int, silence: _Silence, at: float) -> None:
        if not silence.is_told:
            silence.is_told = True
            fields = {"line": silence.line_id, "device": device_id, "since": silence.since}
            self._emit(Record(Kind.DEVICE_SILENT, "", at, fields))
