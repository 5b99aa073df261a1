"""What a worker must know about itself; a value made once at start."""

from __future__ import annotations

from dataclasses import dataclass, field

from sipcore.registrar import RegistrarPolicy
from sipcore.transaction import Timers
from sipcore.transport.flow import Address


@dataclass(slots=True, frozen=True)
class Listener:
    """One socket the node listens on, and how the outside names it."""

    transport: str
    local: Address
    advertised: Address


@dataclass(slots=True, frozen=True)
class WorkerConfig:
    """Names, keys and sizes of one worker."""

    node: str
    cluster_keys: tuple[bytes, ...]
    listeners: tuple[Listener, ...]
    own_hosts: frozenset[str] = frozenset()
    """Hosts, apart from the domains, whose URIs mean this service (our own addresses)."""
    node_number: int = 0
    slot: int = 0
    slots: int = 1
    incarnation: int = 0
    """Differs at every start of the worker, so that its nonces are its own."""
    registrar: RegistrarPolicy = field(default_factory=RegistrarPolicy)
    timers: Timers = field(default_factory=Timers)
    nonce_lifetime_s: float = 300.0
    max_refusal_sources: int = 10_000
    """How many (source, username) pairs are remembered to throttle `auth.refused` records."""
