"""Filters for the student's pages."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.formats import date_format
from django.utils.timezone import localtime

register = template.Library()


@register.filter
def moment(at: datetime) -> str:
    """A time of today as 14:03, of another day with the day, in the reader's zone."""
    local = localtime(at)
    is_today = local.date() == localtime().date()
    return date_format(local, "H:i" if is_today else "j M H:i")


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as people read them: 0:07, 12:30, 1:02:05."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
