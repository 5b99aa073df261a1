"""After hours: outside office hours, calls to the reception ring the porter."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

from sipcore.apps.user_agent import UserAgent
from sipcore.directory.opening_hours import OpeningHours
from sipcore.routing import Fork, Plan, Query, Refuse


class AfterHours(UserAgent):
    """Redirects by the time of day, whether the name or a number was dialled."""

    name = "after-hours"
    watched, instead = "reception", "porter"
    zone = ZoneInfo("Europe/Stockholm")
    usual = OpeningHours([(day, time(8), time(17)) for day in range(5)])
    """Where the admin has no opening hours."""

    def plan(self, query: Query, plan: Plan) -> Plan:
        callee = plan.callee if isinstance(plan, Fork | Refuse) else None
        if callee is None or callee.username != self.watched or self.is_open():
            return plan
        return self.plan_for(self.instead, query)

    def is_open(self) -> bool:
        local = datetime.fromtimestamp(self.worker.at, self.zone)
        return (self.worker.directory.part(OpeningHours) or self.usual).are_open(local)
