"""Records as the nodes wrote them, and calls folded from them.

No foreign keys: a record names the lines as they were when the call happened, so a number given to
the next student brings no history with it.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Record(models.Model):
    """One event of the log, unique by its place in a node's spool."""

    spool_id = models.CharField(_("spool"), max_length=128)
    n = models.BigIntegerField(_("number"))
    kind = models.CharField(_("kind"), max_length=32)
    context = models.CharField(_("call"), max_length=16, blank=True, db_index=True)
    at = models.FloatField(_("at"))
    data = models.JSONField(_("data"))

    class Meta:
        verbose_name = _("record")
        verbose_name_plural = _("records")
        constraints = [models.UniqueConstraint(fields=["spool_id", "n"], name="record_once")]
        indexes = [models.Index(fields=["kind", "at"], name="record_kind_at")]

    def __str__(self) -> str:
        return f"{self.kind} {self.context}"


class SpoolPosition(models.Model):
    """How far a spool is in the database: its last number without a gap before it."""

    spool_id = models.CharField(_("spool"), max_length=128, unique=True)
    position = models.BigIntegerField(_("position"), default=0)

    class Meta:
        verbose_name = _("spool position")
        verbose_name_plural = _("spool positions")

    def __str__(self) -> str:
        return self.spool_id


class Call(models.Model):
    """One call, folded from its records; folding again gives the same."""

    context = models.CharField(_("context"), max_length=16, unique=True)
    call_id = models.CharField(_("Call-ID"), max_length=128, blank=True)
    from_uri = models.CharField(_("from"), max_length=256, blank=True)
    to_uri = models.CharField(_("to"), max_length=256, blank=True)
    dialled = models.CharField(_("dialled"), max_length=128, blank=True)
    caller_line = models.BigIntegerField(_("caller's line"), null=True)
    callee_line = models.BigIntegerField(_("called line"), null=True)
    started_at = models.DateTimeField(_("started"), db_index=True)
    ringing_at = models.DateTimeField(_("ringing"), null=True)
    answered_at = models.DateTimeField(_("answered"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    duration_s = models.FloatField(_("duration"), null=True)
    cause = models.CharField(_("cause"), max_length=16, blank=True)
    ended_by = models.CharField(_("ended by"), max_length=8, blank=True)
    status = models.IntegerField(_("status"), null=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    node = models.CharField(_("node"), max_length=64, blank=True)
    open = models.BooleanField(_("ongoing"), default=True)
    caller_device = models.BigIntegerField(_("caller's device"), null=True)
    callee_device = models.BigIntegerField(_("device that answered"), null=True)
    seen = models.JSONField(_("what was seen besides"), null=True)
    """None for nothing, else those that there are of:
    `phones`: of the called line that did not answer, [device, status, `eventlog.Heard`] each;
    `elsewhere`: the domain that was called, where it is not ours;
    `came_from`: the context of the call in which its caller was asked to place it (REFER);
    `moved_by`, `moved_to`: which side has sent the other one on, and to whom;
    `went_on_as`: the context of the call that took its place (Replaces)."""

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        indexes = [
            models.Index(fields=["caller_line", "-started_at", "-id"], name="call_by_caller"),
            models.Index(fields=["callee_line", "-started_at", "-id"], name="call_by_callee"),
            models.Index(fields=["cause", "-started_at", "-id"], name="call_by_cause"),
            models.Index(fields=["call_id"], name="call_by_call_id"),
            models.Index(fields=["started_at"], name="call_open", condition=models.Q(open=True)),
        ]

    def __str__(self) -> str:
        return f"{self.from_uri} → {self.dialled}"
