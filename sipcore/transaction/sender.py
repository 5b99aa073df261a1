"""How a worker sends: its names, its transactions, fresh branches and tags, and its timers."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Protocol

from sipcore.eventlog import Counter, Counts
from sipcore.message import Request
from sipcore.random_source import RandomSource
from sipcore.transaction.base import Transaction
from sipcore.transaction.key import MAGIC_COOKIE
from sipcore.transaction.table import TransactionTable
from sipcore.transaction.timers import TimerHeap, Timers
from sipcore.transport.flow import Flow
from sipcore.transport.own_addresses import OwnAddresses

BRANCH_BITS: Final = 64
"""Too many to try: at 10,000 forged responses a second it takes 29 million years to meet one."""


class Sleeper(Protocol):
    """Something that wants to be woken at a time."""

    def advance(self, now: float) -> None:
        """It is time."""


class Sender:
    """What all that sends has in common; a worker is one. It is the transactions' user (§17)."""

    def __init__(
        self,
        own: OwnAddresses,
        random: RandomSource,
        timers: Timers,
        max_transactions: int,
    ) -> None:
        self.own = own
        self.random = random
        self.now = 0.0
        """Monotonic, in seconds: the time of this turn."""
        self.at = 0.0
        """UTC, in seconds."""
        self.is_stopping = False
        """Whether this worker takes nothing new and begins nothing of its own (`campus/draining.py`)."""
        self.counts = Counts()
        self.transactions = TransactionTable(self, timers, max_transactions)
        self.wakes = TimerHeap()
        self._sleepers: dict[int, Sleeper] = {}
        # The key is the first of what is hashed: where BLAKE2 is told of it, it takes twice as long.
        key = random.getrandbits(128).to_bytes(16, "big")
        self._tag_key = blake2b(key, digest_size=6, person=b"stateless tag")

    # --- the way out: a worker's ---------------------------------------------------------------
    def send(self, flow: Flow, data: bytes) -> None:
        """Leave a message for the node to send at the end of this turn."""
        raise NotImplementedError

    def ack_received(self, request: Request, flow: Flow, now: float) -> None:
        """An ACK that no INVITE server transaction absorbs: that of a 2xx."""
        raise NotImplementedError

    def server_ended(self, tx: Transaction, now: float) -> None:
        """Nothing to do: what a request has begun ends by itself."""

    # --- fresh values --------------------------------------------------------------------------
    def new_branch(self, loop: str) -> str:
        """A fresh branch parameter that ends with the loop hash (RFC 5393 §4.2).

        Whoever has it can answer the request (RFC 3261 §17.1.3): so each has 64 random bits of its
        own, and none tells anything of another.
        """
        own = self.random.getrandbits(BRANCH_BITS).to_bytes(BRANCH_BITS // 8, "big").hex()
        return f"{MAGIC_COOKIE}{own}.{loop}"

    def new_tag(self) -> str:
        """A fresh tag."""
        return f"{self.random.getrandbits(48):012x}"

    def stateless_tag(self, request: Request) -> str:
        """To tag of a response made without state: a repeated request gets it again (§8.2.7).

        Keyed, so that nobody knows which tags we give.
        """
        digest = self._tag_key.copy()
        text = request.first_row("call-id") + request.first_row("cseq")
        digest.update(text.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    # --- time ----------------------------------------------------------------------------------
    def wake(self, sleeper: Sleeper, deadline: float) -> None:
        """Call `sleeper.advance` at `deadline`, and keep it until `sleep`."""
        key = id(sleeper)
        self._sleepers[key] = sleeper
        self.wakes.schedule(deadline, key)

    def sleep(self, sleeper: Sleeper) -> None:
        """No more wake-ups for this one."""
        self._sleepers.pop(id(sleeper), None)

    @property
    def has_sleepers(self) -> bool:
        return bool(self._sleepers)

    def wake_one(self, key: object, now: float) -> None:
        """An entry of `wakes` that `wake` has put there is due."""
        if isinstance(key, int):
            sleeper = self._sleepers.get(key)
            if sleeper is not None:
                sleeper.advance(now)

    def count(self, counter: Counter) -> None:
        """Count something that is dropped rather than recorded."""
        self.counts.total[counter] += 1
