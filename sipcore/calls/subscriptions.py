"""Subscriptions that pass a worker: what a SUBSCRIBE or REFER outside of a dialog began (RFC 6665, 3515).

They are no calls and have no records. Each is held until it ends, its time is over or there are too
many; those that somebody has confirmed have a row of the journal, from which a restarted worker
adopts them. Their call token is of its own kind (`CallToken.is_subscription`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from sipcore.calls.journal import flow_of_row
from sipcore.calls.limits import (
    LAST_NEWS_S,
    LONGEST_SUBSCRIPTION_S,
    MAX_NOTIFIERS,
    MAX_OF_ONE_SUBSCRIBER,
    MAX_SUBSCRIPTIONS,
)
from sipcore.transport.flow import Flow

REFER_PACKAGES: Final = ("refer",)
"""What a REFER subscribes to (RFC 3515 §3)."""
OVER: Final = 0.0
"""How long a subscription lasts that has ended."""
AS_BEFORE: Final = -1.0
"""How long one lasts of which nothing new was said."""


class Subscription:
    """One subscription, with all notifiers of a fork."""

    __slots__ = (
        "call_id",
        "contact",
        "context",
        "flow",
        "noted_until",
        "notifier_line",
        "notifiers",
        "packages",
        "parties",
        "subscriber",
        "subscriber_tag",
        "until",
    )

    def __init__(
        self,
        context: str,
        name: tuple[str, str],
        lines: tuple[int | str, int | None],
        parties: tuple[str, str],
        packages: Collection[str],
        reach: tuple[str, Flow | None],
        until: float,
    ) -> None:
        self.context = context
        self.call_id, self.subscriber_tag = name
        self.subscriber, self.notifier_line = lines
        """The line that has subscribed, or the domain of a trusted peer; the line subscribed to, None
        where that is in a foreign domain."""
        self.parties = parties
        """The URIs of From and To, "" for one that is too long to keep."""
        self.packages = list(packages)
        self.contact, self.flow = reach
        """Where the subscriber is."""
        self.until = until
        """On the worker's clock (seconds): nothing of it passes afterwards."""
        self.notifiers: tuple[str, ...] = ()
        """Tags of those who notify; several where the request was forked (RFC 6665 §4.4.1)."""
        self.noted_until = 0.0
        """What the journal has as its end; 0.0: it has no row."""

    @property
    def lines(self) -> tuple[int | str, int | None]:
        """Both lines, the subscriber's first."""
        return self.subscriber, self.notifier_line

    def heard(self, tag: str, lasts_s: float, now: float) -> None:
        """A notifier has said for how long it goes on: seconds, `OVER` or `AS_BEFORE`."""
        if lasts_s == OVER:
            self.notifiers = tuple([other for other in self.notifiers if other != tag])
            if not self.notifiers:
                self.until = min(self.until, now + LAST_NEWS_S)
            return
        if tag not in self.notifiers and len(self.notifiers) < MAX_NOTIFIERS:
            self.notifiers += (tag,)
        if lasts_s > OVER:
            until = now + min(lasts_s, LONGEST_SUBSCRIPTION_S) + LAST_NEWS_S
            self.until = until if len(self.notifiers) < 2 else max(self.until, until)


