from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError
from django.db import IntegrityError, connections, transaction
from django.utils import timezone, translation

from tests.voip_portal.migrating import before_migration
from voip_portal.accounts.models import User
from voip_portal.lines import services as lines
from voip_portal.lines.models import Line, State
from voip_portal.lines.services import NameTaken, close_line, suspend_person
from voip_portal.nodes.services import ensure_deployment
from voip_portal.numbers import services
from voip_portal.numbers.models import Address, AddressState, Domain, Kind, NumberRange
from voip_portal.portal.closing import close_account

pytestmark = pytest.mark.django_db(databases="__all__")

LOWER = ("0002_addresses_in_lower_case", "address", "address_in_lower_case")
"""Migration, model and constraint."""


def suspend_person_now(user: User) -> None:
    suspend_person(user, end_calls=True)


def small_pool(domain: Domain, first: str, last: str) -> None:
    NumberRange.objects.filter(domain=domain).update(first=first, last=last)


def test_a_line_gets_its_name_and_a_number_of_the_pool(annas_line: Line, domain: Domain) -> None:
    held = dict(annas_line.addresses.values_list("kind", "value"))
    assert held[Kind.NAME] == "anna"
    assert 20000 <= int(held[Kind.NUMBER]) <= 20099
    assert services.number_of(annas_line) == held[Kind.NUMBER]
    assert services.pool_left(domain) == 99


def test_asking_twice_gives_the_same_number(annas_line: Line, domain: Domain) -> None:
    assert services.allot_number(annas_line, domain).value == services.number_of(annas_line)


def test_the_last_number_is_found_and_then_the_pool_is_empty(
    domain: Domain, anna: User, boris: User, line_of: Callable[[User], Line]
) -> None:
    small_pool(domain, "20007", "20007")
    assert services.number_of(line_of(anna)) == "20007"
    line = line_of(boris)
    assert services.number_of(line) == ""
    assert services.pool_left(domain) == 0
    with pytest.raises(services.PoolEmpty):
        services.allot_number(line, domain)


def test_numbers_keep_their_leading_zeros(
    domain: Domain, anna: User, line_of: Callable[[User], Line]
) -> None:
    small_pool(domain, "0070", "0070")
    assert services.number_of(line_of(anna)) == "0070"


def test_a_released_number_rests_and_then_goes_to_the_next(
    domain: Domain, anna: User, boris: User, line_of: Callable[[User], Line]
) -> None:
    small_pool(domain, "20007", "20007")
    first = line_of(anna)
    close_line(first)
    services.release(first)
    address = Address.objects.get(domain=domain, value="20007")
    assert (address.state, address.line) == (AddressState.QUARANTINE, None)
    second = line_of(boris)
    assert services.number_of(second) == ""
    later = timezone.now() + services.QUARANTINE + timedelta(seconds=1)
    assert services.pool_left(domain, later) == 1
    assert services.allot_number(second, domain, later).value == "20007"


def test_a_released_name_is_reserved_for_ever(annas_line: Line, domain: Domain) -> None:
    services.release(annas_line)
    address = Address.objects.get(domain=domain, value="anna")
    assert (address.state, address.line) == (AddressState.RESERVED, None)


def test_a_name_reserved_by_staff_cannot_be_claimed(domain: Domain, anna: User) -> None:
    services.reserve_names(domain, ["fika"])
    with pytest.raises(NameTaken):
        services.open_line(anna, "fika")
    assert not Line.objects.filter(username="fika").exists()


