"""What staff may do in the admin, and what nobody may."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.contrib.admin import ModelAdmin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.core import mail
from django.core.cache import cache
from django.db.models import ForeignObjectRel
from django.test import Client

from tests.voip_portal.people import PASSWORD, Meanwhile, kept_of, make_person, reread
from tests.voip_portal.portal.counting import count_queries, pinned_queries
from voip_portal.accounts.models import User
from voip_portal.changes.models import Change
from voip_portal.lines import services
from voip_portal.lines.models import Device, Line, State
from voip_portal.lines.services import add_device, revoke_device, suspend, suspend_person
from voip_portal.numbers.models import Address, AddressState, Domain, NumberRange
from voip_portal.numbers.services import make_default
from voip_portal.portal.closing import close_account, forget_closed

pytestmark = pytest.mark.django_db(databases="__all__")

AsUser = Callable[[User], Client]
NEW = "another horse 9"
SUSPEND = "suspend"
SUSPEND_AND_END = "suspend_and_end_calls"


@pytest.fixture
def staff(domain: Domain) -> Callable[[str], User]:
    """A member of staff with one role."""

    def make(role: str) -> User:
        user = make_person(role.title().replace(" ", ""), is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def admin_user(domain: Domain) -> User:
    return make_person("Root", is_staff=True, is_superuser=True)


def act(client: Client, model: str, action: str, *rows: int) -> None:
    """As on the page that asks: with a reason, and how many were seen there."""
    form = {"action": action, "_selected_action": list(rows)}
    looked = {"looked": str(len(rows)), "reason": "a ticket"}
    answer = client.post(f"/admin/{model}/", form | looked, follow=True)
    assert answer.status_code == 200


def test_strangers_and_students_are_sent_to_the_portals_log_in(
    client: Client, anna: User, as_user: AsUser
) -> None:
    assert "/accounts/login/" in client.get("/admin/", follow=True).redirect_chain[-1][0]
    assert as_user(anna).get("/admin/lines/line/", follow=True).status_code == 403


def test_no_page_of_the_admin_shows_a_secret(
    admin_user: User, annas_device: Device, as_user: AsUser
) -> None:
    client = as_user(admin_user)
    kept = kept_of(annas_device)
    pages = [
        "lines/line/",
        f"lines/line/{annas_device.line_id}/change/",
        "lines/device/",
        f"lines/device/{annas_device.pk}/change/",
        f"accounts/user/{admin_user.pk}/change/",
        f"accounts/user/{admin_user.pk}/history/",
    ]
    for page in pages:
        answer = client.get(f"/admin/{page}")
        assert answer.status_code == 200, page
        text = answer.content.decode()
        for secret in (kept.ha1_md5, kept.ha1_sha256, admin_user.password):
            assert secret not in text


@pytest.mark.parametrize(
    "page",
    [
        "lines/line/add/",
        "lines/device/add/",
        "lines/line/{line}/delete/",
        "lines/device/{device}/delete/",
        "accounts/user/{user}/delete/",
    ],
)
def test_even_administrators_neither_make_nor_delete_lines_devices_and_people(
    admin_user: User, annas_device: Device, as_user: AsUser, page: str
) -> None:
    line = annas_device.line
    path = page.format(line=line.pk, device=annas_device.pk, user=line.owner_id)
    assert as_user(admin_user).get(f"/admin/{path}").status_code == 403


@pytest.mark.parametrize(("action", "ends"), [(SUSPEND, False), (SUSPEND_AND_END, True)])
def test_the_help_desk_suspends_and_resumes_a_line(
    staff: Callable[[str], User], annas_line: Line, as_user: AsUser, action: str, ends: bool
) -> None:
    client = as_user(staff("help desk"))
    act(client, "lines/line", action, annas_line.pk)
    annas_line.refresh_from_db()
    assert (annas_line.state, annas_line.end_calls) == (State.SUSPENDED, ends)
    act(client, "lines/line", "resume", annas_line.pk)
    annas_line.refresh_from_db()
    assert (annas_line.state, annas_line.end_calls) == (State.ACTIVE, False)


def test_the_help_desk_revokes_a_device(
    staff: Callable[[str], User], annas_device: Device, as_user: AsUser
) -> None:
    act(as_user(staff("help desk")), "lines/device", "revoke", annas_device.pk)
    annas_device.refresh_from_db()
    assert annas_device.revoked_at is not None


def test_the_help_desk_revokes_a_device_and_ends_the_calls_of_its_line(
    staff: Callable[[str], User], annas_device: Device, as_user: AsUser
) -> None:
    line = annas_device.line
    other, _ = add_device(line, "Desk", "campus")
    client = as_user(staff("help desk"))
    act(client, "lines/device", "revoke_and_end_calls", annas_device.pk)
    annas_device.refresh_from_db()
    line.refresh_from_db()
    assert annas_device.revoked_at is not None
    assert (line.state, line.end_calls) == (State.ACTIVE, False)
    assert list(line.devices.active()) == [other]
    said = Change.objects.filter(table_name="lines_line", row_key=line.pk, op="update")
    assert [row.after["end_calls"] for row in said.order_by("pk")] == [True, False]
    assert {row.actor for row in said} == {"helpdesk@campus.example"}


def test_a_rename_by_staff_undoes_nothing_that_was_done_meanwhile(
    admin_user: User, annas_device: Device, as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = annas_device.line
    read = ModelAdmin.get_object

    def read_just_before(*args: Any) -> Any:
        found = read(*args)
        services.revoke_device(annas_device)
        services.suspend(line, end_calls=True)
        return found

    monkeypatch.setattr(ModelAdmin, "get_object", read_just_before)
    client = as_user(admin_user)
    inline = {"devices-TOTAL_FORMS": 0, "devices-INITIAL_FORMS": 0}
    for model, pk in (("device", annas_device.pk), ("line", line.pk)):
        Device.objects.update(revoked_at=None)
        Line.objects.update(state=State.ACTIVE, end_calls=False)
        client.post(f"/admin/lines/{model}/{pk}/change/", inline | {"label": "Desk"})
        annas_device.refresh_from_db()
        line.refresh_from_db()
        assert annas_device.revoked_at is not None
        assert (line.state, line.end_calls) == (State.SUSPENDED, True)
    assert (annas_device.label, line.label) == ("Desk", "Desk")


@pytest.mark.parametrize("model", ["device", "line"])
def test_staff_give_a_closed_account_no_names(
    admin_user: User, annas_device: Device, as_user: AsUser, model: str
) -> None:
    services.close_line(annas_device.line)
    pk = annas_device.pk if model == "device" else annas_device.line_id
    inline = {"devices-TOTAL_FORMS": 0, "devices-INITIAL_FORMS": 0}
    as_user(admin_user).post(f"/admin/lines/{model}/{pk}/change/", inline | {"label": "Desk"})
    assert (Device.objects.get().label, Line.objects.get().label) == ("", "")


def test_auditors_change_nothing(
    staff: Callable[[str], User], annas_device: Device, as_user: AsUser
) -> None:
    client = as_user(staff("auditor"))
    assert client.get("/admin/lines/line/").status_code == 200
    act(client, "lines/line", SUSPEND, annas_device.line_id)
    for action in ("revoke", "revoke_and_end_calls"):
        act(client, "lines/device", action, annas_device.pk)
    annas_device.refresh_from_db()
    assert annas_device.revoked_at is None
    assert annas_device.line.state == State.ACTIVE
    assert client.get("/admin/numbers/domain/add/").status_code == 403


def test_an_operator_suspends_a_person_with_all_she_has(
    staff: Callable[[str], User], annas_line: Line, anna: User, as_user: AsUser
) -> None:
    session = as_user(anna)
    client = as_user(staff("operator"))
    act(client, "accounts/user", SUSPEND_AND_END, anna.pk)
    annas_line.refresh_from_db()
    anna.refresh_from_db()
    assert (anna.is_active, annas_line.state, annas_line.end_calls) == (
        False,
        State.SUSPENDED,
        True,
    )
    assert session.get("/settings/").status_code == 302
    act(client, "accounts/user", "resume", anna.pk)
    annas_line.refresh_from_db()
    assert annas_line.state == State.ACTIVE


def test_what_was_chosen_to_be_resumed_and_is_closed_meanwhile_is_left_out(
    staff: Callable[[str], User],
    anna: User,
    boris: User,
    as_user: AsUser,
    meanwhile: Meanwhile,
) -> None:
    client = as_user(staff("operator"))
    act(client, "accounts/user", SUSPEND, anna.pk, boris.pk)
    meanwhile(services, "resume_person", lambda: close_account(reread(anna)))
    page = client.post(
        "/admin/accounts/user/",
        {
            "action": "resume",
            "_selected_action": [anna.pk, boris.pk],
            "looked": "2",
            "reason": "a ticket",
        },
        follow=True,
    )
    assert "1 person resumed." in page.content.decode()
    assert (reread(anna).is_active, reread(boris).is_active) == (False, True)


def test_an_operator_has_no_power_over_staff(
    staff: Callable[[str], User], admin_user: User, as_user: AsUser
) -> None:
    operator = staff("operator")
    client = as_user(operator)
    act(client, "accounts/user", SUSPEND, admin_user.pk, operator.pk)
    admin_user.refresh_from_db()
    operator.refresh_from_db()
    assert admin_user.is_active
    assert operator.is_active
    for user in (operator, admin_user):
        client.post(
            f"/admin/accounts/user/{user.pk}/change/",
            {"name": "x", "is_superuser": "on", "is_staff": "on"},
        )
        user.refresh_from_db()
        assert user.name != "x"
    assert not operator.is_superuser


def test_an_operator_cannot_make_staff_of_a_student(
    staff: Callable[[str], User], anna: User, as_user: AsUser
) -> None:
    as_user(staff("operator")).post(
        f"/admin/accounts/user/{anna.pk}/change/",
        {"name": "Anna B", "is_staff": "on", "is_superuser": "on", "email": "other@campus.example"},
    )
    anna.refresh_from_db()
    assert (anna.name, anna.is_staff, anna.is_superuser) == ("Anna B", False, False)
    assert anna.email == "anna@campus.example"


def test_a_person_made_by_staff_has_no_password_until_she_sets_one(
    admin_user: User, as_user: AsUser
) -> None:
    as_user(admin_user).post("/admin/accounts/user/add/", {"email": "New@Campus.example"})
    user = User.objects.get(email="new@campus.example")
    assert not user.has_usable_password()


def test_staff_change_their_password_where_tries_are_counted_and_told(
    admin_user: User, as_user: AsUser
) -> None:
    """Django's own page beside it takes any number of wrong old passwords, and sends no mail."""
    client = as_user(admin_user)
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    answer = client.post("/admin/password_change/", form)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/password/change/")
    admin_user.refresh_from_db()
    assert admin_user.check_password(PASSWORD)
    form = {"oldpassword": "wrong", "password1": NEW, "password2": NEW}
    tries = [client.post(answer["Location"], form).status_code for _ in range(6)]
    assert tries == [200] * 5 + [429]
    cache.clear()
    client.post(answer["Location"], form | {"oldpassword": PASSWORD})
    assert [m.subject for m in mail.outbox] == ["Your password was changed"]


