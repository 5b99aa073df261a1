"""No answer to staff shows a secret or depends on one, whatever they ask for.

Who may filter a list by a column reads the column: one question each halves what it may be. So the
same questions are asked twice, with other secrets in the database, and have to get the same answers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode

import pytest
from allauth.account.models import EmailAddress, EmailConfirmation
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.checks import Tags, run_checks
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.test import Client, RequestFactory
from django.utils.timezone import now

from tests.voip_portal.people import make_person, reread
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call, Record
from voip_portal.changes.base_admin import BaseAdmin, check_admins, strangers
from voip_portal.changes.models import Change
from voip_portal.changes.registry import REGISTRY
from voip_portal.changes.secrets import NO_SECRETS, SECRETS, SOUNDS_SECRET
from voip_portal.lines.models import Device
from voip_portal.lines.services import add_device, renew_secret
from voip_portal.location.models import Binding
from voip_portal.nodes.models import Node

pytestmark = pytest.mark.django_db(databases="__all__")

AsUser = Callable[[User], Client]
ADMINISTRATOR = "administrator"
ROLES = (ADMINISTRATOR, "operator", "help desk", "auditor")
RELATIONS_DEEP = 2
SEES_MOST = "auditor"
REFUSED = {400, 403}
KINDS = ("ha1_md5", "password", "__startswith", "__regex", "__gt")
"""What is asked of each secret by every role; the one that sees most asks all there is."""
MINE = admin.site._registry
EVERY_ADMIN = [pytest.param(model, id=model._meta.label) for model in MINE]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of refusals: writing down where each was raised takes longer than they do."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Path(NamedTuple):
    """Columns that the ORM reaches from a model, as a look-up names them."""

    name: str
    field: Field[Any, Any]

    @property
    def is_secret(self) -> bool:
        return self.field.name in SECRETS.get(self.field.model._meta.label, ())

    @property
    def parameters(self) -> Iterator[str]:
        """The look-ups of the field, and of what its look-ups lead to (`date__year__gte`)."""
        yield self.name
        yield from lookups(self.name, self.field)


def list_of(model: type[Model]) -> str:
    """The address of a model's list in the admin."""
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def lookups(name: str, field: Any, deep: int = 2) -> Iterator[str]:
    for kind, lookup in field.get_lookups().items():
        yield f"{name}__{kind}"
        leads_to = getattr(lookup, "output_field", None)
        if deep and isinstance(leads_to, Field):
            yield from lookups(f"{name}__{kind}", leads_to, deep - 1)


def paths(model: type[Model], relations: int = RELATIONS_DEEP, before: str = "") -> Iterator[Path]:
    """Every column of a model and of what it is related to, also by relations without a name."""
    for field in model._meta.get_fields(include_hidden=True):
        name = f"{before}{field.name}"
        if isinstance(field, Field) and field.concrete and not field.many_to_many:
            yield Path(name, field)
        if relations and field.is_relation and isinstance(field.related_model, type):
            yield from paths(field.related_model, relations - 1, f"{name}__")


def columns(model: type[Model]) -> list[Field[Any, Any]]:
    """The secret columns of a model."""
    return [
        model._meta.get_field(name)  # type: ignore[misc]
        for name in sorted(SECRETS.get(model._meta.label, ()))
    ]


def secret_models() -> list[type[Model]]:
    return [apps.get_model(label) for label in SECRETS]


# -- Two worlds which differ in their secrets only ----------------------------------------------


def secret_of(world: str, column: Field[Any, Any], pk: Any) -> str:
    """What a row's secret is in a world; hex digits, as long as may be."""
    text = f"{world} {column.model._meta.label} {column.name} {pk}"
    return sha256(text.encode()).hexdigest()[: column.max_length]


def plant(world: str) -> None:
    """Give every row the secrets of this world, and leave no trace of the change."""
    last = Change.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    for model in secret_models():
        for column in columns(model):
            if not column.primary_key:
                for pk in model._default_manager.values_list("pk", flat=True):
                    secret = {column.attname: secret_of(world, column, pk)}
                    model._default_manager.filter(pk=pk).update(**secret)
    Change.objects.filter(pk__gt=last).delete()


def planted() -> set[str]:
    """Every secret that is in the database now."""
    return {
        str(value)
        for model in secret_models()
        for column in columns(model)
        for value in model._default_manager.values_list(column.attname, flat=True)
        if value
    }


