"""All changes of lines and devices. Forms, API and commands call these, never the models."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from voip_portal.accounts.models import User
from voip_portal.accounts.services import end_sessions, locked
from voip_portal.lines import names
from voip_portal.lines.models import MAX_DEVICES, Device, DeviceSecret, Line, State

_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""No letter that is read as another."""


class LineError(Exception):
    """A rule about lines or devices was not met."""


class NameMalformed(LineError):
    """The user name has a wrong shape."""


class NameRefused(LineError):
    """The user name is reserved or looks like a reserved one."""


class NameTaken(LineError):
    """Somebody has, or had, this user name or one that reads the same."""


class LineNotActive(LineError):
    """The line is suspended or closed."""


class TooManyDevices(LineError):
    """The line has as many devices as it may have."""


def check_username(username: str) -> None:
    """Raise why this normalised user name cannot be chosen."""
    if not names.is_well_formed(username):
        raise NameMalformed(username)
    if names.is_reserved(username):
        raise NameRefused(username)
    if Line.objects.filter(skeleton=names.skeleton(username)).exists():
        raise NameTaken(username)


def create_line(
    owner: User | None,
    username: str,
    *,
    label: str = "",
    class_of_service: str = "student",
) -> Line:
    """A new line under a user name nobody had before. `numbers.services.open_line` adds addresses.

    Of two that read the same and are chosen at once, the database lets one be.
    """
    username = names.normalise(username)
    check_username(username)
    try:
        with transaction.atomic():
            return Line.objects.create(
                owner=owner,
                username=username,
                skeleton=names.skeleton(username),
                label=label,
                class_of_service=class_of_service,
            )
    except IntegrityError as error:
        raise NameTaken(username) from error


def new_secret() -> str:
    """A device secret of 99 random bits, in groups that can be typed on a telephone."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


def ha1(algorithm: str, username: str, realm: str, secret: str) -> str:
    """H(username:realm:secret) in hex, what digest verification needs (RFC 7616 §3.4.2)."""
    return hashlib.new(algorithm, f"{username}:{realm}:{secret}".encode()).hexdigest()


def _verifiers(username: str, realm: str, secret: str) -> dict[str, str]:
    """What is kept of a secret, by the columns of `DeviceSecret`."""
    return {
        "ha1_md5": ha1("md5", username, realm, secret),
        "ha1_sha256": ha1("sha256", username, realm, secret),
    }


def add_device(line: Line, label: str, realm: str) -> tuple[Device, str]:
    """A new device and its secret, which exists nowhere else: show it once, then forget it."""
    with transaction.atomic():
        locked = Line.objects.select_for_update().get(pk=line.pk)
        if locked.state != State.ACTIVE:
            raise LineNotActive(locked.username)
        if locked.devices.active().count() >= MAX_DEVICES:
            raise TooManyDevices(locked.username)
        secret = new_secret()
        device = Device.objects.create(line=locked, label=_clean_label(label))
        DeviceSecret.objects.create(device=device, **_verifiers(locked.username, realm, secret))
    return device, secret


def is_secret_of(device: Device, realm: str, secret: str) -> bool:
    """Whether this is the secret of the device."""
    kept = DeviceSecret.objects.filter(device=device).values_list("ha1_sha256", flat=True).first()
    given = _verifiers(device.line.username, realm, secret)["ha1_sha256"]
    return kept is not None and constant_time_compare(kept, given)


def renew_secret(device: Device, realm: str) -> tuple[Device, str]:
    """A new device in the place of this one, under its name, and its secret.

    The old one is revoked, so whatever phone is registered with its secret is gone within a second,
    and nothing that was seen of it is taken for news of the new one.
    """
    with transaction.atomic():
        Line.objects.select_for_update().get(pk=device.line_id)  # as `add_device`, which follows
        # By what it is now, not when it was read: revoking it waits, or was first.
        now = Device.objects.active().select_related("line").filter(pk=device.pk).first()
        if now is None:
            raise LineNotActive(device.label)
        revoke_device(now)
        return add_device(now.line, now.label, realm)


def rename_device(device: Device, label: str) -> None:
    """Give a device another name; its registration stays. A closed line's keeps none."""
    with transaction.atomic():
        locked = Line.objects.select_for_update().get(pk=device.line_id)
        if locked.state != State.CLOSING:
            device.label = _clean_label(label)
            device.save(update_fields=["label"])


