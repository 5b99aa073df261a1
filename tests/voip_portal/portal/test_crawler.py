"""Crawlers of four roles ask for every address with every parameter they find: none breaks a page.

Addresses come from the URL configuration and from every link and form of the pages; each is asked
with its own parameters, with values that make no sense, and with the ids of other people's things.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.voip_portal.people import kept_of, make_person, reread
from voip_portal.accounts.models import User
from voip_portal.calls.models import Call, Record
from voip_portal.lines.models import Device, Line
from voip_portal.nodes.models import Node
from voip_portal.nodes.services import ensure_deployment
from voip_portal.numbers.models import NumberRange

pytestmark = pytest.mark.django_db(databases="__all__")

AsUser = Callable[[User], Client]
STUDENT: Final = "student"
ADMINISTRATOR: Final = "administrator"
ROLES: Final = (STUDENT, "help desk", "auditor", ADMINISTRATOR)
NAMES: Final = dict(zip(ROLES, ("Boris", "Doris", "Emil", "Frida"), strict=True))
BAD_IDS: Final = ("0", "-1", "9" * 30, "x", "\x00", "é/../1", "1_2F1", "__fk__")
BAD_VALUES: Final = (
    "",
    "-1",
    "0",
    "9" * 30,
    "x'\"<",
    "\x00",
    "a,b",
    "1.2.-3",
    "\ud7ff",
    "z" * 3000,
)
NEVER_LINKED: Final = ("o", "p", "q", "all", "e", "_facets", "_to_field", "_popup", "next", "after")
"""Parameters that Django or this site reads where no link shows them."""
FORMS: Final = 100
"""The most addresses that are sent forms which make no sense."""
ADDRESSES: Final = 250
"""The most pages that one crawler looks at; pages by id come first, links after them."""
QUESTIONS: Final = 300
"""The most questions with bad values of one crawler: some ten seconds."""
LEAVES: Final = {"account_logout", "admin:logout"}
TELLTALE: Final = "kept-from-others"
OF_ANNA: Final = (f"phone-{TELLTALE}", f"agent-{TELLTALE}", f"party-{TELLTALE}")
OF_OPERATORS: Final = {
    "calls.Record": f"record-{TELLTALE}",
    "numbers.NumberRange": "29071",
}
"""What only those see who may see the model: it is in a row of it."""


class Asked(NamedTuple):
    """An answer that no crawler may get."""

    url: str
    why: str


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Hundreds of refusals: writing each down takes longer than giving it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def world(annas_device: Device, call: Callable[..., Call], register: Any) -> Device:
    """A row of everything, and in Anna's what shows that somebody else saw it."""
    Device.objects.filter(pk=annas_device.pk).update(label=OF_ANNA[0])
    register(annas_device, user_agent=OF_ANNA[1])
    call(caller_line=annas_device.line_id, dialled=f"sip:{OF_ANNA[2]}@campus.example")
    Record.objects.create(
        spool_id="one",
        n=1,
        kind="call.begin",
        context="context1",
        at=1.0,
        data={"note": OF_OPERATORS["calls.Record"]},
    )
    Node.objects.create(name="one", directory_version=1)
    domain = NumberRange.objects.earliest("pk").domain
    NumberRange.objects.create(domain=domain, first="29071", last="29072")
    return annas_device


@pytest.fixture
def person(world: Device, line_of: Callable[[User], Line]) -> Callable[[str], User]:
    """Somebody in the role, with a line of their own."""

    def make(role: str) -> User:
        user = make_person(NAMES[role], is_staff=role != STUDENT)
        if role == ADMINISTRATOR:
            User.objects.filter(pk=user.pk).update(is_superuser=True)
        elif role != STUDENT:
            user.groups.add(Group.objects.get(name=role))
        line_of(user)
        return reread(user)

    return make


# -- Which addresses there are --------------------------------------------------------------------


