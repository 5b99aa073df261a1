"""Every text that people read has its Swedish, and the compiled file is the text file's."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.template.base import TextNode
from django.template.loader import get_template
from django.test import Client
from django.utils import translation
from django.utils.translation.template import templatize

from tests.voip_portal.people import make_person
from voip_portal.changes.models import Change
from voip_portal.numbers.models import Domain

ROOT = Path(settings.BASE_DIR)
FOLDER = ROOT / "locale" / "sv" / "LC_MESSAGES"
MARKS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext"}


def texts_in(source: str) -> Iterator[str]:
    """The first argument of each call that marks a text, adjacent strings joined."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name in MARKS and isinstance(node.args[0].value, str):
                yield node.args[0].value


def texts_in_template(source: str) -> Iterator[str]:
    """The texts that Django's own extractor sees in a template."""
    for call in re.finditer(
        r"gettext\(u?(\"\"\".*?\"\"\"|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")",
        templatize(source),
        re.DOTALL,
    ):
        yield str(ast.literal_eval(call[1]))
    for call in re.finditer(r"_\((\"[^\"]*\")\)", source):
        yield str(ast.literal_eval(call[1]))


def all_texts() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "voip_portal").rglob("*.py"):
        if "migrations" not in path.parts:
            found.update(texts_in(path.read_text()))
    for path in [
        *(ROOT / "templates").rglob("*.*"),
        *(ROOT / "voip_portal").rglob("templates/**/*.*"),
    ]:
        if path.is_file():
            found.update(texts_in_template(path.read_text()))
    return found - {""}


def catalogue() -> dict[str, str]:
    with (FOLDER / "django.mo").open("rb") as file:
        return {
            key[0] if isinstance(key, tuple) else key: text
            for key, text in gettext.GNUTranslations(file)._catalog.items()  # type: ignore[attr-defined]
        }


def test_every_text_is_translated() -> None:
    swedish = catalogue()
    assert len(all_texts()) > 200
    assert sorted(text for text in all_texts() if not swedish.get(text)) == []


def test_the_compiled_file_holds_what_the_text_file_says() -> None:
    entries = re.findall(
        r'^msgid "(.+)"\nmsgstr "(.*)"$', (FOLDER / "django.po").read_text(), re.MULTILINE
    )
    assert entries
    swedish = catalogue()
    for key, text in entries:
        assert swedish[ast.literal_eval(f'"{key}"')] == ast.literal_eval(f'"{text}"')


def test_translations_keep_the_places_of_values_and_tags() -> None:
    parts = re.compile(r"%\(\w+\)\w|%[ds]|<[^>]+>")
    for key, text in catalogue().items():
        if key:
            assert sorted(parts.findall(key)) == sorted(parts.findall(text))


@pytest.mark.django_db(databases="__all__")
def test_the_browsers_language_is_followed_and_can_be_switched(client: Client) -> None:
    assert (
        "Skapa konto"
        in client.get("/accounts/login/", headers={"accept-language": "sv"}).content.decode()
    )
    client.post("/i18n/setlang/", {"language": "en", "next": "/accounts/login/"})
    page = client.get("/accounts/login/", headers={"accept-language": "sv"}).content.decode()
    assert "Sign up" in page
    translation.activate("en")


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("language", ["en", "sv"])
def test_the_page_of_our_own_faults_speaks_both_languages_whatever_is_broken(
    client: Client, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(message: str) -> str:
        raise OSError("the catalogue is gone")

    monkeypatch.setattr(translation._trans, "gettext", broken)
    client.raise_request_exception = False
    answer = client.get("/accounts/login/", headers={"accept-language": language})
    assert answer.status_code == 500
    page = answer.content.decode()
    assert page.startswith("<!doctype html>")
    assert re.search(r'<html lang="en">.*<h1>Something went wrong</h1>', page, re.DOTALL)
    assert re.search(r'<section [^>]*lang="sv"><h2>Något gick fel</h2>', page)
    template = get_template("500.html").template
    assert [type(node) for node in template.nodelist] == [TextNode]  # type: ignore[attr-defined]
    translation.activate("en")


@pytest.mark.django_db(databases="__all__")
def test_the_admin_has_no_english_for_swedish_staff(domain: Domain) -> None:
    """The theme brings no Swedish of its own."""
    staff = make_person("Root", is_staff=True, is_superuser=True, language="sv")
    client = Client()
    client.force_login(staff)
    for path in ("", "accounts/user/", "calls/call/", "numbers/numberrange/add/", "nodes/node/"):
        page = client.get(f"/admin/{path}").content.decode()
        text = re.sub(r"<script.*?</script>|<svg.*?</svg>", "", page, flags=re.DOTALL)
        for word in ("Select ", "Type to", "No results", "Reset", "Apply", "More actions", "Dark"):
            assert not re.search(rf">\s*{word}|=\"{word}[^\"]*\"", text), (path, word)
    translation.activate("en")


@pytest.mark.django_db(databases="__all__")
def test_roles_rights_and_kinds_of_records_are_in_the_readers_language(domain: Domain) -> None:
    """What Django keeps as a row, by an English name, wherever the admin shows it."""
    staff = make_person("Root", is_staff=True, is_superuser=True, language="sv")
    role = Group.objects.get(name="help desk")
    made = Group.objects.create(name="egen")
    staff.groups.add(role)
    client = Client()
    client.force_login(staff)
    change = Change.objects.filter(table_name="accounts_user_groups").order_by("-pk")[0]
    for path in (
        "accounts/user/",
        f"accounts/user/?role={role.pk}",
        f"accounts/user/{staff.pk}/change/",
        "auth/group/",
        "auth/group/add/",
        f"auth/group/{role.pk}/change/",
        f"auth/group/{made.pk}/delete/",
        "calls/record/",
        "changes/change/",
        f"changes/change/{change.pk}/change/",
    ):
        page = client.get(f"/admin/{path}")
        assert page.status_code == 200
        text = re.sub(r"<script.*?</script>|<svg.*?</svg>", "", page.content.decode(), flags=re.DOTALL)
        english = r">[^<]*(\bCan (add|view)|help desk|operator|auditor|relationship|call\.|permission|group:)"
        found = [m[0] for m in re.finditer(english, text)]
        # The name that a row of the audit had is what it was.
        assert [one for one in found if "namn: " not in one] == [], path
    assert "kundtjänst" in client.get("/admin/accounts/user/").content.decode()
    only = client.get(f"/admin/accounts/user/?role={role.pk}").content.decode()
    assert "field-email" in only
    nobody = Group.objects.get(name="auditor")
    others = client.get(f"/admin/accounts/user/?role={nobody.pk}").content.decode()
    assert "field-email" not in others
    translation.activate("en")


def test_no_style_sheet_writes_words_in_capitals() -> None:
    for sheet in (ROOT / "voip_portal").rglob("static/**/*.css"):
        rules = re.findall(r"([^{}]*)\{[^{}]*text-transform: *(?:uppercase|capitalize)", sheet.read_text())
        assert [rule.strip() for rule in rules if "::first-letter" not in rule] == [], sheet