@pytest.fixture
def a_day(annas_device: Device, boris: User, call: Callable[..., Call], register: Any) -> None:
    """At least one row of everything that staff look at, with a secret wherever there may be one."""
    register(annas_device)
    second, _ = add_device(annas_device.line, "Desk", "campus")
    renew_secret(second, "campus")
    call(caller_line=annas_device.line_id)
    Record.objects.create(
        spool_id="one", n=1, kind="call.begin", context="context1", at=1.0, data={}
    )
    Node.objects.create(name="one", directory_version=1)
    EmailConfirmation.objects.create(email_address=EmailAddress.objects.earliest("pk"), key="x")
    Session.objects.create(session_key="somebody", session_data="x", expire_date=now())


@pytest.fixture
def staff(domain: Any) -> Callable[[str], User]:
    def make(role: str) -> User:
        user = make_person(role.title().replace(" ", ""), is_staff=True)
        if role == ADMINISTRATOR:
            User.objects.filter(pk=user.pk).update(is_superuser=True)
        else:
            user.groups.add(Group.objects.get(name=role))
        LogEntry.objects.log_actions(user.pk, [user], CHANGE, "[]", single_object=True)
        return reread(user)

    return make


class Answer(NamedTuple):
    """What of an answer may differ from that to another question."""

    status: int
    location: str
    text: str


def answer(client: Client, url: str) -> Answer:
    found = client.get(url)
    text = re.sub(r"[A-Za-z0-9]{64}(?=['\"])", "CSRF", found.content.decode())
    return Answer(found.status_code, found.get("Location", ""), text)


def in_both_worlds(user: User, as_user: AsUser, urls: list[str]) -> dict[str, Answer]:
    """The answers to somebody, once they were found to be the same with other secrets."""
    found: list[dict[str, Answer]] = []
    for world in ("one", "other"):
        plant(world)
        client = as_user(reread(user))
        User.objects.update(last_login=None)
        shown = {url: answer(client, url) for url in urls}
        hidden = planted() | {str(client.session.session_key)}
        # What somebody asked for may be in the answer: it tells them nothing.
        telling = [u for u, a in shown.items() if any(s in a.text and s not in u for s in hidden)]
        assert telling == []
        found.append(shown)
    assert [url for url in urls if found[0][url] != found[1][url]] == []
    return found[0]


def some_secret(column: Field[Any, Any]) -> str:
    """A secret of the first world that is none in the other."""
    pk = column.model._default_manager.values_list("pk", flat=True).order_by("pk").first()
    return secret_of("one", column, pk)


def of_the_first_world() -> list[str]:
    return [
        some_secret(column)
        for model in secret_models()
        for column in columns(model)
        if not column.primary_key
    ]


# -- The attack ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("label", "secret"), [("lines.Device", "ha1"), ("accounts.User", "pass")])
def test_no_secret_is_read_digit_by_digit(
    staff: Any, as_user: AsUser, annas_device: Device, role: str, label: str, secret: str
) -> None:
    """Which of sixteen digits is next? Who learns that 32 times has an HA1, and registers with it."""
    plant("one")
    model = apps.get_model(label)
    row = {"lines.Device": annas_device.pk, "accounts.User": annas_device.line.owner_id}[label]
    columns_asked = {path.name for path in paths(model, 1) if path.field.name.startswith(secret)}
    client = as_user(staff(role))
    learned = {}
    for column in {"ha1_md5", "password", *columns_asked}:
        for digit in "0123456789abcdef":
            asked = {"id__exact": row, f"{column}__regex": f"^{digit}"}
            found = answer(client, f"{list_of(model)}?{urlencode(asked)}")
            if found.status not in REFUSED or f"/{row}/change/" in found.text:
                learned[column] = digit
    assert learned == {}


# -- Every question -----------------------------------------------------------------------------


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize("role", ROLES)
def test_no_filter_by_a_secret_tells_anything(
    staff: Any, as_user: AsUser, rf: RequestFactory, role: str
) -> None:
    plant("one")
    request = rf.get("/")
    request.user = user = staff(role)
    urls = [
        f"{list_of(model)}?{urlencode({parameter: some_secret(path.field)})}"
        for model in MINE
        if MINE[model].has_view_permission(request)
        for path in paths(model)
        if path.is_secret and not path.field.primary_key
        for parameter in path.parameters
        if role == SEES_MOST or parameter.endswith(KINDS)
    ]
    assert urls
    assert {found.status for found in in_both_worlds(user, as_user, urls).values()} == {400}


@pytest.mark.parametrize("model", EVERY_ADMIN)
def test_a_list_is_filtered_by_its_own_filters_alone(model: type[Model], rf: Any, db: Any) -> None:
    request = rf.get("/")
    allowed = {
        parameter
        for path in paths(model)
        for parameter in path.parameters
        if MINE[model].lookup_allowed(parameter, "1", request)
    }
    assert allowed == FILTERED_BY[model._meta.label]


