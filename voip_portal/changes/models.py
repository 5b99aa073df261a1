"""What was changed, by whom: directory versions, audit and undo live off the same rows."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Change(models.Model):
    """One changed row of a watched table. Written by triggers only, whatever hand did it."""

    version = models.BigIntegerField(_("version"), null=True, db_index=True)
    table_name = models.CharField(_("table"), max_length=64)
    row_key = models.CharField(_("row"), max_length=64, blank=True)
    op = models.CharField(_("operation"), max_length=8)
    before = models.JSONField(_("before"), null=True)
    after = models.JSONField(_("after"), null=True)
    actor = models.CharField(_("by"), max_length=200, blank=True, default="", db_default="")
    """Empty: somebody outside the portal."""
    source = models.CharField(_("from"), max_length=64, blank=True, default="", db_default="")
    """The address that the request came from; empty: no request."""
    reason = models.CharField(_("reason"), max_length=200, blank=True, default="", db_default="")
    """Why, where somebody was asked."""
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        indexes = [models.Index(fields=["table_name", "row_key"], name="change_of_row")]

    def __str__(self) -> str:
        return f"{self.table_name} {self.row_key} {self.op}"


class Version(models.Model):
    """PostgreSQL: one row with the version given last. Its lock is the last one of a transaction."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField()

    class Meta:
        verbose_name = _("version")
        verbose_name_plural = _("versions")

    def __str__(self) -> str:
        return str(self.version)
