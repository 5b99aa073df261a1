"""Where lines are registered now. Written by nodes only; no foreign keys to the rest."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Aor(models.Model):
    """The version of one line's set of bindings: a change must name the one it was made from."""

    line_id = models.BigIntegerField(primary_key=True)
    version = models.BigIntegerField()

    class Meta:
        verbose_name = _("address of record")
        verbose_name_plural = _("addresses of record")

    def __str__(self) -> str:
        return str(self.line_id)


class Binding(models.Model):
    """One registered contact."""

    line_id = models.BigIntegerField(_("line"))
    key = models.CharField(max_length=512)
    contact = models.CharField(_("contact"), max_length=2048)
    call_id = models.CharField(max_length=512)
    cseq = models.BigIntegerField()
    expires_at = models.FloatField(_("until"))
    """UTC, seconds since the epoch. No index: every refresh changes it, and only a sweep each minute
    asks for it."""
    q = models.IntegerField(default=1000)
    flow = models.TextField(blank=True, default="")
    path = models.TextField(blank=True, default="")
    instance = models.CharField(max_length=256, blank=True, default="")
    reg_id = models.IntegerField(default=0)
    user_agent = models.CharField(_("phone"), max_length=256, blank=True, default="")
    device_id = models.BigIntegerField(_("device"), default=0)
    registered_at = models.FloatField(_("since"), default=0)
    node = models.CharField(_("node"), max_length=64, blank=True, default="")
    params = models.TextField(blank=True, default="")
    written_at = models.FloatField(_("last registered"), default=0, db_default=0)

    class Meta:
        verbose_name = _("registration")
        verbose_name_plural = _("registrations")
        constraints = [
            models.UniqueConstraint(fields=["line_id", "key"], name="binding_once_per_line")
        ]

    def __str__(self) -> str:
        return self.contact
