"""A request that is being dealt with: what every step of it needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sipcore.apps.host import Host
from sipcore.calls.named import NamedCall
from sipcore.directory import Account, Device
from sipcore.message import Request
from sipcore.proxy import Trust
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow


class Caller:
    """The party that sent a request; `account` is None for a stranger and for a trusted peer."""

    __slots__ = ("account", "aor", "device", "has_come_back", "is_hidden", "peer", "trust")

    def __init__(
        self,
        account: Account | None,
        device: Device | None,
        peer: str = "",
        *,
        aor: str = "",
        is_own: bool = False,
        has_come_back: bool = False,
        is_hidden: bool = False,
    ) -> None:
        self.account = account
        self.aor = aor
        """The address-of-record of the account, or ""."""
        self.device = device
        self.has_come_back = has_come_back
        """Whether it is a call of ours that a trusted peer has sent back: with a stranger's rights."""
        self.is_hidden = is_hidden
        """Whether the account does not want the other side to know who it is."""
        self.peer = peer
        """The domain of the trusted peer it is, or ""."""
        if is_own:
            self.trust = Trust.OWN
        elif account is not None:
            self.trust = Trust.ACCOUNT
        else:
            self.trust = Trust.PEER if peer else Trust.STRANGER

    @property
    def is_known(self) -> bool:
        """Whether it is one of us, or a trusted peer."""
        return self.account is not None or bool(self.peer)


STRANGER: Final = Caller(None, None)
COME_BACK: Final = Caller(None, None, has_come_back=True)


class Incoming:
    """A request with its server transaction, the flow it came by and the party that sent it."""

    __slots__ = ("caller", "calls", "flow", "partners", "request", "token", "tx")

    def __init__(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        caller: Caller = STRANGER,
        token: str = "",
    ) -> None:
        self.tx = tx
        self.request = request
        self.flow = flow
        self.caller = caller
        self.token = token
        """The call token of a Route of ours that it came with, "" for none; not checked yet."""
        self.calls: list[NamedCall] = []
        """Calls of other workers that it names."""
        self.partners: set[str] = set()
        """With whom its sender is in a call at other workers, where it names one."""

    def refuse(
        self,
        host: Host,
        now: float,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Answer with a failure, which is repeated only to those who are known to us."""
        if not self.caller.is_known:
            host.refuse(self.tx, self.request, now, status, reason, headers)
            return
        tag = host.new_tag()
        self.tx.respond(self.request.respond(status, reason, to_tag=tag, headers=headers), now)