FILTERED_BY: dict[str, set[str]] = {
    "accounts.User": {
        "is_active__exact",
        "is_active__isnull",
        "is_staff__exact",
        "is_staff__isnull",
    },
    "auth.Group": set(),
    "calls.Call": {"cause", "open"},
    "calls.Record": {"kind"},
    "changes.Change": {"op", "table_name"},
    "hours.OpeningHours": set(),
    "lines.Device": set(),  # and `revoked_at__isempty`, which is a word of the filter's own
    "lines.Line": {"class_of_service", "class_of_service__isnull", "state__exact", "state__isnull"},
    "location.Binding": set(),
    "nodes.Node": set(),
    "numbers.Address": {
        "domain__id__exact",
        "domain__isnull",
        "kind__exact",
        "kind__isnull",
        "state__exact",
        "state__isnull",
    },
    "numbers.Domain": set(),
    "numbers.NumberRange": {
        "domain__id__exact",
        "domain__isnull",
        "is_pool__exact",
        "is_pool__isnull",
    },
    "peers.Edge": set(),
    "peers.NumberLookup": set(),
    "peers.OpenNetwork": set(),
    "peers.TrustedPeer": set(),
}


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize("role", ROLES)
def test_no_page_of_the_admin_shows_a_secret_or_depends_on_one(
    staff: Any, as_user: AsUser, role: str
) -> None:
    plant("one")
    user = staff(role)
    urls = ["/admin/", "/admin/search/?s=password"]
    for model in MINE:
        page = list_of(model)
        row = model._default_manager.order_by("-pk").first()
        urls += [page, f"{page}add/"]
        urls += [f"{page}{row.pk}/{view}/" for view in ("change", "history", "delete") if row]
    for url, found in in_both_worlds(user, as_user, urls).items():
        assert found.status in {200, 302, 403}, url


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize("role", ROLES)
def test_no_row_is_found_by_a_secret_in_an_address_or_a_popup(
    staff: Any, as_user: AsUser, rf: RequestFactory, role: str
) -> None:
    plant("one")
    request = rf.get("/")
    request.user = user = staff(role)
    urls = []
    for model in MINE:
        if not MINE[model].has_view_permission(request):
            continue
        page = list_of(model)
        for field in model._meta.concrete_fields:
            if role != SEES_MOST and not (field.primary_key or Path(field.name, field).is_secret):
                continue
            is_secret = Path(field.name, field).is_secret
            value = some_secret(field) if is_secret else "x"
            urls.append(f"{page}{value}/change/?_to_field={field.name}")
            if not field.primary_key:
                urls.append(f"{page}?_popup=1&_to_field={field.name}")
    for url, found in in_both_worlds(user, as_user, urls).items():
        assert found.status in {302, 400, 403}, url


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize("role", ROLES)
def test_no_completion_is_found_by_a_secret(staff: Any, as_user: AsUser, role: str) -> None:
    plant("one")
    user = staff(role)
    urls = [
        f"/admin/autocomplete/?app_label={model._meta.app_label}&model_name={model._meta.model_name}"
        f"&field_name={field.name}&term={term}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.get_fields(include_hidden=True)
        if isinstance(field, Field) and field.is_relation and field.related_model in MINE
        for term in ("", *of_the_first_world()[:3])
    ]
    for url, found in in_both_worlds(user, as_user, urls).items():
        assert found.status in {200, 403, 404}, url


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize("model", EVERY_ADMIN)
def test_no_list_is_ordered_or_searched_by_a_secret(
    model: type[Model], staff: Any, rf: RequestFactory
) -> None:
    listed = MINE[model]
    user = staff(ADMINISTRATOR)
    count = len(listed.list_display)
    asked = [{"o": str(n)} for n in range(-count, count + 1)]
    asked += [{"q": text[:n]} for text in of_the_first_world() for n in (2, 8, None)]
    found = []
    for world in ("one", "other"):
        plant(world)
        rows = []
        for parameters in asked:
            request = rf.get("/", parameters)
            request.user = user
            rows.append([row.pk for row in listed.get_changelist_instance(request).result_list])
        found.append(rows)
    assert found[0] == found[1]


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize("role", [*ROLES, "student"])
def test_no_answer_of_the_api_shows_a_secret_or_depends_on_one(
    staff: Any, as_user: AsUser, annas_device: Device, role: str
) -> None:
    plant("one")
    owner = annas_device.line.owner
    assert owner is not None
    user = owner if role == "student" else staff(role)
    asked = [
        urlencode({parameter: some_secret(path.field)})
        for path in paths(Device)
        if path.is_secret
        for parameter in path.parameters
        if parameter.endswith(KINDS)
    ]
    words = ("search", "ordering", "fields", "q", "after", "page", "format", "expand")
    asked += [f"{word}={text}" for word in words for text in of_the_first_world()[:3]]
    urls = [f"/api/v1/{page}?{query}" for page in ("devices/", "calls/") for query in ("", *asked)]
    urls += [f"/api/v1/devices/{annas_device.pk}/", "/api/v1/schema/"]
    for url, found in in_both_worlds(user, as_user, urls).items():
        assert found.status in {200, 404}, url


