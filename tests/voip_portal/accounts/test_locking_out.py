"""Nobody can lock somebody else out, and nobody can guess faster for that."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.http import HttpResponse
from django.test import Client

from tests.voip_portal.people import PASSWORD, make_person, reread
from voip_portal.accounts.known_browser import COOKIE, KEEP_S
from voip_portal.accounts.models import User

pytestmark = pytest.mark.django_db(databases="__all__")

LOG_IN: Final = "/accounts/login/"
RESET: Final = "/accounts/password/reset/"
SIGN_UP: Final = "/accounts/signup/"
HOME: Final = "192.0.2.7"
REFUSED: Final = "Too many failed log-ins"


def log_in(
    email: str, password: str, source: str, browser: Client | None = None, **headers: str
) -> HttpResponse:
    form = {"login": email, "password": password}
    return (browser or Client()).post(LOG_IN, form, REMOTE_ADDR=source, headers=headers)


def elsewhere(n: int) -> str:
    """An address in a network of its own."""
    return f"198.18.{n}.1"


def wrong_tries(email: str, count: int) -> int:
    """Of a stranger with as many networks; how many were taken."""
    answers = [log_in(email, "a wrong one", elsewhere(n)) for n in range(count)]
    return sum(REFUSED not in a.content.decode() for a in answers)


def is_in(answer: HttpResponse) -> bool:
    return answer.status_code == 302


@pytest.mark.parametrize("staff", [False, True], ids=["student", "administrator"])
def test_five_wrong_passwords_of_others_lock_nobody_out(domain: Any, staff: bool) -> None:
    person = make_person("Victor", is_staff=staff, is_superuser=staff)
    wrong_tries(person.email, 5)
    for _ in range(6):
        log_in(person.email, "a wrong one", elsewhere(77))
    assert is_in(log_in(person.email, PASSWORD, HOME))


def test_the_tries_of_one_network_count_together(anna: User) -> None:
    for n in range(6):
        answer = log_in(anna.email, "a wrong one", f"192.0.2.{n}")
    assert REFUSED in answer.content.decode()
    assert not is_in(log_in(anna.email, PASSWORD, "192.0.2.99"))
    for n in range(6):
        log_in(anna.email, "a wrong one", f"2001:db8:1:1::{n}")
    assert not is_in(log_in(anna.email, PASSWORD, "2001:db8:1:1:9::9"))
    assert is_in(log_in(anna.email, PASSWORD, "2001:db8:1:2::9"))


def test_an_account_has_a_larger_limit_and_a_browser_that_logged_in_before_goes_on(
    anna: User,
) -> None:
    known = Client()
    assert is_in(log_in(anna.email, PASSWORD, HOME, known))
    known.post("/accounts/logout/")
    assert wrong_tries(anna.email, 60) == 50
    assert not is_in(log_in(anna.email, PASSWORD, HOME))
    assert is_in(log_in(anna.email, PASSWORD, HOME, known))


def test_a_browser_that_is_known_goes_on_whatever_others_of_its_address_try(anna: User) -> None:
    known = Client()
    assert is_in(log_in(anna.email, PASSWORD, HOME, known))
    known.post("/accounts/logout/")
    for n in range(35):
        log_in(f"x{n}@campus.example", "a wrong one", HOME)
    assert not is_in(log_in(anna.email, PASSWORD, HOME))
    assert is_in(log_in(anna.email, PASSWORD, HOME, known))


def test_log_ins_of_unknown_browsers_of_an_address_are_counted_right_or_wrong(anna: User) -> None:
    assert sum(is_in(log_in(anna.email, PASSWORD, HOME)) for _ in range(33)) == 30


def test_a_known_browser_has_five_tries_itself(anna: User) -> None:
    known = Client()
    log_in(anna.email, PASSWORD, HOME, known)
    known.post("/accounts/logout/")
    for n in range(6):
        answer = log_in(anna.email, "a wrong one", elsewhere(n), known)
    assert REFUSED in answer.content.decode()


def test_what_a_browser_is_known_by_opens_nothing_and_is_good_for_one_account(
    anna: User, boris: User
) -> None:
    known = Client()
    log_in(anna.email, PASSWORD, HOME, known)
    cookie = known.cookies[COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert int(cookie["max-age"]) == KEEP_S
    other = Client()
    other.cookies[COOKIE] = cookie.value
    assert other.get("/devices/").status_code == 302
    wrong_tries(boris.email, 50)
    assert not is_in(log_in(boris.email, PASSWORD, HOME, other))
    assert is_in(log_in(anna.email, PASSWORD, HOME, other))


def test_a_new_password_makes_browsers_unknown(anna: User) -> None:
    known = Client()
    log_in(anna.email, PASSWORD, HOME, known)
    known.post("/accounts/logout/")
    anna = reread(anna)
    anna.set_password("another horse 9")
    anna.save()
    wrong_tries(anna.email, 50)
    assert not is_in(log_in(anna.email, "another horse 9", HOME, known))


@pytest.mark.parametrize("value", ["", "x", "a:b:c", "[]", "é"])
def test_a_cookie_of_somebody_elses_making_is_none(anna: User, value: str) -> None:
    browser = Client()
    browser.cookies[COOKIE] = value
    assert is_in(log_in(anna.email, PASSWORD, HOME, browser))
    wrong_tries(anna.email, 50)
    browser = Client()
    browser.cookies[COOKIE] = value
    assert not is_in(log_in(anna.email, PASSWORD, HOME, browser))


def test_the_way_out_is_said_in_both_languages(anna: User) -> None:
    for _ in range(5):
        log_in(anna.email, "a wrong one", HOME)
    assert "Forgot the password?" in log_in(anna.email, PASSWORD, HOME).content.decode()
    swedish = log_in(anna.email, PASSWORD, HOME, accept_language="sv").content.decode()
    assert "För många misslyckade inloggningar" in swedish


def test_known_and_unknown_accounts_look_and_cost_the_same(
    anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counting(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return str(encode(self, password, salt))

    monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
    Client().post(SIGN_UP, sign_up_form("carol@campus.example"), REMOTE_ADDR=elsewhere(9))
    found = []
    for n, email in enumerate((anna.email, "nobody@campus.example", "carol@campus.example")):
        hashed.clear()
        answers = [log_in(email, "a wrong one", elsewhere(n)) for _ in range(6)]
        texts = [re.sub(r'value="[^"]*"', "", a.content.decode()) for a in answers]
        found.append((texts, len(hashed)))
    assert found[0] == found[1] == found[2]
    assert found[0][1] == 5


# -- codes by mail -------------------------------------------------------------------------------


def sign_up_form(email: str, name: str = "Anna Berg", password: str = PASSWORD) -> dict[str, str]:
    return {"name": name, "email": email, "password1": password}


def the_code(to: str) -> str:
    bodies = [str(m.body) for m in mail.outbox if m.to == [to]]
    found = re.search(r"^([A-Z0-9-]{6,12})$", bodies[-1], re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("email", ["anna@campus.example", "nobody@campus.example"])
@pytest.mark.parametrize("page", [RESET, SIGN_UP])
def test_others_do_not_keep_an_address_from_its_codes(anna: User, page: str, email: str) -> None:
    form = {"email": email} if page == RESET else sign_up_form(email)
    statuses = [
        Client().post(page, form, REMOTE_ADDR=f"198.18.0.{n}").status_code for n in range(9)
    ]
    assert statuses == [302] * 6 + [429] * 3
    assert Client().post(page, form, REMOTE_ADDR=HOME).status_code == 302
    assert len(mail.outbox) == 7


def test_an_address_gets_so_many_codes_and_no_more_and_a_known_browser_goes_on(anna: User) -> None:
    known = Client()
    log_in(anna.email, PASSWORD, HOME, known)
    known.post("/accounts/logout/")
    mail.outbox.clear()
    for n in range(40):
        answer = Client().post(RESET, {"email": anna.email}, REMOTE_ADDR=elsewhere(n))
    assert answer.status_code == 429
    assert len(mail.outbox) == 30
    text = answer.content.decode()
    assert "in an hour" in text
    assert "logged in before" in text
    assert known.post(RESET, {"email": anna.email}, REMOTE_ADDR=HOME).status_code == 302


# -- squatters -----------------------------------------------------------------------------------


def squat(email: str) -> Client:
    squatter = Client()
    squatter.post(
        SIGN_UP,
        sign_up_form(email, "Rude Name", "squatting 1234"),
        REMOTE_ADDR=elsewhere(1),
        headers={"accept-language": "sv"},
    )
    return squatter


def test_a_squatter_leaves_nothing_where_the_owner_signs_up(domain: Any) -> None:
    squatter = squat("carol@campus.example")
    assert "Rude" not in str(User.objects.values().get())
    squatters_code = the_code("carol@campus.example")
    owner = Client()
    owner.post(SIGN_UP, sign_up_form("carol@campus.example", "Carol Ek"), REMOTE_ADDR=HOME)
    squat("carol@campus.example")  # meanwhile
    code = the_codes("carol@campus.example")[1]
    assert code != squatters_code
    owner.post("/accounts/confirm-email/", {"code": code, "action": "verify"})
    user = User.objects.get()
    assert (user.name, user.language) == ("Carol Ek", "en")
    assert user.check_password(PASSWORD)
    assert owner.get("/welcome/").status_code == 200
    assert squatter.get("/welcome/").status_code == 302
    assert not is_in(log_in(user.email, "squatting 1234", elsewhere(2)))


def the_codes(to: str) -> list[str]:
    return [
        code
        for m in mail.outbox
        if m.to == [to]
        for code in re.findall(r"^([A-Z0-9-]{6,12})$", str(m.body), re.MULTILINE)
    ]


def test_a_squatter_leaves_nothing_where_the_owner_asks_for_a_password(domain: Any) -> None:
    squat("carol@campus.example")
    # As an older release left it.
    User.objects.update(name="Rude Name", language="sv")
    owner = Client()
    owner.post(RESET, {"email": "carol@campus.example"}, REMOTE_ADDR=HOME)
    code = the_code("carol@campus.example")
    answer = owner.post("/accounts/password/reset/confirm/", {"code": code})
    words = {"password1": "another horse 9", "password2": "another horse 9"}
    owner.post(answer["Location"], words)
    user = User.objects.get()
    assert (user.name, user.language) == ("", "")
    assert is_in(log_in(user.email, "another horse 9", HOME))


def test_a_sign_up_never_touches_an_account_that_was_confirmed(anna: User) -> None:
    squat(anna.email)
    assert reread(anna).name == "Anna Berg"
    assert the_codes(anna.email) == []


def test_who_lost_the_page_of_the_code_signs_up_again(domain: Any) -> None:
    Client().post(SIGN_UP, sign_up_form("carol@campus.example", "Carol"), REMOTE_ADDR=HOME)
    again = Client()
    again.post(SIGN_UP, sign_up_form("carol@campus.example", "Carol Ek"), REMOTE_ADDR=HOME)
    code = the_code("carol@campus.example")
    again.post("/accounts/confirm-email/", {"code": code, "action": "verify"})
    assert User.objects.get().name == "Carol Ek"


@pytest.mark.parametrize("email", ["anna@campus.example", "nobody@campus.example"])
@pytest.mark.parametrize("page", [RESET, SIGN_UP])
def test_a_mail_server_that_is_away_is_said_alike_of_all_addresses(
    anna: User, page: str, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: mail.EmailMessage, fail_silently: bool = False) -> int:
        raise TimeoutError(email)

    monkeypatch.setattr(mail.EmailMessage, "send", away)
    form = {"email": email} if page == RESET else sign_up_form(email)
    answer = Client().post(page, form, REMOTE_ADDR=HOME)
    assert answer.status_code == 503
    assert "Try again in a few minutes" in answer.content.decode()