def test_a_person_who_is_being_edited_stays_suspended(
    staff: Callable[[str], User], anna: User, as_user: AsUser, meanwhile: Meanwhile
) -> None:
    client = as_user(staff("operator"))
    meanwhile(User, "clean", lambda: suspend_person(reread(anna), end_calls=True))
    client.post(f"/admin/accounts/user/{anna.pk}/change/", {"name": "Anna B"})
    found = reread(anna)
    assert (found.name, found.is_active) == ("Anna B", False)


def test_a_person_who_is_being_edited_stays_closed(
    admin_user: User, anna: User, as_user: AsUser, meanwhile: Meanwhile
) -> None:
    client = as_user(admin_user)
    meanwhile(User, "clean", lambda: close_account(reread(anna)))
    form = {"name": "Anna B", "email": anna.email, "is_staff": "on"}
    client.post(f"/admin/accounts/user/{anna.pk}/change/", form)
    found = reread(anna)
    assert (found.name, found.is_active, found.is_staff) == ("", False, False)
    assert "anna" not in found.email
    path = f"/admin/accounts/user/{anna.pk}/change/"
    assert client.post(path, form).status_code == 403
    assert client.get(path).status_code == 200


def test_a_line_and_a_device_that_are_being_edited_stay_out_of_service(
    admin_user: User, annas_device: Device, as_user: AsUser, meanwhile: Meanwhile
) -> None:
    client = as_user(admin_user)
    line = annas_device.line
    meanwhile(Line, "clean", lambda: suspend(Line.objects.get(pk=line.pk), end_calls=True))
    form = {"devices-TOTAL_FORMS": 0, "devices-INITIAL_FORMS": 0, "label": "Desk"}
    client.post(f"/admin/lines/line/{line.pk}/change/", form)
    line.refresh_from_db()
    assert (line.label, line.state, line.end_calls) == ("Desk", State.SUSPENDED, True)
    meanwhile(Device, "clean", lambda: revoke_device(Device.objects.get(pk=annas_device.pk)))
    client.post(f"/admin/lines/device/{annas_device.pk}/change/", {"label": "Desk"})
    annas_device.refresh_from_db()
    assert annas_device.label == "Desk"
    assert annas_device.revoked_at is not None


