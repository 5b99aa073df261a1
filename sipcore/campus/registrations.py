"""REGISTER in our domains: who may, in which order, and the answer after the store has it.

Changes of one account are handled one after another: while one is being written the next waits
here. The store refuses a change that was computed from an older state (another node was faster);
then the registrar computes again from what the store holds now.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from sipcore.apps.bodies import NO_ENCODING, is_required
from sipcore.apps.host import Host
from sipcore.auth import VerdictKind
from sipcore.bindings import Binding, BindingChange, StoreResult
from sipcore.campus.identity import Identity
from sipcore.campus.limits import (
    FLOW_S,
    MAX_ATTEMPTS,
    MAX_CONNECTIONS,
    MAX_LINES_PER_CONNECTION,
    MAX_WAITING_PER_LINE,
    RETRY_S,
)
from sipcore.directory import Account, AccountState, Device
from sipcore.eventlog import Kind, Record
from sipcore.message import Request, Response
from sipcore.registrar import Reply, answer, process, refuse_unsupported
from sipcore.transaction import MergedRequests, ServerTransaction
from sipcore.transport.flow import Flow

log = logging.getLogger(__name__)


class Lost(NamedTuple):
    """What leads to its phone no more."""

    flow: Flow | None
    path: tuple[str, ...] = ()

    def is_of(self, binding: Binding) -> bool:
        """Whether this binding leads nowhere with it."""
        if self.flow is not None:
            return binding.flow == self.flow
        return binding.path == self.path


class Pending(NamedTuple):
    """A REGISTER on its way; `tx` is None for a removal by the service itself."""

    tx: ServerTransaction | None
    request: Request | None
    account: Account
    device: Device | None
    flow: Flow | None
    attempt: int = 0
    info: str = ""
    """The Authentication-Info of its 200."""
    nonce_at: float = 0.0
    """When the nonce was minted that it answers (UTC)."""
    lost: Lost | None = None
    """Which bindings to remove, because they lead nowhere any more."""


class Registrations:
    """The registrar's place in a worker."""

    def __init__(self, host: Host, identity: Identity, merged: MergedRequests) -> None:
        self._host = host
        self._identity = identity
        self._merged = merged
        self._waiting: dict[int, deque[Pending]] = {}
        self._changes: dict[int, BindingChange] = {}
        self._connections: dict[Flow, tuple[int, ...]] = {}
        """The accounts that registered by each connection, the last ones."""
        self._undone: dict[tuple[int, Lost | None], None] = {}
        """Removals that the store did not take: whose, and why."""
        for line_id in host.bindings.line_ids():
            for binding in host.bindings.bindings(line_id, 0.0):
                self._look_after(binding, 0.0)

    def __len__(self) -> int:
        return len(self._waiting)

    def handle(self, tx: ServerTransaction, request: Request, flow: Flow, now: float) -> None:
        """A REGISTER (RFC 3261 §10.3)."""
        host = self._host
        refused = refuse_unsupported(request, host.config.registrar)
        if refused is not None:
            tx.respond_once(refused, now)
            return
        if is_required(request):
            host.refuse(tx, request, now, 415, headers=[NO_ENCODING])
            return
        domain = host.own.domain_of(request.to.uri)
        asked = request.uri.host
        if domain is None or (asked != domain and asked in host.directory.domains):
            host.refuse(tx, request, now, 404)
            return
        bound_to = host.own.aor_of(request.to.uri)
        verdict = self._identity.verify(
            request, flow, proxy=False, bound_to=bound_to, domain=domain
        )
        if verdict.kind is not VerdictKind.OK:
            self._identity.challenge(tx, request, verdict, bound_to, domain, now, proxy=False)
            return
        account = host.directory.resolve(request.to.uri.user_decoded, domain)
        if account is None or account.username != verdict.username:
            # Only the owner of an address-of-record may bind it (§10.3 item 4). One that nobody owns
            # is answered alike, or an account could ask for all names and numbers there are.
            tx.respond(request.respond(403, "To Not Yours", to_tag=host.new_tag()), now)
            return
        tx.is_known = True
        host.transactions.knows(flow)
        self._merged.accept(tx, request, now)
        info = verdict.authentication_info()
        if flow.connection:
            self._remember(flow, account.id)  # it may end while the store is writing
        nonce_at = host.authenticator.minted_at(verdict)
        self._enqueue(
            Pending(tx, request, account, verdict.device, flow, info=info, nonce_at=nonce_at), now
        )

    def _enqueue(self, pending: Pending, now: float) -> None:
        queue = self._waiting.get(pending.account.id)
        if queue is None:
            self._waiting[pending.account.id] = deque((pending,))
            self._work(pending.account.id, now)
        elif len(queue) >= MAX_WAITING_PER_LINE and pending.tx and pending.request:
            self._refuse(pending, 503, now)
        else:
            queue.append(pending)

    def _work(self, line_id: int, now: float) -> None:
        """Process the queue of a line until one change must wait for the store."""
        queue = self._waiting[line_id]
        while queue:
            try:
                change = self._change_for(queue[0], now)
            except Exception:  # whatever it was: who waits behind it must not wait for ever
                log.exception("a REGISTER of line %d is not handled", line_id)
                self._refuse(queue[0], 500, now)
                change = None
            if change is not None:
                self._changes[line_id] = change
                self._host.write(change)
                return
            queue.popleft()
        del self._waiting[line_id]

    def _change_for(self, pending: Pending, now: float) -> BindingChange | None:
        """The change to write, or None when the request has been answered without one."""
        host = self._host
        line_id = pending.account.id
        bindings = host.bindings.bindings(line_id, host.at)
        version = host.bindings.version(line_id)
        if pending.request is None or pending.tx is None:
            return self._removal(pending, bindings, version)
        account = host.directory.account(line_id)
        if account is not pending.account and not _may_register(account, pending.device):
            self._refuse(pending, 403, now)
            return None
        outcome = process(
            pending.request,
            pending.account,
            pending.device,
            pending.flow,
            bindings,
            version,
            host.at,
            host.config.registrar,
            host.config.node,
            host.own.leads_back,
            self._is_alive,
            pending.nonce_at,
        )
        if isinstance(outcome, Reply):
            _respond(pending, pending.tx, outcome.response, now)
            return None
        return outcome.change

    def _is_alive(self, binding: Binding) -> bool:
        """Whether a phone is still there by its flow: its connection is open, or it was heard of lately."""
        host, flow = self._host, binding.flow
        if flow is not None and flow.reliable:
            return True  # with a connection go its bindings
        lately_s = 2 * (host.keep_alives.interval_s or FLOW_S)
        if host.at - binding.written_at <= lately_s:
            return True
        return flow is not None and host.keep_alives.is_alive(flow, host.now)

    def stored(self, line_id: int, result: StoreResult, now: float) -> None:
        """The store's answer to the change that was written for this line."""
        host = self._host
        queue = self._waiting.get(line_id)
        change = self._changes.pop(line_id, None)
        if queue is None or change is None:
            return
        pending = queue.popleft()
        if result.ok:
            before = {b.key for b in host.bindings.bindings(line_id, host.at)}
            host.bindings.apply(change)
            self._record(pending, change, before)
            try:
                self._acknowledge(pending, now)
            except Exception:
                log.exception("a REGISTER of line %d is not answered", line_id)
                self._refuse(pending, 500, now)
            if host.directory.account(line_id) is not pending.account:
                # Suspended or revoked while the store was writing: what it wrote goes again.
                self._enqueue_removal(line_id, queue)
        elif result.bindings is None or pending.attempt >= MAX_ATTEMPTS:
            self._refuse(pending, 500 if result.bindings is not None else 503, now)
            if pending.request is None:
                self._try_later(line_id, pending.lost, now)
        else:
            host.bindings.replace(line_id, result.version, result.bindings)
            queue.appendleft(pending._replace(attempt=pending.attempt + 1))
        self._work(line_id, now)

    def _acknowledge(self, pending: Pending, now: float) -> None:
        if pending.tx is None or pending.request is None:
            return
        host = self._host
        live = host.bindings.bindings(pending.account.id, host.at)
        response = answer(pending.request, live, host.at, host.config.registrar, host.random)
        _respond(pending, pending.tx, response, now)

    def _refuse(self, pending: Pending, status: int, now: float) -> None:
        if pending.tx is not None and pending.request is not None:
            headers = [("Retry-After", "5")] if status == 503 else []
            tag = self._host.new_tag()
            pending.tx.respond(pending.request.respond(status, to_tag=tag, headers=headers), now)

    def _record(self, pending: Pending, change: BindingChange, before: set[str]) -> None:
        """A record for each contact that came or went; a mere refresh writes none."""
        if not change.upserts and not change.deletes:
            return
        host = self._host
        for binding in change.upserts:
            self._look_after(binding, host.now)
            if binding.key not in before:
                source = pending.flow.remote[0] if pending.flow else ""
                fields = {
                    "line": change.line_id,
                    "device": binding.device_id,
                    "contact": binding.contact[:200],
                    "user_agent": binding.user_agent[:200],
                    "source": source,
                }
                host.record(Record(Kind.REGISTER_NEW, "", host.at, fields))
        for key in change.deletes:
            why = "phone" if pending.request is not None else "flow" if pending.lost else "service"
            fields = {"line": change.line_id, "contact": key[:200], "why": why}
            host.record(Record(Kind.REGISTER_GONE, "", host.at, fields))

    # --- removals by the service ---------------------------------------------------------------
    def drop_lost_rights(self, account_ids: Iterable[int], now: float) -> None:
        """Remove bindings whose account or device may no longer register."""
        host = self._host
        for account_id in account_ids:
            account = host.directory.account(account_id)
            live = host.bindings.bindings(account_id, host.at)
            if any(not allowed(account, b) for b in live):
                holder = _holder(account_id, account)
                self._enqueue(Pending(None, None, holder, None, None), now)

    def _try_later(self, line_id: int, lost: Lost | None, now: float) -> None:
        """A phone whose request was refused asks again; for a removal nobody else would."""
        if not self._undone:
            self._host.wake(self, now + RETRY_S)
        self._undone[line_id, lost] = None

    def advance(self, now: float) -> None:
        """Try again what the store did not take."""
        self._host.sleep(self)
        undone, self._undone = self._undone, {}
        for line_id, lost in undone:
            holder = _holder(line_id, self._host.directory.account(line_id))
            self._enqueue(Pending(None, None, holder, None, None, lost=lost), now)

    # --- flows ---------------------------------------------------------------------------------
    def _look_after(self, binding: Binding, now: float) -> None:
        """Remember whose flow it is: to hear of its end, or to keep it open."""
        flow = binding.flow
        if flow is None:
            return
        if flow.connection:
            self._remember(flow, binding.line_id)
        elif not flow.reliable and self._host.own.has_socket(flow):
            self._host.keep_alives.add(flow, binding.line_id, now)

    def _remember(self, flow: Flow, line_id: int) -> None:
        """This account registers by this connection."""
        known = self._connections.get(flow)
        if known is None:
            if len(self._connections) >= MAX_CONNECTIONS:
                del self._connections[next(iter(self._connections))]
            self._connections[flow] = (line_id,)
        elif line_id not in known:
            self._connections[flow] = (*known[1 - MAX_LINES_PER_CONNECTION :], line_id)

    def connection_lost(self, flow: Flow, now: float) -> None:
        """No message will ever be delivered by it (RFC 5626 §7)."""
        for line_id in self._connections.pop(flow, ()):
            self.remove_lost(line_id, Lost(flow), now)

    def remove_lost(self, line_id: int, lost: Lost, now: float) -> None:
        """Remove the bindings of an account that lead nowhere."""
        host = self._host
        waiting = self._waiting.get(line_id, ())
        if any(pending.lost == lost for pending in waiting):
            return  # it is being done
        live = host.bindings.bindings(line_id, host.at)
        if waiting or any(lost.is_of(b) for b in live):
            holder = _holder(line_id, host.directory.account(line_id))
            self._enqueue(Pending(None, None, holder, None, None, lost=lost), now)

    def _enqueue_removal(self, line_id: int, queue: deque[Pending]) -> None:
        account = self._host.directory.account(line_id)
        live = self._host.bindings.bindings(line_id, self._host.at)
        if any(not allowed(account, binding) for binding in live):
            queue.appendleft(Pending(None, None, _holder(line_id, account), None, None))

    def _removal(
        self, pending: Pending, bindings: list[Binding], version: int
    ) -> BindingChange | None:
        line_id = pending.account.id
        account = self._host.directory.account(line_id)
        lost = pending.lost
        if lost is not None:
            gone = tuple(b.key for b in bindings if lost.is_of(b))
        else:
            gone = tuple(b.key for b in bindings if not allowed(account, b))
        if not gone:
            return None
        return BindingChange(line_id, version, version + 1, (), (), gone)


def _respond(pending: Pending, tx: ServerTransaction, response: Response, now: float) -> None:
    if pending.info and response.status == 200:
        response.append("Authentication-Info", pending.info)
    tx.respond(response, now)


def _holder(line_id: int, account: Account | None) -> Account:
    return account or Account(line_id, "", "", AccountState.CLOSING)


def allowed(account: Account | None, binding: Binding) -> bool:
    """Whether this binding's account is active and its device not revoked."""
    return _holds(account, binding.device_id)


def _may_register(account: Account | None, device: Device | None) -> bool:
    return device is not None and _holds(account, device.id)


def _holds(account: Account | None, device_id: int) -> bool:
    if account is None or account.state is not AccountState.ACTIVE:
        return False
    return any(device.id == device_id for device in account.devices)
