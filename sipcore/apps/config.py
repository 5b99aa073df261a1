"""What a worker must know about itself; a value made once at start."""

from __future__ import annotations

from dataclasses import dataclass, field

from sipcore.proxy import SessionPolicy
from sipcore.registrar import RegistrarPolicy
from sipcore.transaction import Timers
from sipcore.transaction.limits import MAX_SERVER_TRANSACTIONS
from sipcore.transport.limits import StreamLimits
from sipcore.transport.own_addresses import Listener


@dataclass(slots=True, frozen=True)
class WorkerConfig:
    """Names, keys and sizes of one worker."""

    node: str
    cluster_keys: tuple[bytes, ...]
    listeners: tuple[Listener, ...]
    own_hosts: frozenset[str] = frozenset()
    """Hosts, apart from the domains, whose URIs mean this service (our own addresses)."""
    node_number: int = 0
    nodes: tuple[int, ...] = ()
    """The numbers of all nodes that share notes, for asking about calls; (): there is this one."""
    slot: int = 0
    slots: int = 1
    incarnation: int = 0
    """Differs at every start of the worker, so that its nonces are its own."""
    registrar: RegistrarPolicy = field(default_factory=RegistrarPolicy)
    timers: Timers = field(default_factory=Timers)
    nonce_lifetime_s: float = 300.0
    """How long a phone may go on with one nonce."""
    max_call_s: float = 86_400.0
    """An answered call that goes on for so long is ended with a BYE to both sides."""
    probe_s: float = 300.0
    """How often the ends of an answered call without session timer are asked for it; one that
    misses two in a row is gone."""
    sessions: SessionPolicy = field(default_factory=SessionPolicy)
    max_datagram_bytes: int = 1_300
    """Larger requests to an address go by TCP, and by UDP only where the peer refuses that (RFC
    3261 §18.1.1: nobody knows the MTU of the whole path)."""
    streams: StreamLimits = field(default_factory=StreamLimits)
    max_transactions: int = MAX_SERVER_TRANSACTIONS
    """requests: being dealt with at a time; more are answered 503 with Retry-After."""
    keep_alive_s: float = 25.0
    """How often a UDP flow through a NAT is kept open from our side, where the phone does not do it
    (RFC 5626 §4.4.2). 0: never."""
    tls_folder: str = ""
    """Where the certificates lie (`sipcore.node.tls`); without it no TLS."""
    max_calls_per_account: int = 100
    """calls: that one account may have placed and not yet ended, ringing ones among them. More than
    any phone does, and than a switchboard with one account should."""


__all__ = ["Listener", "StreamLimits", "WorkerConfig"]
