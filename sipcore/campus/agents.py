"""The services of this worker (`sipcore.apps.user_agent`), asked all together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from sipcore.apps.host import Campus, Host
from sipcore.apps.user_agent import UserAgent
from sipcore.calls import Call, Dialog
from sipcore.directory import Account, Directory
from sipcore.message import Request, Response
from sipcore.routing import Plan, Query
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow

log = logging.getLogger(__name__)


class Agents:
    """The services by their names, and which of them want to see plans and responses.

    Names compare without case, as those of users do. One whose name somebody holds, in whichever
    domain, is not loaded for as long: that person is reached.
    """

    def __init__(self, host: Host, campus: Campus, kinds: Sequence[type[UserAgent]]) -> None:
        self._agents = {kind.name.lower(): kind(host, campus) for kind in kinds}
        self._holders: dict[str, Account] = {}
        """By the names of services: the accounts that have them."""
        self._planners: list[UserAgent] = []
        self._listeners: list[UserAgent] = []
        self.names: frozenset[str] = frozenset()
        """Of those that are loaded, in lower case."""
        self.see_responses = False
        self._load()
        self.directory_changed(host.directory)

    def directory_changed(self, directory: Directory) -> None:
        """Load those whose name is free, and none whose name somebody has."""
        holders = {name: account for name in self._agents if (account := _holder(name, directory))}
        if holders.keys() == self._holders.keys():
            return  # as nearly always
        for name, account in holders.items():
            if name not in self._holders:
                log.error(
                    "the service %s is not loaded: line %d (%s) has that name",
                    name,
                    account.id,
                    account.username,
                )
        for name in self._holders.keys() - holders.keys():
            log.warning("the service %s is loaded again: nobody has its name any more", name)
        self._holders = holders
        self._load()

    def _load(self) -> None:
        loaded = [agent for name, agent in self._agents.items() if name not in self._holders]
        self._planners = [a for a in loaded if type(a).plan is not UserAgent.plan]
        self._listeners = [a for a in loaded if type(a).on_response is not UserAgent.on_response]
        self.names = frozenset([name for name in self._agents if name not in self._holders])
        self.see_responses = bool(self._listeners)

    def __iter__(self) -> Iterator[UserAgent]:
        return iter(self._agents.values())

    def __getitem__(self, name: str) -> UserAgent:
        return self._agents[name]

    def plan(self, query: Query, plan: Plan) -> Plan:
        """The plan as the services want it."""
        for agent in self._planners:
            plan = agent.plan(query, plan)
        return plan

    def on_response(self, call: Call, response: Response) -> None:
        """A response to somebody's call is about to be sent to the caller."""
        for agent in self._listeners:
            agent.on_response(call, response)

    def offer(self, tx: ServerTransaction, request: Request, flow: Flow, now: float) -> bool:
        """Offer a request inside a dialog to all; False when the dialog is none of theirs."""
        return any(a.handle(tx, request, flow, None, now) for a in self._agents.values())

    def offer_ack(self, request: Request, now: float) -> bool:
        """The same with the ACK of a 2xx."""
        return any(a.handle_ack(request, now) for a in self._agents.values())

    def forget(self, call: Call, dialog: Dialog) -> None:
        """A dialog is over: if one of them holds it, it is to let it go."""
        for agent in self._agents.values():
            agent.forget(call.call_id, dialog.callee_tag, call.caller_tag)


def _holder(name: str, directory: Directory) -> Account | None:
    """The account that has this name in any domain of ours."""
    found = (directory.resolve(name, domain) for domain in directory.domains)
    return next((account for account in found if account is not None), None)
