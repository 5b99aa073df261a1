"""What was changed, by whom: directory versions and audit live off the same rows."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Change(models.Model):
    """One changed row of a watched table. Written by triggers only, whatever hand did it.

    The version is that of its transaction; nodes read what comes after the version they have.
    """

    version = models.BigIntegerField(_("version"), null=True, db_index=True)
    table_name = models.CharField(_("table"), max_length=64)
    row_key = models.CharField(_("row"), max_length=64, blank=True)
    """Empty: all rows."""
    op = models.CharField(_("operation"), max_length=8)
    before = models.JSONField(_("before"), null=True)
    after = models.JSONField(_("after"), null=True)
    actor = models.CharField(_("by"), max_length=200, blank=True, default="", db_default="")
    """Empty: somebody outside the portal."""
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("change")
        verbose_name_plural = _("changes")

    def __str__(self) -> str:
        return f"{self.table_name} {self.row_key} {self.op}"


class State(models.Model):
    """One row, kept by the triggers: the latest version.

    On SQLite, whose triggers know no session, also who is acting in the transaction that holds the
    write lock; nobody else ever sees it.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=0)
    actor = models.CharField(max_length=200, default="")

    class Meta:
        verbose_name = _("latest version")
        verbose_name_plural = _("latest version")

    def __str__(self) -> str:
        return str(self.version)
