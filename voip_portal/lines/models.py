"""A line is what rings and calls: a SIP user name, its devices, and what it may do.

A device's secret is shown once and never stored. What is stored, HA1, equals a password for SIP:
it is in no form, API, export, log or `changes` row. It has a table of its own (`DeviceSecret`), so
that who reads devices, by whatever page or tool, does not read it by the way.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from voip_portal.accounts.text import visible

MAX_DEVICES = 10
"""Per line. Verification always costs this many hashes, so that nothing can be told from time."""


class State(models.TextChoices):
    """What a line may do; sipcore knows the same words."""

    ACTIVE = "active", _("active")
    SUSPENDED = "suspended", _("suspended")
    CLOSING = "closing", _("closed")


class Line(models.Model):
    """A SIP account. Its user name is chosen once and never given to anyone else."""

    username = models.CharField(_("user name"), max_length=32, unique=True)
    skeleton = models.CharField(
        max_length=64, db_index=True, default="", db_default="", editable=False
    )
    """The name with look-alike letters made equal, to refuse a second name that reads the same."""
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="lines",
    )
    """None for a lab phone, a door, a service."""
    label = models.CharField(
        _("label"), max_length=100, blank=True, default="", validators=[visible]
    )
    class_of_service = models.CharField(_("class of service"), max_length=32, default="student")
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.ACTIVE)
    suspended_with_owner = models.BooleanField(default=False, db_default=False, editable=False)
    """Whether resuming the owner resumes it: not when it was suspended by itself."""
    end_calls = models.BooleanField(_("end ongoing calls when suspended"), default=False)
    created_at = models.DateTimeField(_("created"), default=now)

    class Meta:
        verbose_name = _("line")
        verbose_name_plural = _("lines")
        constraints = [
            # Closed lines count, for their names are never given again. Without a skeleton are lines
            # made by hand, and the younger of two from before this was sure.
            models.UniqueConstraint(
                fields=["skeleton"],
                condition=~models.Q(skeleton=""),
                name="line_reads_like_no_other",
            )
        ]

    def __str__(self) -> str:
        return self.username


class DeviceQuerySet(models.QuerySet["Device"]):
    """Questions about devices."""

    def active(self) -> DeviceQuerySet:
        return self.filter(revoked_at=None)


class Device(models.Model):
    """A phone, with a generated secret of its own."""

    line = models.ForeignKey(
        Line, verbose_name=_("line"), on_delete=models.CASCADE, related_name="devices"
    )
    label = models.CharField(_("name"), max_length=60, validators=[visible])
    created_at = models.DateTimeField(_("added"), default=now)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")

    def __str__(self) -> str:
        return self.label


class DeviceSecret(models.Model):
    """What verifies a device's secret: HA1 of both algorithms. No admin, form or serializer has it.

    Its key is the device's. A device has no attribute that leads here: who needs it asks for it.
    Without a row, nobody can register as the device.
    """

    device = models.OneToOneField(
        Device, primary_key=True, db_column="id", on_delete=models.CASCADE, related_name="+"
    )
    ha1_md5 = models.CharField(max_length=32, editable=False)
    ha1_sha256 = models.CharField(max_length=64, editable=False)

    class Meta:
        default_permissions = ()  # there are none to give, so no role has one by oversight

    def __str__(self) -> str:
        return str(self.pk)
