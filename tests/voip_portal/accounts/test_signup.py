import re
import time

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.test import Client
from django.utils import translation

from voip_portal.accounts import codes
from voip_portal.accounts.forms import SignupForm
from voip_portal.accounts.models import User

pytestmark = [pytest.mark.django_db(databases="__all__"), pytest.mark.usefixtures("domain")]

SIGN_UP = "/accounts/signup/"


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with each password that is hashed."""
    found: list[str] = []
    encode = MD5PasswordHasher.encode

    def counting(self: MD5PasswordHasher, password: str, salt: str) -> str:
        found.append(password)
        return str(encode(self, password, salt))

    monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
    return found


def form(email: str, **extra: str) -> dict[str, str]:
    return {"name": "Anna  Berg", "email": email, "password1": "correct horse 9"} | extra


def the_code() -> str:
    found = re.search(r"^([A-Z0-9-]{6,12})$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found is not None
    return found[1]


def test_a_campus_address_signs_up_and_is_logged_in_after_the_code(client: Client) -> None:
    answer = client.post(SIGN_UP, form("Anna@Campus.example"))
    assert answer["Location"] == "/accounts/confirm-email/"
    assert client.get("/devices/")["Location"].startswith("/accounts/login/")
    answer = client.post("/accounts/confirm-email/", {"code": the_code(), "action": "verify"})
    assert answer["Location"] == "/welcome/"
    assert client.get("/welcome/").status_code == 200
    user = User.objects.get()
    assert (user.email, user.name, user.listed) == ("anna@campus.example", "Anna Berg", False)


def test_who_comes_back_to_the_page_of_the_code_goes_on(client: Client) -> None:
    client.post(SIGN_UP, form("anna@campus.example"))
    client.post("/accounts/confirm-email/", {"code": the_code(), "action": "verify"})
    for answer in (
        client.get("/accounts/confirm-email/"),
        client.post("/accounts/confirm-email/", {"code": "AAAA-AAAA", "action": "verify"}),
    ):
        assert (answer.status_code, answer["Location"]) == (302, "/")


def test_a_name_is_kept_composed_whoever_typed_it(client: Client) -> None:
    client.post(SIGN_UP, form("anna@campus.example", name="A\u030asa  O\u0308berg"))
    client.post("/accounts/confirm-email/", {"code": the_code(), "action": "verify"})
    assert User.objects.get().name == "Åsa Öberg"


def test_a_wrong_code_opens_nothing(client: Client) -> None:
    client.post(SIGN_UP, form("anna@campus.example"))
    for _ in range(4):
        client.post("/accounts/confirm-email/", {"code": "AAAA-AAAA", "action": "verify"})
    client.post("/accounts/confirm-email/", {"code": the_code(), "action": "verify"})
    assert client.get("/welcome/").status_code == 302


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The clock goes on."""
    at = time.time() + seconds
    monkeypatch.setattr("time.time", lambda: at)


@pytest.mark.parametrize(
    "email",
    [
        "anna@elsewhere.example",
        "anna@campus.example.evil.example",
        "anna+2@campus.example",
        "anna@sub.campus.example",
        "anna@xcampus.example",
    ],
)
def test_other_addresses_are_refused(client: Client, email: str) -> None:
    answer = client.post(SIGN_UP, form(email))
    assert answer.status_code == 200
    assert answer.context["form"].errors["email"]
    assert not User.objects.exists()
    assert mail.outbox == []


@pytest.mark.parametrize(
    "email",
    [
        '"anna"@campus.example',
        r'"an\na"@campus.example',
        '"anna@evil.example"@campus.example',
        "anna%evil.example@campus.example",
        "evil.example!anna@campus.example",
        "anna/2@campus.example",
        "anna=2@campus.example",
    ],
)
def test_no_second_spelling_of_a_mailbox_signs_up(client: Client, anna: User, email: str) -> None:
    """Mail servers deliver these to Anna's mailbox, or even pass them on to a foreign one."""
    answer = client.post(SIGN_UP, form(email))
    assert answer.context["form"].errors["email"] == [
        "Before the @ use only letters a to z, digits, and . _ - '"
    ]
    assert User.objects.count() == 1
    assert mail.outbox == []


def test_what_is_wrong_with_an_address_is_said_in_swedish(client: Client) -> None:
    answer = client.post(SIGN_UP, form('"anna"@campus.example'), headers={"accept-language": "sv"})
    assert "Använd bara bokstäverna a till z" in str(answer.context["form"].errors["email"])
    translation.activate("en")


@pytest.mark.parametrize("name", ["anna", "Anna.Berg", "anna_berg-2", "sinead.o'connor"])
def test_ordinary_mailboxes_sign_up(client: Client, name: str) -> None:
    client.post(SIGN_UP, form(f"{name}@campus.example"))
    assert User.objects.get().email == f"{name.lower()}@campus.example"


