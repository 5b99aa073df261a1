"""Opening hours, for operators and administrators."""

from __future__ import annotations

from django.contrib import admin

from voip_portal.accounts.second_look import DeletesAfterLook
from voip_portal.changes.audited import Audited
from voip_portal.changes.base_admin import BaseAdmin
from voip_portal.hours.models import OpeningHours


@admin.register(OpeningHours)
class OpeningHoursAdmin(Audited, DeletesAfterLook, BaseAdmin):
    """A row is written whole: opening and closing belong together."""

    list_display = ("weekday", "opens", "closes")
    ordering = ("weekday",)