def test_the_default_domain_that_is_being_edited_leaves_its_place(
    admin_user: User, domain: Domain, as_user: AsUser, meanwhile: Meanwhile
) -> None:
    other = Domain.objects.create(name="other.example")
    meanwhile(Domain, "clean", lambda: make_default(other))
    as_user(admin_user).post(
        f"/admin/numbers/domain/{domain.pk}/change/",
        {"name": "campus.example", "algorithms": "SHA-256"},
    )
    domain.refresh_from_db()
    other.refresh_from_db()
    assert (domain.algorithms, domain.is_default, other.is_default) == ("SHA-256", False, True)


@pytest.mark.parametrize("words", ["Åsa", "åsa", "a\u030asa ÖBERG", "ANNA@campus"])
def test_staff_find_people_and_lines_however_the_owners_name_is_typed(
    admin_user: User, annas_line: Line, as_user: AsUser, words: str
) -> None:
    client = as_user(admin_user)
    anna = annas_line.owner
    assert anna is not None
    form = {"name": "A\u030asa Öberg", "email": anna.email}
    client.post(f"/admin/accounts/user/{anna.pk}/change/", form)
    assert reread(anna).name == "Åsa Öberg"
    for page, row in (("accounts/user", anna), ("lines/line", annas_line)):
        found = client.get(f"/admin/{page}/", {"q": words}).content.decode()
        assert f"/admin/{page}/{row.pk}/change/" in found
        none = client.get(f"/admin/{page}/", {"q": "Åse"}).content.decode()
        assert f"/admin/{page}/{row.pk}/change/" not in none


