"""Callback: a message with a number to `sip:callback@…` rings your phone, then that number."""

from __future__ import annotations

from sipcore.apps.sdp import HOLD, in_session_of
from sipcore.apps.user_agent import IncomingMessage, OutgoingCall, UserAgent
from sipcore.directory import Account


class Callback(UserAgent):
    """Click to dial (RFC 3725): two calls of ours whose phones send their media to each other."""

    name = "callback"

    def on_message(self, message: IncomingMessage) -> None:
        if message.sender is not None:
            self.connect(message.sender, message.text)

    def connect(self, who: Account, number: str) -> None:
        one = self.call(who.username, HOLD)
        one.on_answer = lambda: self._call_other(one, who, number)

    def _call_other(self, one: OutgoingCall, who: Account, number: str) -> None:
        two = self.call(number, on_behalf_of=who)
        two.on_answer = lambda: one.offer(
            in_session_of(HOLD, two.body), lambda: two.acknowledge(one.body)
        )
        one.on_end, two.on_end = two.end, one.end
