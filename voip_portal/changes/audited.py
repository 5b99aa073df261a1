"""What was changed of an object, on its page in the admin."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from voip_portal.changes.models import Change
from voip_portal.changes.services import OPERATIONS, of_row, told


class Audited:
    """For a ModelAdmin: below the form stand its newest changes, for whoever may see changes."""

    change_form_after_template = "admin/changes_of.html"

    class Media:
        css = {"all": ["bridge/operations.css"]}

    def rows_of(self, obj: Any) -> list[tuple[str, str]]:
        """(table, key) of all rows whose changes belong on the page of `obj`."""
        return [(obj._meta.db_table, str(obj.pk))]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = dict(extra_context or {})
        if object_id is not None and request.user.has_perm("changes.view_change"):  # type: ignore[union-attr]
            obj = self.get_object(request, object_id)  # type: ignore[attr-defined]
            if obj is not None:
                context["changes"] = lines_of(of_row(self.rows_of(obj)))
        page: HttpResponse = super().changeform_view(  # type: ignore[misc]
            request, object_id, form_url, context
        )
        return page


def lines_of(changes: list[Change]) -> list[dict[str, Any]]:
    """Changes as a template shows them."""
    return [
        {
            "at": change.at,
            "by": change.actor,
            "source": change.source,
            "operation": dict(OPERATIONS).get(change.op, change.op),
            "told": told(change),
            "reason": change.reason,
        }
        for change in changes
    ]
