"""`{% operations %}`: the state of the service, on the admin's home page."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.defaultfilters import truncatechars
from django.utils.timezone import get_current_timezone_name

from voip_portal.bridge.overview import overview
from voip_portal.changes.models import Change
from voip_portal.changes.services import OPERATIONS, table, told

register = template.Library()


@register.inclusion_tag("admin/operations.html", takes_context=True)
def operations(context: template.Context) -> dict[str, Any]:
    """Shown to staff who may see nodes."""
    request = context["request"]
    if not request.user.has_perm("nodes.view_node"):
        return {"overview": None}
    return {
        "overview": overview(),
        "zone": get_current_timezone_name(),
        "shows_calls": request.user.has_perm("calls.view_call"),
        "shows_changes": request.user.has_perm("changes.view_change"),
    }


@register.filter
def in_one_line(change: Change) -> str:
    """What a change did, cut where it gets long."""
    return truncatechars(", ".join(told(change)), 120)


@register.filter
def operation(change: Change) -> str:
    """The operation in words."""
    return str(dict(OPERATIONS).get(change.op, change.op))


@register.filter
def thing(change: Change) -> str:
    """What kind of row was changed, in words."""
    return table(change.table_name)