def patterns(resolver: Any, before: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    """Every address as it is written in the URL configuration, with its full name."""
    for found in resolver.url_patterns:
        written = before + str(found.pattern).removeprefix("^").removesuffix("$")
        if isinstance(found, URLResolver):
            inner = f"{space}{found.namespace}:" if found.namespace else space
            yield from patterns(found, written, inner)
        elif isinstance(found, URLPattern):
            yield f"/{written}", f"{space}{found.name}"


def ids_for(written: str) -> list[str]:
    """Ids of the rows that an address is about, two at most, and those that no row has."""
    about = [
        model
        for model in admin.site._registry
        if written.startswith(f"/admin/{model._meta.app_label}/{model._meta.model_name}/")
    ] or [Device]
    real = about[0]._default_manager.order_by("pk").values_list("pk", flat=True)
    return [*(quote(str(pk), safe="") for pk in real[:2]), *(quote(i, safe="") for i in BAD_IDS)]


def addresses() -> list[str]:
    """Every address of the site, filled in."""
    found: dict[str, None] = {}
    for written, name in patterns(get_resolver()):
        if name in LEAVES:
            continue
        parts = re.compile(r"<[^>]+>|\(\?P<[^>]+>(?:[^()]|\([^()]*\))*\)|\((?:\?:)?[^()]*\)")
        if not parts.search(written):
            found[written] = None
            continue
        for value in ids_for(written):
            found[parts.sub(lambda _, value=value: value, written).replace("\\", "")] = None  # type: ignore[misc]
    return list(found)


def links(page: str, url: str) -> Iterator[str]:
    """Where the page leads to on this site by GET."""
    for target in re.findall(r'(?:href|action|hx-get|src)="([^"#]+)', page):
        there = urljoin(url, unescape(target))
        if there.startswith("/") and not there.startswith(("/static/", "//")):
            yield there


def inputs(page: str) -> set[str]:
    """Names of what the page's forms send."""
    return set(re.findall(r'<(?:input|select|textarea)[^>]*\bname="([^"]+)"', page))


# -- The crawler ----------------------------------------------------------------------------------


class Crawler:
    """Somebody who follows everything, and notes every answer that should not be."""

    def __init__(self, user: User, as_user: AsUser, hidden: set[str]) -> None:
        self.client = as_user(user)
        self.client.raise_request_exception = False
        self.hidden = hidden
        self.seen: dict[str, set[str]] = {}
        self.wrong: list[Asked] = []
        self.shown: set[str] = set()

    def ask(self, url: str) -> str:
        """The text of the answer."""
        answer = self.client.get(url)
        path = urlsplit(url).path
        text = b"".join(answer).decode(errors="replace") if answer.streaming else answer.text
        if answer.status_code >= 500 and path != "/healthz":  # 503 without daemons is its answer
            self.wrong.append(Asked(url, str(answer.status_code)))
        if answer.status_code == 200:
            self.shown.add(path)
        told = [secret for secret in self.hidden if secret in text and secret not in url]
        if told:
            self.wrong.append(Asked(url, f"shows {told}"))
        return text

    def crawl(self) -> None:
        """Every address, then where they lead; with them the parameters that each page knows."""
        waiting = addresses()
        for url in waiting:
            self.look(url, waiting if len(waiting) < ADDRESSES else [])

    def look(self, url: str, waiting: list[str]) -> None:
        path = urlsplit(url).path
        text = self.ask(url)
        known = self.seen.setdefault(path, set())
        known |= inputs(text) & {"q", "action", "next"}
        for there in links(text, url):
            parts = urlsplit(there)
            names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
            new = names - self.seen.get(parts.path, set()) or parts.path not in self.seen
            self.seen.setdefault(parts.path, set()).update(names)
            if new and there not in waiting and "logout" not in parts.path:
                waiting.append(there)

    def ask_nonsense(self) -> None:
        """Every page that was shown, with each parameter and each value that makes no sense."""
        questions = [
            f"{path}?{urlencode({name: value})}"
            for path in sorted(self.shown)
            if not re.search(r"/\d+/(change|history|delete)/$", path)
            for name in sorted({*self.seen.get(path, ()), *NEVER_LINKED})
            for value in BAD_VALUES
        ]
        for url in spread(questions, QUESTIONS):
            self.ask(url)

    def complete_everything(self) -> None:
        """The admin's completion, of every field of every model and some that no model has."""
        for model in admin.site._registry:
            for name in [*(field.name for field in model._meta.get_fields()), "nobody", "\x00"]:
                asked = {
                    "app_label": model._meta.app_label,
                    "model_name": model._meta.model_name,
                    "field_name": name,
                    "term": TELLTALE[:3],
                    "page": "x",
                }
                self.ask(f"/admin/autocomplete/?{urlencode(asked)}")


def spread(all_of_them: list[str], most: int) -> list[str]:
    """At most so many, evenly from everywhere, the same ones in every run."""
    step = max(1, len(all_of_them) // most) | 1
    return all_of_them[::step]


def secrets_of(device: Device) -> set[str]:
    """What nobody may see."""
    kept = kept_of(device)
    deployment = ensure_deployment()
    hashes = User.objects.exclude(password="").values_list("password", flat=True)
    return {kept.ha1_md5, kept.ha1_sha256, deployment.cluster_key, *hashes}


def hidden_from(user: User, device: Device) -> set[str]:
    """What this person's role does not let them see."""
    hidden = secrets_of(device)
    for label, text in OF_OPERATORS.items():
        app, model = label.lower().split(".")
        if not user.has_perm(f"{app}.view_{model}"):
            hidden.add(text)
    return hidden | set(OF_ANNA if not user.is_staff else ())


@pytest.mark.parametrize("role", ROLES)
def test_no_address_breaks_or_shows_what_the_role_may_not_see(
    person: Callable[[str], User], as_user: AsUser, world: Device, role: str
) -> None:
    user = person(role)
    crawler = Crawler(user, as_user, hidden_from(user, world))
    crawler.crawl()
    crawler.complete_everything()
    crawler.ask_nonsense()
    assert crawler.wrong == []
    lists = {f"/admin/{m._meta.app_label}/{m._meta.model_name}/" for m in admin.site._registry}
    allowed = {
        f"/admin/{m._meta.app_label}/{m._meta.model_name}/"
        for m in admin.site._registry
        if user.is_staff and user.has_perm(f"{m._meta.app_label}.view_{m._meta.model_name}")
    }
    assert crawler.shown & lists == allowed


def rows(user: User) -> dict[str, list[Any]]:
    """Everything that people change, as it is now, but for this person's own row."""
    kept = [m for m in admin.site._registry if m._meta.label != "changes.Change"]
    found = {m._meta.label: contents(m) for m in [*kept, apps.get_model("lines.DeviceSecret")]}
    found["accounts.User"] = [row for row in found["accounts.User"] if row[0] != user.pk]
    return found


def contents(model: type[Model]) -> list[Any]:
    names = [field.attname for field in model._meta.concrete_fields]
    return list(model._default_manager.order_by("pk").values_list(*names))


@pytest.mark.parametrize("role", [STUDENT, "auditor"])
def test_no_empty_or_senseless_form_changes_anything_of_others(
    person: Callable[[str], User], as_user: AsUser, role: str
) -> None:
    user = person(role)
    before = rows(user)
    broken = []
    for url in spread(addresses(), FORMS):
        client = as_user(user)
        client.raise_request_exception = False
        for form in (
            {},
            {"action": "revoke", "_selected_action": "1", "label": "\x00", "state": "x"},
        ):
            answer = client.post(url, form)
            if answer.status_code >= 500 and url != "/healthz":
                broken.append(Asked(url, str(answer.status_code)))
    assert broken == []
    assert rows(user) == before
