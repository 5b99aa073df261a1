"""The person. Log-in is by e-mail; the SIP user name belongs to the line, not to the person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.utils.crypto import salted_hmac
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from voip_portal.accounts.text import composed, folded, visible


class UserQuerySet(models.QuerySet["User"]):
    """People."""

    def update(self, **columns: Any) -> int:
        if isinstance(name := columns.get("name"), str):
            columns |= {"name": composed(name), "name_folded": folded(name)}
        return super().update(**columns)


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):  # type: ignore[misc]
    """Creates people; e-mail addresses are kept in lower case."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> User:
        user = self.model(email=email.strip().lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **extra)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who may log in to the portal."""

    email = models.EmailField(_("e-mail"), unique=True, max_length=254)
    name = models.CharField(_("name"), max_length=100, blank=True, validators=[visible])
    """As other students see it."""
    name_folded = models.TextField(blank=True, default="", db_default="", editable=False)
    """The name as it is searched; written with it. Longer, as ß becomes ss."""
    is_active = models.BooleanField(_("may log in"), default=True)
    is_staff = models.BooleanField(_("staff"), default=False)
    language = models.CharField(_("language"), max_length=10, blank=True, default="")
    """Empty: as the browser asks."""
    timezone = models.CharField(_("time zone"), max_length=64, blank=True, default="")
    """Empty: the deployment's."""
    listed = models.BooleanField(_("may be found by other students"), default=False)
    date_joined = models.DateTimeField(_("joined"), default=now)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    session_epoch = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    """Raised by "log out everywhere": sessions of an older epoch are worth nothing."""

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = []

    objects = UserManager()

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        indexes = [models.Index(fields=["listed", "name"])]

    def __str__(self) -> str:
        return self.email

    def save(self, *, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        if update_fields is None or "name" in update_fields:
            self.name, self.name_folded = composed(self.name), folded(self.name)
            if update_fields is not None:
                update_fields = {*update_fields, "name_folded"}
        super().save(update_fields=update_fields, **kwargs)

    def clean(self) -> None:
        super().clean()
        self.email = self.email.strip().lower()

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] if self.name else self.email.split("@")[0]

    def _get_session_auth_hash(self, secret: Any = None) -> str:
        return salted_hmac(
            "voip_portal.accounts.User.session",
            f"{self.password}:{self.session_epoch}",
            secret=secret,
            algorithm="sha256",
        ).hexdigest()
