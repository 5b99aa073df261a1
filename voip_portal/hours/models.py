"""When the office is open, a row for each day of the week that it is."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _


class OpeningHours(models.Model):
    """One day. Services such as `sipcore.apps.after_hours` send calls elsewhere at other times."""

    weekday = models.SmallIntegerField(_("day"), unique=True, choices=list(WEEKDAYS.items()))
    opens = models.TimeField(_("opens"))
    closes = models.TimeField(_("closes"))

    class Meta:
        verbose_name = _("opening hours of a day")
        verbose_name_plural = _("opening hours")

    def __str__(self) -> str:
        return str(self.get_weekday_display())

    def clean(self) -> None:
        super().clean()
        if self.opens and self.closes and self.opens >= self.closes:
            raise ValidationError({"closes": _("It has to close after it opens.")})
