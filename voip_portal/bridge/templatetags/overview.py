"""The overview, for the admin's first page."""

from __future__ import annotations

from typing import Any

from django import template

from voip_portal.bridge.overview import Overview, overview

register = template.Library()


@register.simple_tag(takes_context=True)
def service_overview(context: Any) -> Overview | None:
    """The overview, for staff who may see nodes."""
    user = context["request"].user
    return overview() if user.has_perm("nodes.view_node") else None
