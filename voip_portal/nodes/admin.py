"""Nodes, for staff. The deployment is in no form: its realm never changes, its keys are secret."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voip_portal.changes.read_only import ReadOnlyAdmin
from voip_portal.nodes.models import Node
from voip_portal.nodes.services import is_alive


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    """What the nodes say of themselves."""

    list_display = (
        "name",
        "alive",
        "directory_version",
        "refused_why",
        "registrations",
        "calls_now",
        "spool_backlog",
        "started_at",
        "heartbeat_at",
    )
    ordering = ("name",)
    change_form_outer_after_template = "admin/nodes/counts.html"

    class Media:
        css = {"all": ["bridge/operations.css"]}

    @admin.display(description=_("state"))
    def alive(self, node: Node) -> str:
        return gettext("alive") if is_alive(node) else gettext("silent")
