"""`decide(directory, bindings, query) -> Plan`: where a request goes, and why."""

from sipcore.routing.ask import Ask
from sipcore.routing.decide import (
    Query,
    account_named,
    asked_for,
    decide,
    dialled_number,
    groups_by_q,
    is_emergency,
)
from sipcore.routing.plan import Fork, Group, Plan, Refuse, Relay, Service, Target

__all__ = [
    "Ask",
    "Fork",
    "Group",
    "Plan",
    "Query",
    "Refuse",
    "Relay",
    "Service",
    "Target",
    "account_named",
    "asked_for",
    "decide",
    "dialled_number",
    "groups_by_q",
    "is_emergency",
]