class SubscriptionTable:
    """The subscriptions of a worker, by context, the oldest first."""

    __slots__ = ("_by_name", "_held", "_most", "_most_of_one", "_note", "_of_one")

    def __init__(
        self,
        note: Callable[[dict[str, Any]], None],
        most: int = MAX_SUBSCRIPTIONS,
        most_of_one: int = MAX_OF_ONE_SUBSCRIBER,
    ) -> None:
        """`note` takes journal rows."""
        self._note = note
        self._most = most
        self._most_of_one = most_of_one
        self._held: dict[str, Subscription] = {}
        self._by_name: dict[tuple[str, str], Subscription] = {}
        """By Call-ID and the subscriber's tag: the last one."""
        self._of_one: dict[int | str, dict[str, None]] = {}
        """The contexts of one subscriber, the oldest first."""

    def __len__(self) -> int:
        return len(self._held)

    def get(self, context: str, now: float) -> Subscription | None:
        """The subscription of this context, None where there is none or its time is over."""
        found = self._held.get(context)
        return None if found is None or found.until < now else found

    def named(self, call_id: str, subscriber_tag: str, now: float) -> Subscription | None:
        """The last subscription of this name."""
        found = self._by_name.get((call_id, subscriber_tag))
        return None if found is None or found.until < now else found

    def begin(self, subscription: Subscription, now: float) -> None:
        """Hold a subscription; the oldest go where there are too many."""
        self._make_room(subscription.subscriber, now)
        if len(self._held) >= self._most:
            self.end(next(iter(self._held)))
        self._hold(subscription)

    def _hold(self, subscription: Subscription) -> None:
        context = subscription.context
        self._held[context] = subscription
        self._by_name[subscription.call_id, subscription.subscriber_tag] = subscription
        self._of_one.setdefault(subscription.subscriber, {})[context] = None

    def _make_room(self, subscriber: int | str, now: float) -> None:
        """Where a subscriber has as many as one may, all that are over go, and the oldest one."""
        contexts = self._of_one.get(subscriber)
        if contexts is None or len(contexts) < self._most_of_one:
            return
        for context in list(contexts):
            if self._held[context].until < now:
                self.end(context)
        if len(contexts) >= self._most_of_one:
            self.end(next(iter(contexts)))

    def heard(self, context: str, tag: str, lasts_s: float, now: float, at: float) -> None:
        """A notifier has said for how long a subscription goes on (`Subscription.heard`)."""
        held = self._held.get(context)
        if held is None:
            return
        held.heard(tag, lasts_s, now)
        if lasts_s > OVER:  # who is refreshed is the newest
            self._held[context] = self._held.pop(context)
            contexts = self._of_one[held.subscriber]
            contexts[context] = contexts.pop(context)
        if not held.noted_until and lasts_s == OVER:
            return  # asked for once
        if not held.noted_until or abs(held.until - held.noted_until) > LAST_NEWS_S:
            held.noted_until = held.until
            self._note(subscription_row(held, now, at))

    def end(self, context: str) -> None:
        """Forget a subscription."""
        held = self._held.pop(context, None)
        if held is None:
            return
        name = (held.call_id, held.subscriber_tag)
        if self._by_name.get(name) is held:
            del self._by_name[name]
        contexts = self._of_one[held.subscriber]
        del contexts[context]
        if not contexts:
            del self._of_one[held.subscriber]
        if held.noted_until:
            self._note({"op": "end", "c": context})

    def end_refused(self, context: str) -> None:
        """The request that began a subscription was refused, and nobody has notified."""
        held = self._held.get(context)
        if held is not None and not held.notifiers:
            self.end(context)

    def end_of(self, parties: Collection[int | str]) -> None:
        """Forget the subscriptions of these lines and trusted peers (by domain), and those to them."""
        for held in list(self._held.values()):
            if held.subscriber in parties or held.notifier_line in parties:
                self.end(held.context)

    def forget_over(self, now: float) -> None:
        """Forget those whose time is over."""
        for held in [each for each in self._held.values() if each.until < now]:
            self.end(held.context)

    def journal_rows(self, now: float, at: float) -> list[dict[str, Any]]:
        """The rows of those that have one."""
        return [subscription_row(s, now, at) for s in self._held.values() if s.noted_until]

    def adopt(self, rows: Iterable[dict[str, Any]], now: float, at: float) -> None:
        """Take over what a stopped worker has left in its journal, among the rows of its calls."""
        found: dict[str, dict[str, Any]] = {}
        for row in rows:
            if row.get("op") == "subscribed":
                found[row["c"]] = row
            elif found:
                found.pop(row.get("c", ""), None)
        for row in found.values():
            held = _of_row(row, now, at)
            if held.until >= now:
                self._hold(held)
                self._note(subscription_row(held, now, at))


def subscription_row(held: Subscription, now: float, at: float) -> dict[str, Any]:
    """A subscription as its journal row."""
    return {
        "op": "subscribed",
        "c": held.context,
        "name": [held.call_id, held.subscriber_tag],
        "lines": list(held.lines),
        "parties": list(held.parties),
        "packages": held.packages,
        "contact": held.contact,
        "flow": held.flow,
        "until": at + held.until - now,
        "notifiers": list(held.notifiers),
    }


def _of_row(row: dict[str, Any], now: float, at: float) -> Subscription:
    name, lines, parties = row["name"], row["lines"], row["parties"]
    held = Subscription(
        row["c"],
        (name[0], name[1]),
        (lines[0], lines[1]),
        (parties[0], parties[1]),
        row["packages"],
        (row["contact"], flow_of_row(row["flow"])),
        now + row["until"] - at,
    )
    held.notifiers = tuple(row["notifiers"])
    held.noted_until = held.until
    return held


def news_note(context: str, tag: str, lasts_s: float) -> dict[str, Any]:
    """For the holder of a subscription: what a notifier has said through another worker or node."""
    return {"op": "news", "c": context, "tag": tag, "lasts_s": lasts_s}


__all__ = [
    "AS_BEFORE",
    "OVER",
    "REFER_PACKAGES",
    "Subscription",
    "SubscriptionTable",
    "news_note",
    "subscription_row",
]