def test_query_counts_of_lists_are_pinned(
    admin_user: User, annas_device: Device, line_of: Callable[[User], Line], as_user: AsUser
) -> None:
    """Each count is written down in queries.json; more rows must not cost more queries."""
    for n in range(8):
        line = line_of(make_person(f"Student{chr(97 + n)}x"))
        add_device(line, "Phone", "campus")
    client = as_user(admin_user)
    lists = (
        "lines/line",
        "lines/device",
        "accounts/user",
        "numbers/address",
        "numbers/numberrange",
    )
    found = {}
    for name in lists:
        path = f"/admin/{name}/"
        client.get(path)
        found[path] = count_queries(lambda path=path: client.get(path))  # type: ignore[misc]
    assert found == pinned_queries("staff")


def test_ranges_that_overlap_are_refused_with_a_sentence(
    staff: Callable[[str], User], domain: Domain, as_user: AsUser
) -> None:
    client = as_user(staff("operator"))
    form = {"domain": domain.pk, "first": "20050", "last": "20150", "is_pool": "on"}
    page = client.post("/admin/numbers/numberrange/add/", form).content.decode()
    assert "This range shares numbers with 20000-20099" in page
    page = client.post("/admin/numbers/numberrange/add/", form | {"first": "9", "last": "8"})
    assert NumberRange.objects.count() == 1
    client.post("/admin/numbers/numberrange/add/", form | {"first": "20100"})
    assert NumberRange.objects.count() == 2