def revoke_device(device: Device, at: datetime | None = None, *, end_calls: bool = False) -> None:
    """End a device for good. Its registration goes within a second, by the change feed.

    Nobody knows of a call which device of the line talks: with `end_calls`, all of the line's end.
    """
    with transaction.atomic():
        if end_calls:
            end_ongoing_calls(device.line_id)
        active = Device.objects.active().filter(pk=device.pk)
        active.update(revoked_at=at or timezone.now())
    device.refresh_from_db(fields=["revoked_at"])  # of who was first


def end_ongoing_calls(line_id: int) -> None:
    """End a line's calls, and leave it as it is.

    The column is on within this transaction only: what nodes act upon is the row of the change feed
    that says so (`bridge.directory_loader`). Where it is on already, the calls have ended.
    """
    with transaction.atomic():
        if Line.objects.filter(pk=line_id, end_calls=False).update(end_calls=True):
            Line.objects.filter(pk=line_id).update(end_calls=False)


def label_line(line: Line, label: str) -> None:
    """What staff call a line; a closed one is called nothing."""
    Line.objects.filter(pk=line.pk).exclude(state=State.CLOSING).update(label=label)


def suspend(line: Line, *, end_calls: bool) -> None:
    """Take a line out of service: registrations go, and ongoing calls too when asked for."""
    _set_state(line, State.SUSPENDED, end_calls=end_calls)


def resume(line: Line) -> None:
    """Put a suspended line back into service, unless its owner is shut out."""
    with transaction.atomic():
        # Locked, so that nobody is suspended between the question and the change.
        if line.owner is not None and not locked(line.owner).is_active:
            raise LineNotActive(line.username)
        _set_state(line, State.ACTIVE, end_calls=False)


def _set_state(line: Line, state: State, *, end_calls: bool) -> None:
    """Change the state of a line that is not closed: by what the database says, not by `line`."""
    open_line = Line.objects.filter(pk=line.pk).exclude(state=State.CLOSING)
    if not open_line.update(state=state, end_calls=end_calls, suspended_with_owner=False):
        raise LineNotActive(line.username)
    line.state, line.end_calls, line.suspended_with_owner = state, end_calls, False


def suspend_person(user: User, *, end_calls: bool) -> None:
    """Shut a person out: no log-in, sessions ended, all lines suspended."""
    with transaction.atomic():
        user.is_active = False
        user.save(update_fields=["is_active"])
        end_sessions(user)
        lines = Line.objects.filter(owner=user)
        if end_calls:
            lines.filter(state=State.SUSPENDED).update(end_calls=True)
        lines.filter(state=State.ACTIVE).update(
            state=State.SUSPENDED, end_calls=end_calls, suspended_with_owner=True
        )


def resume_person(user: User) -> None:
    """Let a suspended person in again, with the lines that were suspended with her.

    A line that was suspended by itself stays so. A closed account stays closed.
    """
    with transaction.atomic():
        if locked(user).closed_at is not None:
            raise LineNotActive(user.email)
        user.is_active = True
        user.save(update_fields=["is_active"])
        lines = Line.objects.filter(owner=user, state=State.SUSPENDED, suspended_with_owner=True)
        lines.update(state=State.ACTIVE, end_calls=False, suspended_with_owner=False)


def close_line(line: Line) -> None:
    """End a line for good: devices revoked, calls ended, the user name never given again."""
    with transaction.atomic():
        Line.objects.select_for_update().get(pk=line.pk)  # a rename under way waits, or is done
        line.devices.active().update(revoked_at=timezone.now())
        line.devices.update(label="")
        line.state = State.CLOSING
        line.end_calls = True
        line.label = ""
        line.save(update_fields=["state", "end_calls", "label"])


def _clean_label(label: str) -> str:
    return " ".join(label.split())[:60]