# -- What all admins have in common -------------------------------------------------------------


@pytest.mark.usefixtures("a_day")
@pytest.mark.parametrize("model", EVERY_ADMIN)
def test_what_a_lists_own_filters_link_to_is_allowed(
    model: type[Model], staff: Any, as_user: AsUser
) -> None:
    client = as_user(staff(ADMINISTRATOR))
    text = answer(client, list_of(model)).text
    linked = {unescape(query) for query in re.findall(r'href="(\?[^"]*=[^"]*)"', text)}
    asked = [query for query in linked if parse_qs(query[1:]).keys() - {"o", "p", "_facets"}]
    assert bool(asked) == bool(MINE[model].list_filter)
    assert {query: answer(client, list_of(model) + query).status for query in asked} == (
        dict.fromkeys(asked, 200)
    )


def test_a_list_by_dates_is_filtered_by_year_month_and_day(rf: RequestFactory) -> None:
    class ByDate(BaseAdmin):
        date_hierarchy = "started_at"

    listed = ByDate(Call, admin.site)
    allowed = [
        name
        for name in (f"started_at__{part}" for part in ("year", "month", "day", "gte", "date"))
        if listed.lookup_allowed(name, "1", rf.get("/"))
    ]
    assert allowed == ["started_at__year", "started_at__month", "started_at__day"]


def test_every_admin_derives_from_the_base_and_one_that_does_not_is_found() -> None:
    class Foreign(admin.ModelAdmin):  # type: ignore[type-arg]
        pass

    class WithRulesOfItsOwn(BaseAdmin):
        def lookup_allowed(self, *args: Any, **kwargs: Any) -> bool:
            return True

    assert strangers(admin.site) == []
    assert run_checks(tags=[Tags.admin]) == []
    site = admin.AdminSite()
    site.register(Call, BaseAdmin)
    site.register(Node, Foreign)
    site.register(Record, WithRulesOfItsOwn)
    assert [type(found) for found in strangers(site)] == [Foreign, WithRulesOfItsOwn]


def test_manage_check_stops_at_an_admin_that_does_not_derive_from_the_base() -> None:
    admin.site.register(Session, admin.ModelAdmin)
    try:
        assert [found.id for found in check_admins(None)] == ["changes.E001"]
    finally:
        admin.site.unregister(Session)


# -- The lists of what is secret ----------------------------------------------------------------


def unclassified(models: list[type[Model]]) -> list[str]:
    """Columns that sound like a secret, and of which nobody has said what they are."""
    return [
        f"{model._meta.label}.{field.name}"
        for model in models
        for field in model._meta.concrete_fields
        if SOUNDS_SECRET.search(f"{model._meta.model_name}.{field.name}")
        and field.name not in SECRETS.get(model._meta.label, ())
        and field.name not in NO_SECRETS.get(model._meta.label, ())
    ]


def test_every_column_that_sounds_secret_is_said_to_be_one_or_not() -> None:
    assert unclassified(apps.get_models(include_auto_created=True)) == []


def test_what_is_said_to_be_secret_exists() -> None:
    for label, names in (*SECRETS.items(), *NO_SECRETS.items()):
        for name in names:
            try:
                apps.get_model(label)._meta.get_field(name)
            except FieldDoesNotExist:
                pytest.fail(f"{label} has no {name}")


def test_the_change_feed_knows_the_same_secrets() -> None:
    labels = {
        model._meta.db_table: model._meta.label
        for model in apps.get_models(include_auto_created=True)
    }
    for watched in REGISTRY:
        assert set(watched.secret) == SECRETS.get(labels[watched.table], frozenset())
        assert not set(watched.columns) & set(watched.secret)


def test_there_is_a_secret_to_be_found_in_every_secret_column(a_day: None, boris: User) -> None:
    plant("one")
    for model in secret_models():
        for column in columns(model):
            assert model._default_manager.exclude(**{column.attname: ""}).exists(), column
    assert Binding.objects.exists()
