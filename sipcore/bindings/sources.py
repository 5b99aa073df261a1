"""From where phones with a live binding send: an address is known for as long as one is there."""

from __future__ import annotations

from collections.abc import Sequence

from sipcore.bindings.binding import Binding
from sipcore.errors import MalformedMessage
from sipcore.message import parse_uri
from sipcore.message.hosts import canonical_host


class Sources:
    """How many bindings there are by address."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count: dict[str, int] = {}

    def __contains__(self, host: str) -> bool:
        return canonical_host(host) in self._count

    def changed(self, before: Sequence[Binding], after: Sequence[Binding]) -> None:
        """The bindings of a line are others now."""
        for binding in after:
            host = source_of(binding)
            if host:
                self._count[host] = self._count.get(host, 0) + 1
        for binding in before:
            host = source_of(binding)
            if host:
                left = self._count[host] - 1
                if left:
                    self._count[host] = left
                else:
                    del self._count[host]


def source_of(binding: Binding) -> str:
    """The address that a phone sends from; "" where an edge proxy does so for it."""
    if binding.path:
        return ""
    if binding.flow is not None:
        return canonical_host(binding.flow.remote[0])
    try:
        return canonical_host(parse_uri(binding.contact).host)
    except MalformedMessage:
        return ""


__all__ = ["Sources", "source_of"]
