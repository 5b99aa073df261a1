"""Subscriptions that passed us: what lets a NOTIFY through that comes with a To tag and no call token.

A SUBSCRIBE is not record-routed, so most NOTIFY go past us. One that comes here is sent on to the
subscriber, and nowhere else, when it is of the dialog and the event package of a SUBSCRIBE that passed
this worker, and of the party that was subscribed to (RFC 6665 §4.1.3).
"""

from __future__ import annotations

from sipcore.campus.dialog_parts import contact_of, flow_behind_contact
from sipcore.campus.incoming import Incoming
from sipcore.campus.limits import LONGEST_SUBSCRIPTION_S, MAX_OF_ONE_SUBSCRIBER, MAX_SUBSCRIPTIONS
from sipcore.campus.method_rules import packages
from sipcore.message import Request
from sipcore.message.grammar import parse_uint
from sipcore.routing import Fork, Relay, Target


class Subscription:
    """What is asked of one."""

    __slots__ = (
        "notifier_line",
        "notifier_tag",
        "packages",
        "since",
        "subscriber",
        "target",
        "until",
    )

    def __init__(
        self,
        subscriber: int | str,
        notifier_line: int | None,
        package_names: list[str],
        target: Target,
        since: float,
        until: float,
    ) -> None:
        self.subscriber = subscriber
        """The line that has subscribed, or the domain of the trusted peer."""
        self.notifier_line = notifier_line
        """The line subscribed to, None where that is in a foreign domain."""
        self.packages = package_names
        self.target = target
        """Where the subscriber is."""
        self.since = since
        self.until = until
        self.notifier_tag = ""
        """Of the first NOTIFY; those of other branches of a fork are not known (RFC 6665 §4.4.1)."""


class Subscriptions:
    """The subscriptions that passed this worker, by Call-ID and the subscriber's tag."""

    __slots__ = ("_found", "_most", "_most_of_one", "_of_one")

    def __init__(
        self, most: int = MAX_SUBSCRIPTIONS, most_of_one: int = MAX_OF_ONE_SUBSCRIBER
    ) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._found: dict[tuple[str, str], Subscription] = {}
        self._of_one: dict[int | str, dict[tuple[str, str], None]] = {}
        """Those of one subscriber, the oldest first."""

    def __len__(self) -> int:
        return len(self._found)

    def passed(self, incoming: Incoming, plan: Fork | Relay, now: float) -> None:
        """A SUBSCRIBE outside of a dialog is about to be sent on."""
        request, account = incoming.request, incoming.caller.account
        key = (request.call_id, request.from_tag)
        found, contact = packages(request), contact_of(request)
        self._forget_old(now)
        if not found or not contact:
            return
        if key in self._found:
            self._forget(key)  # the same again, with credentials
        subscriber = incoming.caller.peer if account is None else account.id
        self._make_room(subscriber, now)
        if len(self._found) >= self._most:
            self._forget(next(iter(self._found)))
        expires = request.first("expires")
        lasts_s = (
            LONGEST_SUBSCRIPTION_S
            if expires is None
            else min(LONGEST_SUBSCRIPTION_S, parse_uint(expires, "expires"))
        )
        callee = plan.callee.id if isinstance(plan, Fork) else None
        target = Target(contact, flow_behind_contact(request, incoming.flow))
        # The answer may shorten it, and the last NOTIFY comes after its end: 32 s are 64*T1.
        until = now + lasts_s + 32.0
        self._found[key] = Subscription(subscriber, callee, found, target, now, until)
        self._of_one.setdefault(subscriber, {})[key] = None

    def of_notify(self, request: Request, now: float) -> Subscription | None:
        """The subscription that a NOTIFY is in, None where there is none."""
        found = self._found.get((request.call_id, request.to_tag))
        if found is None or found.until < now:
            return None
        if found.notifier_tag not in ("", request.from_tag):
            return None
        return found if packages(request) == found.packages else None

    def _forget_old(self, now: float) -> None:
        for key, subscription in list(self._found.items())[:2]:
            if subscription.since + LONGEST_SUBSCRIPTION_S + 32.0 < now:
                self._forget(key)

    def _make_room(self, subscriber: int | str, now: float) -> None:
        """Where a subscriber has as many as one may, his oldest goes, and all that are over."""
        keys = self._of_one.get(subscriber)
        if keys is None or len(keys) < self._most_of_one:
            return
        for key in list(keys):
            if self._found[key].until < now:
                self._forget(key)
        if len(keys) >= self._most_of_one:
            self._forget(next(iter(keys)))

    def _forget(self, key: tuple[str, str]) -> None:
        subscriber = self._found.pop(key).subscriber
        keys = self._of_one[subscriber]
        del keys[key]
        if not keys:
            del self._of_one[subscriber]


__all__ = ["Subscription", "Subscriptions"]
