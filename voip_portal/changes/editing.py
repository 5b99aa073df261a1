"""Admin pages that write what was edited and nothing else.

A page's row is read when its request begins. Writing all of it back at the end would undo what
happened in between: a suspension, a revocation.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def edited_columns(form: Any) -> list[str]:
    """The columns of a model form's row that the reader changed; relations have their own tables."""
    many = {field.name for field in form.instance._meta.many_to_many}
    return [name for name in form.changed_data if name not in many]


class EditedOnly:
    """For a ModelAdmin."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.save(update_fields=edited_columns(form) if change else None)
