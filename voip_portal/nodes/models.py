"""The deployment's constants, and the SIP nodes with what they say of themselves."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from voip_portal.nodes.counters import Count, counted


class Deployment(models.Model):
    """One row. The realm never changes: every device's HA1 was made for it."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    realm = models.CharField(_("realm"), max_length=253)
    cluster_key = models.CharField(max_length=64, editable=False)
    """Hex. Signs nonces and call tokens of all nodes."""
    previous_cluster_key = models.CharField(max_length=64, blank=True, default="", editable=False)
    authority = models.TextField(blank=True, default="", db_default="", editable=False)
    """Certificate (PEM) of the authority that signs for nodes without a certificate of an operator's."""

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployment")

    def __str__(self) -> str:
        return self.realm


class Node(models.Model):
    """A SIP node, as its keeper last reported."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    number = models.PositiveSmallIntegerField(unique=True, null=True, editable=False)
    """Its own for good, from its first start: one byte in call tokens and flow tokens."""
    started_at = models.DateTimeField(_("started"), null=True)
    heartbeat_at = models.DateTimeField(_("last heard of"), null=True)
    directory_version = models.BigIntegerField(_("version in force"), default=0)
    refused_version = models.BigIntegerField(_("refused version"), null=True)
    refused_why = models.TextField(_("why"), blank=True, default="")
    calls_now = models.IntegerField(_("calls now"), default=0)
    registrations = models.IntegerField(_("registrations"), default=0)
    spool_backlog = models.BigIntegerField(_("records waiting"), default=0)
    counts = models.JSONField(_("dropped or refused"), default=dict, db_default={}, editable=False)
    """By reason, without zeros: `latest` in the last whole minute, `total` since start."""

    listeners = models.JSONField(_("listens on"), default=list, db_default=[], editable=False)
    """Rows of transport, address, port, and the host that others are told in place of the address."""
    address = models.CharField(
        max_length=253, blank=True, default="", db_default="", editable=False
    )
    """The host name or address that phones are to be given."""
    own_authority = models.BooleanField(default=False, db_default=False, editable=False)
    """Whether phones know its certificate only by the deployment's own authority."""

    class Meta:
        verbose_name = _("node")
        verbose_name_plural = _("nodes")

    def __str__(self) -> str:
        return self.name

    @property
    def counted(self) -> list[Count]:
        """What it has dropped or refused, as staff read it."""
        return counted(self.counts)
