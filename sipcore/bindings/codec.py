"""Flow and path of a binding as JSON text: what the location table and other nodes see."""

from __future__ import annotations

import json
from functools import lru_cache
from sys import intern

from sipcore.transport.flow import Address, Flow


def flow_to_json(flow: Flow | None) -> str:
    """`["UDP",["192.0.2.1",5060],["198.51.100.7",3072],0]`; empty for none."""
    if flow is None:
        return ""
    return json.dumps(flow if flow.peer else flow[:4], separators=(",", ":"))


def flow_from_json(text: str) -> Flow | None:
    """The flow that `flow_to_json` wrote. `ValueError` when it is none."""
    if not text:
        return None
    match json.loads(text):
        case [
            str(transport),
            [str(host), int(port)],
            [str(far), int(far_port)],
            int(number),
            *peer,
        ]:
            local = _shared_address(host, port)
            name = str(peer[0]) if peer else ""
            return Flow(intern(transport), local, (intern(far), far_port), number, name)
        case _:
            raise ValueError(f"not a flow: {text[:100]}")


def path_to_json(path: tuple[str, ...]) -> str:
    """A JSON list of Route values; empty for none."""
    return json.dumps(path, separators=(",", ":")) if path else ""


def path_from_json(text: str) -> tuple[str, ...]:
    """The path that `path_to_json` wrote. `ValueError` when it is none."""
    if not text:
        return ()
    values = json.loads(text)
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        # The same few proxies stand before all phones of a network.
        return tuple(intern(value) for value in values)
    raise ValueError(f"not a path: {text[:100]}")


@lru_cache(maxsize=64)
def _shared_address(host: str, port: int) -> Address:
    """One tuple for each of our own sockets, however many bindings name it."""
    return (intern(host), port)
