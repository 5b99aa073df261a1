"""What a decision may want to know from outside before there is a plan."""

from __future__ import annotations

from sipcore.errors import MalformedMessage
from sipcore.locate import NO_ROOM, Answer, Question, address_of_number, domain_of_number
from sipcore.message import Uri, parse_uri
from sipcore.routing.plan import Refuse


class Ask:
    """A full number that nobody here has: whom it reaches by SIP, the DNS may know (ENUM, RFC 6116)."""

    __slots__ = ("_number", "_secure", "otherwise", "question")

    def __init__(self, number: str, suffix: str, secure: bool, otherwise: Refuse) -> None:
        self._number = number
        self._secure = secure
        self.question: Question = (domain_of_number(number, suffix), "NAPTR")
        self.otherwise = otherwise
        """The plan where nothing is asked, or nothing is known."""

    def answered(self, answer: Answer) -> Uri | Refuse:
        """The address to decide about instead, or the plan where the number has none."""
        if answer is NO_ROOM:
            return Refuse(503, trace=("too many questions to the DNS",))
        if answer.failed:
            return Refuse(480, trace=("nobody knows the number now",))
        text = address_of_number(self._number, answer.naptr, secure=self._secure)
        try:
            return parse_uri(text) if text else self.otherwise
        except MalformedMessage:
            return self.otherwise
