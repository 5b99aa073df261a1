"""The services of this worker (`sipcore.apps.user_agent`), asked all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sipcore.apps.host import Campus, Host
from sipcore.apps.user_agent import UserAgent
from sipcore.calls import Call, Dialog
from sipcore.message import Request, Response
from sipcore.routing import Plan, Query
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow


class Agents:
    """The services by their names, and which of them want to see plans and responses."""

    def __init__(self, host: Host, campus: Campus, kinds: Sequence[type[UserAgent]]) -> None:
        self._agents = {kind.name: kind(host, campus) for kind in kinds}
        all_of_them = self._agents.values()
        self._planners = [a for a in all_of_them if type(a).plan is not UserAgent.plan]
        self._listeners = [
            a for a in all_of_them if type(a).on_response is not UserAgent.on_response
        ]
        self.names = frozenset(self._agents)
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
