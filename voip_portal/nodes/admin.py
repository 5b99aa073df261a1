"""Nodes, for staff. The deployment is in no form: its realm never changes, its keys are secret."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sipcore.transport.flow import bracketed
from voip_portal.changes.read_only import ReadOnlyAdmin
from voip_portal.nodes.models import Node
from voip_portal.nodes.services import is_alive


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    """What the nodes say of themselves."""

    list_display = (
        "name",
        "alive",
        "listens",
        "directory_version",
        "refused_why",
        "registrations",
        "calls_now",
        "spool_backlog",
        "started_at",
    )
    ordering = ("name",)
    change_form_outer_after_template = "admin/nodes/counts.html"

    class Media:
        css = {"all": ["bridge/operations.css"]}

    @admin.display(description=_("state"))
    def alive(self, node: Node) -> str:
        if not is_alive(node):
            return format_html('<strong class="ops-bad">{}</strong>', gettext("silent"))
        if not node.listeners:
            return format_html('<strong class="ops-bad">{}</strong>', gettext("serves nothing"))
        return gettext("alive")

    @admin.display(description=_("listens on"))
    def listens(self, node: Node) -> str:
        """A line for each address; where others are told another one, that too."""
        return format_html_join(
            mark_safe("<br>"),
            "{}",
            ((told(*row),) for row in node.listeners),
        )


def told(transport: str, host: str, port: int, advertised: str) -> str:
    """A listener as staff read it."""
    here = f"{transport} {bracketed(host)}:{port}"
    if advertised == host:
        return here
    return gettext("{here}, told as {host}").format(here=here, host=advertised)
