"""A registered phone beside a flood: it registers and calls, and notes what was answered when."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Final

from tests.support.ua import SDP, Agent, Calling, Timeout
from tests.support.wire import Wire

T1_S: Final = 0.5
"""RFC 3261 §17.1.1.1: a request over UDP is sent again after so long, then twice as long, …"""
SENDINGS: Final = 3
"""Unanswered after so many, 3.5 s in all, a request counts as not answered."""


@dataclass(slots=True)
class Experience:
    """What the phone met with. Times in ms, from the first sending to the final response."""

    asked: int = 0
    took: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        return len(self.took) / self.asked if self.asked else 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.took) if self.took else float("inf")


class RegisteredPhone:
    """Registers anew and calls the echo, each challenged and answered, until told to end."""

    def __init__(self, agent: Agent, echo: str) -> None:
        self.agent, self.echo = agent, echo

    def live(self, seconds: float) -> Experience:
        met = Experience()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._registers(met)
            self._calls(met)
            self.agent.inbox.clear()
            time.sleep(0.05)
        return met

    def _registers(self, met: Experience) -> None:
        asked = self.agent.register_request()
        challenged = self._ask(asked, met)
        if challenged is not None:
            self._ask(self.agent.authorized(asked, challenged), met, wanted=200)

    def _calls(self, met: Experience) -> None:
        headers = [("Contact", f"<{self.agent.contact}>"), ("Content-Type", "application/sdp")]
        invite = self.agent.request("INVITE", self.echo, headers=headers, body=SDP)
        challenged = self._ask(invite, met)
        if challenged is None:
            return
        self.agent.ack_failure(invite, challenged)
        again = self.agent.authorized(invite, challenged)
        answer = self._ask(again, met, wanted=200)
        if answer is not None:
            dialog = Calling(self.agent, again).dialog_of(answer)
            dialog.ack(again)
            self._ask(dialog.request("BYE"), met, wanted=200)

    def _ask(self, request: Wire, met: Experience, wanted: int = 0) -> Wire | None:
        """The final response; None where it did not come or is not the one wanted."""
        met.asked += 1
        began, wait = time.monotonic(), T1_S
        for _ in range(SENDINGS):
            self.agent.send(request)
            try:
                answer = self.agent.final(request, wait)
            except Timeout:
                wait *= 2
                continue
            if answer.status != wanted and (wanted or answer.status not in (401, 407)):
                return None
            met.took.append(1000 * (time.monotonic() - began))
            return answer
        return None