def test_a_known_address_looks_like_a_new_one(client: Client, anna: User) -> None:
    known = client.post(SIGN_UP, form("anna@campus.example"))
    new = Client().post(SIGN_UP, form("boris@campus.example"))
    assert (known.status_code, known["Location"]) == (new.status_code, new["Location"])
    assert [m.to for m in mail.outbox] == [["anna@campus.example"], ["boris@campus.example"]]
    assert mail.outbox[0].subject != mail.outbox[1].subject


def test_asking_for_the_code_again_tells_nothing_about_an_address(
    anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail takes long to hand over: who gets none could be told by the time of the answer."""
    found = []
    for email in ("anna@campus.example", "boris@campus.example"):
        mail.outbox.clear()
        browser = Client()
        browser.post(SIGN_UP, form(email))
        answers = []
        for _ in range(4):  # one more than there may be
            later(monkeypatch, codes.SEND_AGAIN_AFTER_S)
            answer = browser.post("/accounts/confirm-email/", {"action": "resend"})
            answers.append((answer.status_code, answer.headers.get("Location"), len(mail.outbox)))
        assert {m.to[0] for m in mail.outbox} == {email}
        found.append(answers)
    assert found[0] == found[1]
    assert [sent for _status, _location, sent in found[0]] == [2, 3, 4, 4]


def test_the_owner_of_a_known_address_gets_no_code_however_often_it_is_asked_for(
    client: Client, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(SIGN_UP, form("anna@campus.example"))
    later(monkeypatch, codes.SEND_AGAIN_AFTER_S)
    client.post("/accounts/confirm-email/", {"action": "resend"})
    assert len({str(m.body) for m in mail.outbox}) == 1
    assert "has an account already" in str(mail.outbox[1].body)


def test_a_code_that_was_sent_again_is_the_one_that_counts(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(SIGN_UP, form("anna@campus.example"))
    first = the_code()
    later(monkeypatch, codes.SEND_AGAIN_AFTER_S)
    client.post("/accounts/confirm-email/", {"action": "resend"})
    for code, page in ((first, None), (the_code(), "/welcome/")):
        answer = client.post("/accounts/confirm-email/", {"code": code, "action": "verify"})
        assert answer.headers.get("Location") == page


def test_a_known_address_costs_as_many_password_hashes(anna: User, hashes: list[str]) -> None:
    counts = [len(hashes)]
    for email in ("anna@campus.example", "boris@campus.example"):
        Client().post(SIGN_UP, form(email))
        counts.append(len(hashes))
    assert counts[1] - counts[0] == counts[2] - counts[1] > 0


def test_logging_in_costs_the_same_for_known_and_unknown_addresses(
    client: Client, anna: User, hashes: list[str]
) -> None:
    answers = []
    for email in ("anna@campus.example", "nobody@campus.example"):
        before = len(hashes)
        answer = client.post("/accounts/login/", {"login": email, "password": "wrong one 9"})
        answers.append(
            (answer.status_code, str(answer.context["form"].errors), len(hashes) - before)
        )
    assert answers[0][:2] == answers[1][:2]
    assert answers[0][2] == answers[1][2] > 0


def test_asking_for_a_new_password_says_the_same_for_known_and_unknown(
    client: Client, anna: User
) -> None:
    known = client.post("/accounts/password/reset/", {"email": "anna@campus.example"})
    unknown = Client().post("/accounts/password/reset/", {"email": "nobody@campus.example"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert len(mail.outbox) == 2


def test_mailboxes_outside_the_campus_get_no_mail(client: Client) -> None:
    client.post("/accounts/password/reset/", {"email": "victim@elsewhere.example"})
    assert mail.outbox == []


def test_a_new_password_is_set_by_code(client: Client, anna: User) -> None:
    client.post("/accounts/password/reset/", {"email": "anna@campus.example"})
    answer = client.post("/accounts/password/reset/confirm/", {"code": the_code()})
    answer = client.post(
        answer["Location"], {"password1": "another horse 9", "password2": "another horse 9"}
    )
    anna.refresh_from_db()
    assert anna.check_password("another horse 9")


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_the_same_address_in_two_windows_at_once_makes_one_account(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.create_user("anna@campus.example", "correct horse 9")
    # The other window's account was not there yet when this form was checked.
    monkeypatch.setattr(SignupForm, "validate_unique_email", lambda self, value: value)
    answer = client.post(SIGN_UP, form("anna@campus.example"))
    assert answer["Location"] == "/accounts/confirm-email/"
    assert User.objects.count() == 1
