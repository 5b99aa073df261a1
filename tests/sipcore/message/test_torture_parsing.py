"""RFC 4475 and RFC 5118 at the parser: what its reading alone decides, and what it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sipcore.errors import MalformedMessage
from sipcore.message import Message, Request, Response, parse_message, parse_via

DATA = Path(__file__).parents[2] / "data" / "torture"
REFUSED = {"400", "400(UDP)", "close(stream)", "501", "505"}


def cases() -> list[Any]:
    return [
        pytest.param(folder, entry, id=f"{folder}/{entry['file']}")
        for folder in ("rfc4475", "rfc5118")
        for entry in json.loads((DATA / folder / "index.json").read_text())
    ]


def read_all(data: bytes) -> Message:
    """The message, after reading every value that routing may ask for."""
    message = parse_message(data)
    assert message.via.host
    assert message.from_.uri.scheme
    assert message.to.uri.scheme
    assert message.cseq_method
    for route in message.routes:
        assert route.uri.scheme
    for value in message.values("via"):
        assert parse_via(value).transport
    assert message.max_forwards is None or message.max_forwards >= 0
    assert message.expires is None or message.expires >= 0
    assert isinstance(message.from_tag + message.to_tag, str)
    if isinstance(message, Request):
        assert message.uri.scheme
    return message


@pytest.mark.parametrize(("folder", "entry"), cases())
def test_a_torture_message_is_read_or_refused_as_its_rfc_says(
    folder: str, entry: dict[str, Any]
) -> None:
    data = (DATA / folder / entry["file"]).read_bytes()
    if entry["valid"]:
        message = read_all(data)
        again = read_all(message.to_bytes())
        assert again.lines[: len(message.lines)] == message.lines  # rows are not re-printed
        assert again.body == message.body
        return
    if not REFUSED.issuperset(entry["outcomes"]):
        if entry["outcomes"] == ["drop"]:
            with pytest.raises(MalformedMessage) as dropped:
                read_all(data)
            assert dropped.value.partial is None
        return  # both is right: the simulation shows what the server does
    with pytest.raises(MalformedMessage) as refused:
        read_all(data)
    assert str(refused.value.status) in {outcome[:3] for outcome in entry["outcomes"]}


def rfc4475(name: str) -> Message:
    return read_all((DATA / "rfc4475" / name).read_bytes())


def test_wsinv_reads_through_folds_blanks_and_odd_case() -> None:
    message = rfc4475("wsinv.dat")
    assert message.max_forwards == 68
    assert (message.cseq_number, message.cseq_method) == (9, "INVITE")
    assert message.from_.display == 'J Rosenberg \\"'
    assert message.from_tag == "98asjd8"
    assert message.to_tag == "1918181833n"
    assert message.first("subject") == ""
    assert len(message.values("via")) == 3
    assert message.first("newfangledheader") == "newfangled value continued newfangled value"
    assert message.first("unknownheaderwithunusualvalue") == ";;,,;;,;"
    assert message.contacts[0].params == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}


def test_intmeth_reads_the_whole_token_alphabet() -> None:
    message = rfc4475("intmeth.dat")
    assert isinstance(message, Request)
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert message.uri.user.startswith("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    assert message.uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert message.uri.host == "example.com"


def test_escapes_are_decoded_once_and_nul_is_an_octet() -> None:
    message = rfc4475("esc01.dat")
    assert isinstance(message, Request)
    assert message.uri.user_decoded == "sips:user@example.com"
    nul = rfc4475("escnull.dat")
    assert [c.uri.user_decoded for c in nul.contacts] == ["\0", "\0\0"]
    assert not nul.contacts[0].uri.equals(nul.contacts[1].uri)


def test_a_percent_sign_in_a_method_or_header_name_is_a_letter() -> None:
    message = rfc4475("esc02.dat")
    assert isinstance(message, Request)
    assert message.method == "RE%47IST%45R"
    assert len(message.contacts) == 2
    assert message.first("c%6fntact")


def test_longreq_has_34_vias() -> None:
    assert len(rfc4475("longreq.dat").values("via")) == 34


def test_a_second_request_in_the_datagram_is_ignored() -> None:
    assert rfc4475("dblreq.dat").body == b""


def test_binary_parts_are_bytes() -> None:
    message = rfc4475("mpart01.dat")
    assert len(message.body) == int(message.first("content-length") or 0)
    assert b"\0" in message.body


def test_reason_phrases_may_be_of_any_script_or_missing() -> None:
    unreason, noreason = rfc4475("unreason.dat"), rfc4475("noreason.dat")
    assert isinstance(unreason, Response)
    assert isinstance(noreason, Response)
    assert "простое" in unreason.reason
    assert (noreason.status, noreason.reason) == (100, "")


def test_repeated_rows_are_answered_with_one_of_each() -> None:
    with pytest.raises(MalformedMessage) as caught:
        rfc4475("multi01.dat")
    assert caught.value.partial is not None
    answer = caught.value.partial.respond(400, to_tag="t")
    assert [answer.keys.count(key) for key in ("from", "to", "call-id", "cseq")] == [1, 1, 1, 1]


def test_the_display_name_of_baddn_is_sent_on_with_quotes_when_its_end_is_repaired() -> None:
    message = read_all((DATA / "rfc4475" / "extra" / "baddn.fixed.dat").read_bytes())
    assert message.rows("from") == ['"Bell, Alexander" <sip:a.g.bell@example.com>;tag=43']
    assert message.rows("to") == ['"Watson, Thomas" <sip:t.watson@example.org>']
