from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils.timezone import now

from voip_portal.accounts.models import User
from voip_portal.accounts.tasks import clear_sessions
from voip_portal.celery import app

pytestmark = pytest.mark.django_db(databases="__all__")


def test_expired_sessions_are_cleared_and_others_stay(anna: User, boris: User) -> None:
    here, gone = Client(), Client()
    here.force_login(anna)
    gone.force_login(boris)
    key = gone.session.session_key
    Session.objects.filter(session_key=key).update(expire_date=now() - timedelta(seconds=1))
    clear_sessions()
    clear_sessions()
    assert not Session.objects.filter(session_key=key).exists()
    assert here.get("/settings/").status_code == 200


def test_beat_asks_for_tasks_that_there_are_and_for_the_sessions_daily() -> None:
    app.loader.import_default_modules()
    plan = {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
    assert set(plan) <= set(app.tasks)
    assert plan["accounts.clear_sessions"] == 86_400.0
