import io
import re

import pytest
from django.core.management import call_command
from django.test import Client

from voip_portal.accounts.models import User
from voip_portal.nodes.models import Deployment
from voip_portal.numbers.models import Domain, NumberRange

pytestmark = pytest.mark.django_db(databases="__all__")


def first_start(*options: str) -> str:
    out = io.StringIO()
    call_command("first_start", *options, stdout=out)
    return out.getvalue()


def test_an_empty_database_gets_all_it_needs_and_a_password_shown_once(client: Client) -> None:
    said = first_start()
    email, password = re.findall(r"^  [a-z -]+  (\S+)$", said, re.MULTILINE)
    assert Deployment.objects.get().realm
    assert Domain.objects.get().name == "campus.example"
    assert NumberRange.objects.get().is_pool
    answer = client.post("/accounts/login/", {"login": email, "password": password})
    assert answer["Location"] == "/admin/"


def test_a_second_start_changes_and_says_nothing() -> None:
    first_start()
    before = Deployment.objects.values().get(), User.objects.values().get()
    assert first_start("--domain", "other.example") == ""
    assert (Deployment.objects.values().get(), User.objects.values().get()) == before
    assert Domain.objects.count() == 1
