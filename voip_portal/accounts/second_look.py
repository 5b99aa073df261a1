"""Actions of the admin that reach many rows, or end something, are looked at twice.

The first click leads to a page with the count, the names, what will happen, and a box for the reason,
which is kept with the changes. Above `TYPED_ABOVE` rows the number is typed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminTextInputWidget

from voip_portal.accounts.roles import most_at_once
from voip_portal.accounts.text import visible

TYPED_ABOVE: Final = 20
SHOWN: Final = 20
"""Names on the page; of more, their number."""
LOOKED: Final = "looked"
"""The field of the page, by which its answer is known."""

Action = Callable[[Any, HttpRequest, QuerySet[Any]], Any]


class SecondLook(forms.Form):
    """Why, and how many where they are many."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("It is kept with the change, for whoever asks later."),
        max_length=200,
        validators=[visible],
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    number = forms.CharField(
        label=gettext_lazy("How many are these?"),
        help_text=gettext_lazy("Type the number from above."),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )

    def __init__(self, data: Any, *, count: int) -> None:
        super().__init__(data)
        self.count = count
        if count <= TYPED_ABOVE:
            del self.fields["number"]

    def clean(self) -> dict[str, Any] | None:
        if self.data.get(LOOKED) != str(self.count):
            raise ValidationError(_("Meanwhile the number of these rows has changed: look again."))
        return super().clean()

    def clean_number(self) -> str:
        typed = "".join(self.cleaned_data["number"].split())
        if typed.replace(",", "").replace(".", "") != str(self.count):
            raise ValidationError(_("This is not the number of rows."))
        return typed


def second_look(consequences: str | Promise) -> Callable[[Action], Action]:
    """Decorator of an admin's action: ask before, with what will happen to each of the rows."""

    def decorate(action: Action) -> Action:
        @wraps(action)
        def asked(modeladmin: Any, request: HttpRequest, rows: QuerySet[Any]) -> Any:
            count = rows.count()
            most = most_at_once(request.user)
            if most is not None and count > most:
                text = ngettext(
                    "You may do this to %d row at a time.",
                    "You may do this to %d rows at a time.",
                    most,
                )
                messages.error(request, text % most)
                return None
            form = SecondLook(request.POST if LOOKED in request.POST else None, count=count)
            if form.is_valid():
                request.reason = form.cleaned_data["reason"]  # type: ignore[attr-defined]
                done = action(modeladmin, request, rows)
                back = _back(request)
                return redirect(back) if done is None and back else done
            return _page(modeladmin, request, rows, form, consequences)

        return asked

    return decorate


def _back(request: HttpRequest) -> str:
    """The page of this site that the action was begun at; "": the list."""
    back = request.POST.get("back", "")
    return back if back.startswith("/admin/") else ""


def _page(
    modeladmin: Any,
    request: HttpRequest,
    rows: QuerySet[Any],
    form: SecondLook,
    consequences: str | Promise,
) -> TemplateResponse:
    opts = modeladmin.opts
    name = request.POST.get("action", "")
    description = dict(modeladmin.get_action_choices(request, default_choices=[])).get(name, "")
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": description,
        "opts": opts,
        "form": form,
        "count": form.count,
        "counted": number_format(form.count, force_grouping=True),
        "objects": opts.verbose_name if form.count == 1 else opts.verbose_name_plural,
        "names": [str(row) for row in rows[:SHOWN]],
        "more": form.count - SHOWN,
        "consequences": consequences,
        "action": name,
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "across": request.POST.get("select_across", "0"),
        "checkbox": ACTION_CHECKBOX_NAME,
        "looked": LOOKED,
        "back": _back(request),
    }
    return TemplateResponse(request, "admin/second_look.html", context)


class DeletesAfterLook:
    """For a ModelAdmin whose rows may be deleted: many at once are looked at twice, too."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)  # type: ignore[misc]
        if "delete_selected" in actions:
            actions["delete_selected"] = (_delete, "delete_selected", gettext_lazy("Delete"))
        return actions


def _delete(modeladmin: Any, request: HttpRequest, rows: QuerySet[Any]) -> Any:
    _deleted, _counts, lacking, protected = modeladmin.get_deleted_objects(rows, request)
    if lacking or protected:
        text = _("These cannot be deleted: %(names)s.")
        messages.error(
            request, text % {"names": ", ".join(map(str, [*lacking, *protected][:SHOWN]))}
        )
        return None
    return _delete_looked_at(modeladmin, request, rows)


@second_look(gettext_lazy("They are gone for good."))
def _delete_looked_at(modeladmin: Any, request: HttpRequest, rows: QuerySet[Any]) -> None:
    count = rows.count()
    modeladmin.log_deletions(request, rows)
    modeladmin.delete_queryset(request, rows)
    messages.success(request, ngettext("%d row deleted.", "%d rows deleted.", count) % count)
