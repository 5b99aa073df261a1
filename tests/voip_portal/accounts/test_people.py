import re
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core import mail
from django.db import connection, models
from django.test import Client

from tests.voip_portal.people import PASSWORD, Meanwhile, reread
from voip_portal.accounts import services
from voip_portal.accounts.models import User
from voip_portal.accounts.text import folded
from voip_portal.lines.models import Line
from voip_portal.lines.services import suspend_person

pytestmark = pytest.mark.django_db(databases="__all__")


def test_logging_out_everywhere_ends_every_session(
    anna: User, as_user: Callable[[User], Client]
) -> None:
    here, there = as_user(anna), as_user(anna)
    assert here.get("/settings/").status_code == 200
    here.post("/settings/log-out-everywhere/")
    assert here.get("/settings/").status_code == 302
    assert there.get("/settings/").status_code == 302


def test_closing_forgets_the_person_and_frees_the_mailbox(anna: User) -> None:
    services.anonymise(anna)
    anna.refresh_from_db()
    assert (anna.name, anna.is_active, anna.listed) == ("", False, False)
    assert "anna" not in anna.email
    assert User.objects.create_user("anna@campus.example").pk != anna.pk


def test_there_is_one_first_administrator_with_a_password_shown_once(client: Client) -> None:
    password = services.ensure_administrator("admin@campus.example")
    assert password
    assert services.ensure_administrator("admin@campus.example") is None
    answer = client.post(
        "/accounts/login/", {"login": "admin@campus.example", "password": password}
    )
    assert answer["Location"] == "/admin/"


def test_roles_have_what_they_may_do_and_no_more() -> None:
    def permissions(role: str) -> set[str]:
        return set(Group.objects.get(name=role).permissions.values_list("codename", flat=True))

    assert {"change_line", "view_call", "add_numberrange", "change_user"} <= permissions("operator")
    assert {"change_device", "view_call"} <= permissions("help desk")
    assert not any("domain" in codename for codename in permissions("help desk"))
    assert all(codename.startswith("view_") for codename in permissions("auditor"))
    for role in ("operator", "help desk", "auditor"):
        assert not any(
            c.startswith(("delete_user", "delete_line", "add_device")) for c in permissions(role)
        )


def test_addresses_are_kept_in_lower_case() -> None:
    assert User.objects.create_user(" Anna@Campus.Example ").email == "anna@campus.example"


def test_a_password_that_is_being_changed_undoes_no_suspension_and_no_logging_out(
    anna: User, annas_line: Line, as_user: Callable[[User], Client], meanwhile: Meanwhile
) -> None:
    client = as_user(anna)
    before = anna.session_epoch
    meanwhile(User, "set_password", lambda: suspend_person(reread(anna), end_calls=True))
    client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": "another horse 9", "password2": "another horse 9"},
    )
    found = reread(anna)
    assert found.check_password("another horse 9")
    assert not found.is_active
    assert found.session_epoch > before
    assert client.get("/settings/").status_code == 302


def test_a_password_that_is_being_changed_opens_no_closed_account(
    anna: User, as_user: Callable[[User], Client], meanwhile: Meanwhile
) -> None:
    client = as_user(anna)
    meanwhile(User, "set_password", lambda: services.anonymise(reread(anna)))
    client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": "another horse 9", "password2": "another horse 9"},
    )
    found = reread(anna)
    assert (found.name, found.is_active) == ("", False)
    assert found.closed_at is not None
    assert not found.has_usable_password()


def test_a_password_that_is_being_reset_undoes_no_suspension(
    anna: User, client: Client, meanwhile: Meanwhile
) -> None:
    client.post("/accounts/password/reset/", {"email": anna.email})
    code = re.search(r"^([A-Z0-9-]{6,12})$", str(mail.outbox[-1].body), re.MULTILINE)
    assert code is not None
    answer = client.post("/accounts/password/reset/confirm/", {"code": code[1]})
    meanwhile(User, "set_password", lambda: suspend_person(reread(anna), end_calls=True))
    client.post(
        answer["Location"], {"password1": "another horse 9", "password2": "another horse 9"}
    )
    found = reread(anna)
    assert found.check_password("another horse 9")
    assert not found.is_active


def test_names_from_before_are_composed_and_can_be_found(anna: User, boris: User) -> None:
    too_long = "\ufb2c" * 100  # composed it would be three times as long
    for user, name in ((anna, "A\u030asa"), (boris, too_long)):
        user.name, user.name_folded = name, ""
    User.objects.bulk_update([anna, boris], ["name", "name_folded"])  # as it was written before
    migration = import_module("voip_portal.accounts.migrations.0003_folded_names")
    migration.fold_names(apps, SimpleNamespace(connection=connection))
    assert (reread(anna).name, reread(anna).name_folded) == ("Åsa", "asa")
    assert (reread(boris).name, reread(boris).name_folded) == (too_long, folded(too_long))


def test_what_is_searched_follows_the_name_and_is_forgotten_with_it(anna: User) -> None:
    anna.name = "ÅSA"
    anna.save(update_fields=["name"])
    assert reread(anna).name_folded == "asa"
    User.objects.filter(pk=anna.pk).update(name="O\u0308RJAN")
    assert (reread(anna).name, reread(anna).name_folded) == ("ÖRJAN", "orjan")
    services.anonymise(anna)
    assert (anna.name, anna.name_folded) == ("", "")


def test_a_name_that_was_written_around_us_is_folded_later(anna: User) -> None:
    models.QuerySet.update(User.objects.filter(pk=anna.pk), name="Åsa Öberg", name_folded="")
    assert (services.fold_names(), services.fold_names()) == (1, 0)
    assert reread(anna).name_folded == "asa oberg"
