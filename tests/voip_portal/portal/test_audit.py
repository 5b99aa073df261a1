"""Who did what to whom, when, from where and why: on the object's page and in the list, for good."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from tests.voip_portal.people import make_person
from voip_portal.accounts.models import User
from voip_portal.changes.models import Change

pytestmark = pytest.mark.django_db(databases="__all__")
AsUser = Callable[[User], Client]


@pytest.fixture
def root(domain: Any) -> User:
    return make_person("Root", is_staff=True, is_superuser=True)


def both_pages(client: Client, user: User) -> tuple[str, str]:
    """The person's page, and the list of changes."""
    page = client.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
    return page, client.get("/admin/changes/change/").content.decode()


def test_suspending_a_person_says_who_from_where_and_why(
    root: User, anna: User, as_user: AsUser
) -> None:
    client = as_user(root)
    form = {"action": "suspend", "_selected_action": [anna.pk], "looked": "1"}
    client.post("/admin/accounts/user/", form | {"reason": "ticket 4711"}, REMOTE_ADDR="192.0.2.7")
    for page in both_pages(client, anna):
        for text in ("root@campus.example", "192.0.2.7", "ticket 4711", "may log in: yes → no"):
            assert text in page


def test_making_staff_and_giving_and_taking_a_role_leave_traces(
    root: User, anna: User, as_user: AsUser
) -> None:
    client = as_user(root)
    role = Group.objects.get(name="operator")
    path = f"/admin/accounts/user/{anna.pk}/change/"
    form = {"name": "Anna Berg", "is_staff": "on"}
    client.post(path, form | {"groups": [role.pk]})
    client.post(path, form)
    for page in both_pages(client, anna):
        assert "staff: no → yes" in page
        assert page.count("operator") >= 2  # added and deleted
        assert "root@campus.example" in page
    told = Change.objects.filter(table_name="accounts_user_groups").order_by("pk")
    assert [(row.op, row.actor) for row in told] == [
        ("insert", "root@campus.example"),
        ("delete", "root@campus.example"),
    ]


def test_a_changed_role_says_who_changed_it(root: User, as_user: AsUser) -> None:
    client = as_user(root)
    role = Group.objects.get(name="auditor")
    kept = list(role.permissions.values_list("pk", flat=True)[1:])
    client.post(f"/admin/auth/group/{role.pk}/change/", {"name": "auditors", "permissions": kept})
    page = client.get(f"/admin/auth/group/{role.pk}/change/").content.decode()
    assert "auditor → auditors" in page
    assert "root@campus.example" in page


def test_a_new_password_is_told_without_it(anna: User) -> None:
    anna.set_password("another horse 9")
    anna.save()
    row = Change.objects.filter(table_name="accounts_user").order_by("-pk")[0]
    assert row.after is not None
    assert row.after["secret_changed"] is True
    assert "password" not in row.after


def test_nobody_clears_the_audit(root: User, anna: User, as_user: AsUser) -> None:
    client = as_user(root)
    change = Change.objects.order_by("pk")[0]
    count = Change.objects.count()
    path = f"/admin/changes/change/{change.pk}"
    assert client.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{path}/change/", {"reason": "x"}).status_code == 403
    client.post(
        "/admin/changes/change/", {"action": "delete_selected", "_selected_action": [change.pk]}
    )
    assert Change.objects.count() == count


def test_the_help_desk_sees_no_changes(root: User, anna: User, as_user: AsUser) -> None:
    helper = make_person("Helper", is_staff=True)
    helper.groups.add(Group.objects.get(name="help desk"))
    page = as_user(helper).get(f"/admin/accounts/user/{anna.pk}/change/").content.decode()
    assert "Latest changes" not in page