def test_an_empty_pool_is_shown_to_staff(
    staff: Callable[[str], User], annas_line: Line, as_user: AsUser
) -> None:
    number = annas_line.addresses.get(kind="number").value
    NumberRange.objects.update(first=number, last=number)
    page = as_user(staff("operator")).get("/admin/numbers/numberrange/").content.decode()
    assert "is empty" in page
    assert "0 / 1" in page


def test_addresses_are_reserved_by_staff_but_never_taken_from_their_holder(
    staff: Callable[[str], User], annas_line: Line, domain: Domain, as_user: AsUser
) -> None:
    client = as_user(staff("operator"))
    form = {"domain": domain.pk, "kind": "number", "value": "30042"}
    held = annas_line.addresses.get(kind="name")
    client.post("/admin/numbers/address/add/", form)
    reserved = Address.objects.get(value="30042")
    assert (reserved.state, reserved.line) == (AddressState.RESERVED, None)
    path = f"/admin/numbers/address/{held.pk}"
    assert client.post(f"{path}/change/", form).status_code == 403
    assert client.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    both = {"action": "delete_selected", "_selected_action": [held.pk, reserved.pk]}
    both |= {"looked": "2", "reason": "a ticket"}
    client.post("/admin/numbers/address/", both)
    assert Address.objects.filter(pk=held.pk).exists()
    client.post(f"/admin/numbers/address/{reserved.pk}/delete/", {"post": "yes"})
    assert not Address.objects.filter(pk=reserved.pk).exists()


def test_a_reservation_protects_the_name_however_it_was_typed(
    staff: Callable[[str], User], domain: Domain, annas_line: Line, as_user: AsUser
) -> None:
    client = as_user(staff("operator"))
    form = {"domain": domain.pk, "kind": "name"}
    client.post("/admin/numbers/address/add/", form | {"value": " Kansler "})
    assert Address.objects.get(value="kansler").state == AddressState.RESERVED
    for value, why in (("Anna", "already exists"), ("12", "begin with a letter")):
        page = client.post("/admin/numbers/address/add/", form | {"value": value})
        assert why in page.content.decode()
    page = client.post("/admin/numbers/address/add/", form | {"kind": "number", "value": "fika"})
    assert "Enter 2 to 15 digits." in page.content.decode()


def test_the_history_forgets_who_was_edited_while_the_account_was_closed(
    admin_user: User, anna: User, annas_line: Line, as_user: Any, meanwhile: Meanwhile
) -> None:
    client = as_user(admin_user)
    meanwhile(User, "clean", lambda: close_account(reread(anna)))
    page = f"/admin/accounts/user/{anna.pk}/change/"
    client.post(page, {"name": "Anna B", "email": anna.email, "is_staff": "on"})
    forget_closed()
    assert not LogEntry.objects.filter(object_repr__contains=anna.email).exists()


def test_two_edits_of_one_range_at_once_leave_a_range(
    admin_user: User, domain: Domain, as_user: Any, meanwhile: Meanwhile
) -> None:
    first, second = as_user(admin_user), as_user(admin_user)
    pool = NumberRange.objects.get()
    page = f"/admin/numbers/numberrange/{pool.pk}/change/"
    given = {"domain": pool.domain_id, "is_pool": "on"}
    begin, end = int(pool.first), int(pool.last)
    shorter = given | {"first": pool.first, "last": str(begin + 20)}
    meanwhile(NumberRange, "clean", lambda: second.post(page, shorter))
    first.post(page, given | {"first": str(begin + 50), "last": str(end)})
    pool.refresh_from_db()
    assert pool.size > 0


def test_a_completion_by_a_relation_backwards_is_refused(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    questions = [
        f"app_label={model._meta.app_label}&model_name={model._meta.model_name}"
        f"&field_name={quote(rel.name)}"
        for model in apps.get_models(include_auto_created=True)
        for rel in model._meta.get_fields(include_hidden=True)
        if isinstance(rel, ForeignObjectRel)
    ]
    assert len(questions) > 10
    statuses = {q: client.get(f"/admin/autocomplete/?{q}&term=a").status_code for q in questions}
    assert statuses == dict.fromkeys(questions, 403)
