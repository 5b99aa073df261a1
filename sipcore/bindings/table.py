"""The bindings of all lines in memory: what routing reads and the registrar computes from.

Most lines have one phone, so a line holds its only binding itself and a tuple when there are more.
Expiry is a calendar of seconds, each with the lines to look at then. A line is entered once, for
the earliest end among its bindings; a refresh, which only moves ends away, costs nothing, and the
line is entered anew when it has been looked at. Reading never shows what has expired, whether or
not `expire` has come by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from sys import intern

from sipcore.bindings.binding import Binding, BindingChange
from sipcore.bindings.limits import DEFAULT_EXPIRE_LIMIT, MAX_LEFT_FLOWS
from sipcore.transport.flow import Flow


class _Line:
    """Version and bindings of one line. Emptied lines stay, for their version."""

    __slots__ = ("held", "look_at", "version")

    def __init__(self) -> None:
        self.version = 0
        self.held: Binding | tuple[Binding, ...] = ()
        self.look_at = 0
        """The second of the calendar this line is entered under; 0 for none."""


class BindingTable:
    """Bindings by line id, each line at a version of the store."""

    __slots__ = ("_calendar", "_count", "_left", "_lines", "_next_second")

    def __init__(self) -> None:
        self._lines: dict[int, _Line] = {}
        self._calendar: dict[int, list[int]] = {}
        self._next_second = 0
        """No second before this one is in the calendar."""
        self._count = 0
        self._left: dict[Flow, Binding] = {}
        """By flows that phones have left: the last binding that had it."""

    def __repr__(self) -> str:
        return f"<BindingTable bindings={self._count} lines={len(self._lines)}>"

    @property
    def count(self) -> int:
        """Bindings held, among them those that expired since `expire` came by."""
        return self._count

    def bindings(self, line_id: int, at: float) -> list[Binding]:
        """The live bindings of a line."""
        line = self._lines.get(line_id)
        if line is None:
            return []
        held = line.held
        if isinstance(held, Binding):
            return [held] if held.expires_at > at else []
        return [binding for binding in held if binding.expires_at > at]

    def live(self, at: float) -> Callable[[int], list[Binding]]:
        """What gives the live bindings of a line, as of one time."""

        def of_line(line_id: int) -> list[Binding]:
            return self.bindings(line_id, at)

        return of_line

    def flow_now(self, flow: Flow, at: float) -> Flow:
        """Where the phone that had this flow is reached now; the same flow where none is known.

        A phone that lost its connection comes back by another, and goes on with its call. It is
        known by its instance (RFC 5626), by the binding it has renewed, or else by the device whose
        secret it has, if only one contact has it.
        """
        now = self.phone_now(flow, at) if self._left else None
        return flow if now is None else now.flow or flow

    def phone_now(self, flow: Flow, at: float) -> Binding | None:
        """The binding of the phone that had this flow and has registered anew, as `flow_now` knows it.

        None where it has not, or where that cannot be told: another phone of its owner is none of this.
        """
        before = self._left.get(flow)
        if before is None:
            return None
        live = [b for b in self.bindings(before.line_id, at) if not b.path]
        with_flow = _same_phone(before, [b for b in live if b.flow is not None])
        return with_flow or _same_phone(before, [b for b in live if b.flow is None])

    def _leave(self, binding: Binding) -> None:
        """Its phone is reached by its flow no more."""
        if binding.flow is None:
            return
        if len(self._left) >= MAX_LEFT_FLOWS:
            del self._left[next(iter(self._left))]
        self._left[binding.flow] = binding

    def line_ids(self) -> list[int]:
        """Every line that has ever changed here."""
        return list(self._lines)

    def version(self, line_id: int) -> int:
        """The store's version of the line that this table knows; 0 for never changed."""
        line = self._lines.get(line_id)
        return 0 if line is None else line.version

    def apply(self, change: BindingChange) -> bool:
        """Put a committed change in force.

        True when the line is now at least at the change's version: one that came before is passed
        over. False when changes between are missing; then the caller reads the line anew.
        """
        line = self._lines.get(change.line_id)
        version = 0 if line is None else line.version
        if version >= change.new_version:
            return True
        if version != change.base_version:
            return False
        rows = {} if line is None else {binding.key: binding for binding in _rows(line.held)}
        for key in change.deletes:
            gone = rows.pop(key, None)
            if gone is not None:
                self._leave(gone)
        for binding in change.upserts:
            gone = rows.get(binding.key)
            if gone is not None and gone.flow != binding.flow:
                self._leave(gone)
            rows[binding.key] = binding
        for touch in change.touches:
            before = rows.get(touch.key)
            if before is None:
                return False
            rows[touch.key] = before.touched(touch)
        self._hold(change.line_id, line, change.new_version, tuple(rows.values()))
        return True

    def replace(self, line_id: int, version: int, bindings: Iterable[Binding]) -> None:
        """Hold what the store had at `version`, unless something later is held already."""
        line = self._lines.get(line_id)
        if line is None or version >= line.version:
            self._hold(line_id, line, version, tuple(map(_sharing_texts, bindings)))

    def drop(self, line_id: int) -> tuple[Binding, ...]:
        """Forget a line and its version; what it held."""
        line = self._lines.pop(line_id, None)
        if line is None:
            return ()
        gone = _rows(line.held)
        self._count -= len(gone)
        return gone

    def expire(self, at: float, limit: int = DEFAULT_EXPIRE_LIMIT) -> list[Binding]:
        """Remove bindings that have ended, looking at no more than `limit` lines.

        Returns the removed. What is left over waits for the next call; reading does not show it.
        No version changes, since every node sees the same end by its clock.
        """
        gone: list[Binding] = []
        while self._calendar and self._next_second <= at and limit > 0:
            entries = self._calendar.get(self._next_second)
            if entries is None:
                self._next_second = min(self._calendar)
                continue
            while entries and limit > 0:
                self._look(entries.pop(), self._next_second, at, gone)
                limit -= 1
            if not entries:
                del self._calendar[self._next_second]
                self._next_second += 1
        return gone

    def _look(self, line_id: int, second: int, at: float, gone: list[Binding]) -> None:
        """Remove what has ended on a line, and enter it again when something is left."""
        line = self._lines.get(line_id)
        if line is None or line.look_at != second:
            return  # dropped, or entered under an earlier second meanwhile
        line.look_at = 0
        held = _rows(line.held)
        live = tuple(binding for binding in held if binding.expires_at > at)
        if len(live) < len(held):
            ended = [binding for binding in held if binding.expires_at <= at]
            for binding in ended:
                self._leave(binding)
            gone += ended
        self._hold(line_id, line, line.version, live)

    def _hold(
        self, line_id: int, line: _Line | None, version: int, held: tuple[Binding, ...]
    ) -> None:
        if line is None:
            line = self._lines[line_id] = _Line()
        self._count += len(held) - len(_rows(line.held))
        line.version = version
        line.held = held[0] if len(held) == 1 else held
        if held:
            self._enter(line_id, line, min(binding.expires_at for binding in held))

    def _enter(self, line_id: int, line: _Line, end: float) -> None:
        """See that the line is looked at in the second after `end`, or before."""
        second = int(end) + 1
        if line.look_at and line.look_at <= second:
            return
        line.look_at = second
        self._calendar.setdefault(second, []).append(line_id)
        if second < self._next_second:
            self._next_second = second


def _same_phone(before: Binding, live: Sequence[Binding]) -> Binding | None:
    """The one of these bindings that the phone of an earlier one has registered anew."""
    if before.instance:
        same = [b for b in live if b.instance == before.instance]
    else:
        same = [b for b in live if b.device_id == before.device_id and not b.instance]
        moved = [b for b in same if b.key == before.key]
        same = moved or [b for b in same if b.written_at >= before.written_at]
    if not same or any(b.flow == before.flow for b in same):
        return None
    if len(same) > 1 and not before.instance:
        return None
    return max(same, key=lambda b: b.expires_at)


def _sharing_texts(binding: Binding) -> Binding:
    """A binding as read from a store, with one copy of each text that it or others repeat."""
    if binding.key is binding.contact:
        return binding
    return replace(
        binding,
        key=binding.contact if binding.key == binding.contact else binding.key,
        user_agent=intern(binding.user_agent),
        params=intern(binding.params),
        node=intern(binding.node),
    )


def _rows(held: Binding | tuple[Binding, ...]) -> tuple[Binding, ...]:
    return (held,) if isinstance(held, Binding) else held