@pytest.mark.parametrize("end", [suspend_person_now, close_account])
def test_who_was_shut_out_meanwhile_opens_no_line(
    domain: Domain, anna: User, end: Callable[[User], None]
) -> None:
    end(User.objects.get(pk=anna.pk))  # `anna` is what a request under way has read before
    with pytest.raises(services.ShutOut):
        services.open_line(anna, "anna")
    assert not Line.objects.exists()
    assert not Address.objects.filter(value="anna").exists()


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize("end", [suspend_person_now, close_account])
def test_no_line_stays_in_service_that_is_opened_while_its_owner_is_shut_out(
    domain: Domain, anna: User, end: Callable[[User], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is opened and not yet committed when somebody else begins to end the account."""
    claim_name, ending = services.claim_name, ThreadPoolExecutor(1)
    begun: list[Any] = []

    def shut_out() -> None:
        try:
            end(User.objects.get(pk=anna.pk))
        finally:
            connections.close_all()

    def claim(line: Line, domain: Domain) -> Address:
        begun.append(ending.submit(shut_out))
        with suppress(TimeoutError):  # it has to wait for us
            begun[0].result(timeout=0.5)
        return claim_name(line, domain)

    monkeypatch.setattr(services, "claim_name", claim)
    with ending:
        services.open_line(anna, "anna")
    begun[0].result()
    assert Line.objects.get().state != State.ACTIVE


def test_ranges_that_share_numbers_are_refused(domain: Domain) -> None:
    def candidate(first: str, last: str) -> NumberRange:
        return NumberRange(domain=domain, first=first, last=last)

    services.check_range(candidate("20100", "20199"))
    services.check_range(candidate("2000", "2009"))
    for first, last in [("20099", "20100"), ("19000", "21000"), ("20010", "20020")]:
        with pytest.raises(services.OverlappingRange):
            services.check_range(candidate(first, last))


def test_the_numbering_plan_is_made_once(domain: Domain) -> None:
    services.ensure_numbering_plan("other.example", "1", "2")
    assert Domain.objects.count() == 1
    assert NumberRange.objects.count() == 1
    assert Address.objects.filter(value="echo", state=AddressState.RESERVED).count() == 1


def reserved(domain: Domain, kind: str, value: str) -> Address:
    return Address(domain=domain, kind=kind, value=value, state=AddressState.RESERVED)


@pytest.mark.parametrize(
    ("kind", "entered", "kept"),
    [
        ("name", " Kansler ", "kansler"),
        ("name", "Anna.Berg", "anna.berg"),
        ("number", " 302 ", "302"),
    ],
)
def test_an_address_is_kept_as_it_is_called(
    domain: Domain, kind: str, entered: str, kept: str
) -> None:
    address = reserved(domain, kind, entered)
    address.full_clean()
    assert address.value == kept


@pytest.mark.parametrize(
    ("kind", "value", "language", "why"),
    [
        ("name", "302", "en", "Use 3 to 32 small letters"),
        ("name", "an na", "sv", "Använd 3 till 32 små bokstäver"),
        ("name", "kansler@", "en", "Use 3 to 32 small letters"),
        ("number", "fika", "en", "Enter 2 to 15 digits."),
        ("number", "+46 8", "sv", "Skriv 2 till 15 siffror."),
    ],
)
def test_what_nobody_could_call_is_no_address(
    domain: Domain, kind: str, value: str, language: str, why: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        reserved(domain, kind, value).full_clean()
    with translation.override(language):
        (told,) = refused.value.message_dict["value"]
    assert told.startswith(why)


def test_no_hand_can_write_an_address_in_capitals(domain: Domain) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        reserved(domain, "name", "Kansler").save()


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_addresses_in_capitals_are_lowered_by_migrating(
    domain: Domain, annas_line: Line, boris: User, line_of: Callable[[User], Line]
) -> None:
    """Where two become one, the holder keeps hers, and one reservation is left of two."""
    line = line_of(boris)
    with before_migration("numbers", *LOWER) as migrate:
        for value in ("Kansler", "KANSLER", "Anna", "boris2"):
            reserved(domain, "name", value).save()
        for value in ("Boris2", "Boris"):
            Address.objects.create(domain=domain, kind="name", value=value, line=line)
        migrate()
    names = dict(Address.objects.filter(kind="name").values_list("value", "line"))
    assert names == {
        **dict.fromkeys(services.SERVICE_NAMES),
        "kansler": None,
        "anna": annas_line.pk,
        "boris": line.pk,
        "boris2": line.pk,
    }


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_migrating_takes_an_address_from_neither_of_two_holders(
    domain: Domain, annas_line: Line, boris: User, line_of: Callable[[User], Line]
) -> None:
    with before_migration("numbers", *LOWER) as migrate:
        second = Address.objects.create(
            domain=domain, kind="name", value="Anna", line=line_of(boris)
        )
        with pytest.raises(CommandError, match="'Anna' and 'anna' have different holders"):
            migrate()
        second.delete()
        migrate()
    assert Address.objects.get(value="anna").line == annas_line


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_many_at_once_get_different_numbers(settings: Any) -> None:
    ensure_deployment()
    domain = services.ensure_numbering_plan("campus.example", "20000", "20009")

    def sign_up(n: int) -> str:
        try:
            return services.number_of(services.open_line(None, f"student{chr(97 + n)}x"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(sign_up, range(12)))
    assert sorted(filter(None, given)) == [str(n) for n in range(20000, 20010)]
    assert given.count("") == 2
    assert services.pool_left(domain) == 0


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_clicks_at_the_same_time_open_one_line_with_one_number() -> None:
    ensure_deployment("campus")
    domain = services.ensure_numbering_plan("campus.example", "20000", "20099")
    anna = User.objects.create_user("anna@campus.example", "x")

    def click(name: str) -> bool:
        try:
            line = services.open_line(anna, name)
            services.allot_number(line, domain)
        except services.HasLine:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(click, [f"anna{i}" for i in range(4)]))
    assert opened.count(True) == 1
    assert Address.objects.filter(kind=Kind.NUMBER, line__owner=anna).count() == 1


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_of_names_that_read_the_same_one_is_given_when_all_are_chosen_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ensure_deployment("campus")
    services.ensure_numbering_plan("campus.example", "20000", "20099")
    look, all_have_looked = lines.check_username, Barrier(3)

    def look_together(username: str) -> None:
        look(username)
        with suppress(BrokenBarrierError):  # SQLite lets one after the other look
            all_have_looked.wait(0.5)

    monkeypatch.setattr(lines, "check_username", look_together)

    def choose(name: str) -> bool:
        try:
            services.open_line(None, name)
        except NameTaken:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(3) as pool:
        given = list(pool.map(choose, ["anna.berg", "annaberg", "anna-berg"]))
    assert given.count(True) == 1
    assert Address.objects.filter(line__isnull=False, kind=Kind.NAME).count() == 1
