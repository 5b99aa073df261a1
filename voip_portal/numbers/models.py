"""One table of addresses: each (domain, name or number) exists once and has at most one holder."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from voip_portal.lines import names
from voip_portal.lines.models import Line

digits = RegexValidator(r"^[0-9]{2,15}$", _("Enter 2 to 15 digits."))
host_name = RegexValidator(
    r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    _("Enter a domain name in lower case, such as campus.example."),
)
ALGORITHMS = ("SHA-256", "MD5")


def algorithms_known(value: str) -> None:
    """Accept a comma-separated choice of digest algorithms in order of preference."""
    names = value.split(",")
    if not value or len(set(names)) != len(names) or not set(names) <= set(ALGORITHMS):
        raise ValidationError(_("Enter SHA-256, MD5, or both separated by a comma."))


class Domain(models.Model):
    """A SIP domain this service answers for."""

    name = models.CharField(_("name"), max_length=253, unique=True, validators=[host_name])
    is_default = models.BooleanField(_("default"), default=False)
    """The domain of canonical addresses, shown to students."""
    algorithms = models.CharField(
        _("digest algorithms"), max_length=32, default="SHA-256,MD5", validators=[algorithms_known]
    )

    class Meta:
        verbose_name = _("domain")
        verbose_name_plural = _("domains")
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True),
                name="one_default_domain",
                violation_error_message=_("There is a default domain already."),
            )
        ]

    def __str__(self) -> str:
        return self.name


class NumberRange(models.Model):
    """Consecutive numbers of equal length; from a pool, numbers are given to students."""

    domain = models.ForeignKey(Domain, verbose_name=_("domain"), on_delete=models.PROTECT)
    first = models.CharField(_("first"), max_length=15, validators=[digits])
    last = models.CharField(_("last"), max_length=15, validators=[digits])
    is_pool = models.BooleanField(_("pool for students"), default=False)

    class Meta:
        verbose_name = _("number range")
        verbose_name_plural = _("number ranges")

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def clean(self) -> None:
        super().clean()
        if len(self.first) != len(self.last) or self.first > self.last:
            raise ValidationError(
                _("First and last must have the same number of digits, and first comes first.")
            )

    @property
    def size(self) -> int:
        """How many numbers the range has."""
        return int(self.last) - int(self.first) + 1


class Kind(models.TextChoices):
    """What an address is made of."""

    NAME = "name", _("name")
    NUMBER = "number", _("number")


class AddressState(models.TextChoices):
    """Why an address cannot be given out."""

    HELD = "held", _("held")
    RESERVED = "reserved", _("reserved")
    QUARANTINE = "quarantine", _("in quarantine")


def user_name(value: str) -> None:
    """Accept what could be chosen as a user name: nothing else needs to be reserved."""
    if not names.is_well_formed(value):
        raise ValidationError(
            _(
                "Use 3 to 32 small letters, digits, dots, dashes; begin with a letter, for example anna.berg."
            )
        )


_CHECKS: dict[str, Callable[[str], None]] = {Kind.NAME: user_name, Kind.NUMBER: digits}
"""What the value of an address has to be, by its kind."""


class Address(models.Model):
    """A name or number in a domain, held by one line, reserved, or in quarantine until a date."""

    domain = models.ForeignKey(Domain, verbose_name=_("domain"), on_delete=models.PROTECT)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    value = models.CharField(_("name or number"), max_length=64)
    line = models.ForeignKey(
        Line,
        verbose_name=_("held by"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="addresses",
    )
    state = models.CharField(
        _("state"), max_length=12, choices=AddressState.choices, default=AddressState.HELD
    )
    until = models.DateTimeField(_("until"), null=True, blank=True)
    """When quarantine ends."""

    class Meta:
        verbose_name = _("address")
        verbose_name_plural = _("addresses")
        constraints = [
            models.UniqueConstraint(fields=["domain", "value"], name="address_held_once"),
            models.CheckConstraint(
                condition=Q(state="held", line__isnull=False)
                | Q(line__isnull=True, state__in=["reserved", "quarantine"]),
                name="address_holder_matches_state",
                violation_error_message=_("A held address has a holder; any other has none."),
            ),
            # Names are called without regard to case, so two spellings would be one address twice.
            models.CheckConstraint(
                condition=Q(value=Lower(F("value"))),
                name="address_in_lower_case",
                violation_error_message=_("Enter the address in lower case."),
            ),
        ]

    def __str__(self) -> str:
        return self.value

    def clean(self) -> None:
        super().clean()
        self.value = names.normalise(self.value)
        check = _CHECKS.get(self.kind)
        if check and self.value:  # what is empty or of no kind is refused by its field
            try:
                check(self.value)
            except ValidationError as error:
                raise ValidationError({"value": error}) from error
