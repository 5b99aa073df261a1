"""Servers of others. Every row is in force within a second of its change (`voip_portal.directory`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from voip_portal.directory import words
from voip_portal.numbers.models import Domain

NO_DOMAIN = _("Enter the name of a domain, such as pbx.example.org.")
NO_URI = _("Enter a SIP URI, such as sip:192.0.2.9:5060.")
NO_NETWORK = _("Enter a network, such as 10.1.0.0/16, or an address, such as 192.168.7.2.")


@contextmanager
def said_of(field: str) -> Iterator[None]:
    """What is wrong is told beside this field."""
    try:
        yield
    except ValidationError as error:
        raise ValidationError({field: error}) from error


def normal(read: Callable[[str], str], value: str, message: str | Promise) -> str:
    """A value as it counts; ValidationError with the message where it makes no sense."""
    try:
        return read(value.strip()) if value else value  # an empty one is refused by its field
    except ValueError as error:
        raise ValidationError(message) from error


class TrustedPeer(models.Model):
    """A domain whose servers are believed who calls, by their certificate (RFC 3325)."""

    domain = models.CharField(
        _("domain"),
        max_length=253,
        unique=True,
        help_text=_(
            "Whoever connects over TLS with a client certificate for this domain is believed who "
            "is calling, and is sent on to other domains."
        ),
    )

    class Meta:
        verbose_name = _("trusted server")
        verbose_name_plural = _("trusted servers")

    def __str__(self) -> str:
        return self.domain

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        super().clean_fields(exclude)
        with said_of("domain"):
            self.domain = normal(words.peer_domain, self.domain, NO_DOMAIN)


class Edge(models.Model):
    """A domain of another registrar whose phones hold their connections to us (RFC 5626)."""

    domain = models.CharField(
        _("domain"),
        max_length=253,
        unique=True,
        help_text=_("Its phones hold their connection to this service, and register elsewhere."),
    )
    registrar = models.CharField(
        _("registrar"),
        max_length=253,
        help_text=_("Where its registrar is, such as sip:192.0.2.9:5060."),
    )

    class Meta:
        verbose_name = _("domain of another registrar")
        verbose_name_plural = _("domains of other registrars")

    def __str__(self) -> str:
        return self.domain

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        super().clean_fields(exclude)
        with said_of("domain"):
            self.domain = normal(words.peer_domain, self.domain, NO_DOMAIN)
            if Domain.objects.filter(name=self.domain).exists():
                raise ValidationError(_("This is a domain of our own."))
        with said_of("registrar"):
            self.registrar = normal(words.sip_uri, self.registrar, NO_URI)


class OpenNetwork(models.Model):
    """A private network into which the SIP server may open connections."""

    network = models.CharField(
        _("network"),
        max_length=43,
        unique=True,
        help_text=_(
            "The SIP server opens TCP and TLS connections into it, such as to your own PBX. "
            "Phones need no entry."
        ),
    )

    class Meta:
        verbose_name = _("open network")
        verbose_name_plural = _("open networks")

    def __str__(self) -> str:
        return self.network

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        super().clean_fields(exclude)
        with said_of("network"):
            self.network = normal(words.network, self.network, NO_NETWORK)


class NumberLookup(models.Model):
    """The domain below which numbers that nobody here has are looked up (RFC 6116): one row or none."""

    suffix = models.CharField(
        _("domain"),
        max_length=253,
        help_text=_(
            "A number with its country code that nobody here has is looked up in the DNS below "
            "this domain, such as e164.arpa, and called by SIP where it has an address."
        ),
    )
    is_only = models.BooleanField(default=True, db_default=True, unique=True, editable=False)
    """There is one such domain at most."""

    class Meta:
        verbose_name = _("look-up of numbers")
        verbose_name_plural = _("look-up of numbers")
        constraints = [
            models.CheckConstraint(condition=Q(is_only=True), name="one_look_up_of_numbers")
        ]

    def __str__(self) -> str:
        return self.suffix

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        super().clean_fields(exclude)
        with said_of("suffix"):
            self.suffix = normal(words.enum_domain, self.suffix, NO_DOMAIN)


class StartValue(models.Model):
    """A variable of the environment that was read, and is read no more."""

    variable = models.CharField(_("variable"), max_length=64, unique=True)
    read_at = models.DateTimeField(_("read"), auto_now_add=True)

    class Meta:
        verbose_name = _("start value")
        verbose_name_plural = _("start values")

    def __str__(self) -> str:
        return self.variable
