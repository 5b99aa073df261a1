"""Opening hours in the admin."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time

import pytest
from django.test import Client

from voip_portal.accounts.models import User
from voip_portal.changes.models import Change
from voip_portal.hours.models import OpeningHours

pytestmark = pytest.mark.django_db(databases="__all__")
PAGE = "/admin/hours/openinghours/add/"


def test_an_operator_says_when_the_office_is_open(
    staff: Callable[[str], User], as_user: Callable[[User], Client]
) -> None:
    operator = staff("operator")
    client = as_user(operator)
    form = {"weekday": "0", "opens": "08:00", "closes": "17:30"}
    answer = client.post(PAGE, form | {"closes": "07:00"})
    assert "It has to close after it opens." in answer.content.decode()
    client.post(PAGE, form)
    client.post(PAGE, form)  # there is that day already
    row = OpeningHours.objects.get()
    assert (row.weekday, row.opens, row.closes) == (0, time(8), time(17, 30))
    change = Change.objects.get(table_name="hours_openinghours")
    assert (change.op, change.actor) == ("insert", str(operator))
    assert as_user(staff("help desk")).get(PAGE).status_code == 403
