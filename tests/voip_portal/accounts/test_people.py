from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from voip_portal.accounts import services
from voip_portal.accounts.models import User

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
