"""Fixtures of these tests."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group

from tests.voip_portal.people import *  # noqa: F403
from tests.voip_portal.people import make_person
from voip_portal.accounts.models import User
from voip_portal.numbers.models import Domain


@pytest.fixture
def staff(domain: Domain) -> Callable[[str], User]:
    """A member of staff with one role."""

    def make(role: str) -> User:
        user = make_person(role.title().replace(" ", ""), is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        return user

    return make
