"""What requests and responses have in common: header rows, and typed values on first use.

Typed values are kept once read, and forgotten when a row of their name changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from sipcore.errors import MalformedMessage
from sipcore.message.grammar import BLANKS, parse_uint, split_top
from sipcore.message.headers import NameAddr, Via, parse_name_addr, parse_via
from sipcore.message.rows import Rows

MAX_CSEQ: Final = 0xFFFF_FFFF


class Message(Rows):
    """What requests and responses have in common."""

    __slots__ = (
        "_call_id",
        "_contacts",
        "_cseq_method",
        "_cseq_number",
        "_from",
        "_routes",
        "_to",
        "_via",
    )

    def __init__(
        self,
        keys: list[str],
        lines: list[str],
        body: bytes = b"",
        tops: dict[str, str] | None = None,
    ) -> None:
        self.keys = keys
        self.lines = lines
        self.body = body
        self._tops = tops
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._call_id: str | None = None
        self._cseq_number: int | None = None
        self._cseq_method: str | None = None
        self._contacts: list[NameAddr] | None = None
        self._routes: list[NameAddr] | None = None

    # --- the topmost Via ---------------------------------------------------------------------
    def pop_via(self, next_value: str = "") -> bool:
        """Take out the topmost Via, of a response ours, and have the next one read `next_value`.

        Without that, the next one stays as it is. Returns whether there is a next one.
        """
        keys, lines = self.keys, self.lines
        index = keys.index("via") if "via" in keys else len(keys)
        if index + 1 < len(keys) and keys[index + 1] == "via" and "," not in lines[index]:
            line = lines[index + 1]
            if not next_value or "," not in line:  # as nearly always
                if next_value:
                    line = f"Via: {next_value}"
                del keys[index]
                del lines[index]
                lines[index] = line
                self._via = None
                if self._tops is not None:
                    self._tops["via"] = line
                return True
        self.pop("Via")
        if not self.has("via"):
            return False
        if next_value:
            self.replace_top("Via", next_value)
        return True

    def stamp_only_via(self, row: str) -> None:
        """As `stamp_via`, where the first Via row holds one value."""
        line = f"Via: {row}"
        self.lines[self.keys.index("via")] = line
        if self._tops is not None:
            self._tops["via"] = line

    def stamp_via(self, value: str, via: Via) -> None:
        """Replace the topmost Via by this value, already parsed as `via`."""
        self.replace_top("Via", value)
        self._via = via

    def _forget(self, key: str) -> None:
        if key == "via":  # of every message that passes
            self._via = None
            return
        for slot in _READ_FROM[key]:
            setattr(self, slot, None)

    # --- typed values ------------------------------------------------------------------------
    @property
    def via(self) -> Via:
        """The topmost Via."""
        via = self._via
        if via is None:
            row = self._value("via")
            if "," in row:  # one without anything before its first comma is refused by `strict`
                row = next((piece for piece in split_top(row, ",", "via") if piece), "")
            via = self._via = parse_via(row)
        return via

    @property
    def branch(self) -> str:
        """The branch of the topmost Via, "" when it has none."""
        if self._via is None:
            # Of a response, which has our own Via on top, nothing else is ever read.
            row = (self._tops or self._index()).get("via", "")
            if "," in row:
                row = row.partition(",")[0]
            _, found, rest = row.partition(";branch=")
            branch = rest.partition(";")[0]
            if found and '"' not in row and " " not in branch and "\t" not in branch:
                return branch
        return self.via.branch

    @property
    def from_(self) -> NameAddr:
        """The From. A display name that lacks its quotes has them in the row from now on."""
        found = self._from
        if found is None:
            found = parse_name_addr(self._value("from"), "from")
            if found.needs_quotes:
                self.set("From", str(found))
            self._from = found
        return found

    @property
    def to(self) -> NameAddr:
        """The To; see `from_`."""
        found = self._to
        if found is None:
            found = parse_name_addr(self._value("to"), "to")
            if found.needs_quotes:
                self.set("To", str(found))
            self._to = found
        return found

    @property
    def from_tag(self) -> str:
        """The From tag, "" when there is none."""
        return (self._from or self.from_).tag

    @property
    def to_tag(self) -> str:
        """The To tag, "" when there is none."""
        return (self._to or self.to).tag

    @property
    def call_id(self) -> str:
        found = self._call_id
        if found is None:
            found = self._call_id = self.first("call-id") or ""
        return found

    def read_call_id(self, row: str) -> str:
        """Take the Call-ID from its row."""
        found = self._call_id = row[row.find(":") + 1 :].strip(BLANKS)
        return found

    @property
    def cseq_number(self) -> int:
        found = self._cseq_number
        return self._read_number() if found is None else found

    def _read_number(self) -> int:
        self.read_cseq(self._value("cseq"))
        return cast("int", self._cseq_number)

    @property
    def cseq_method(self) -> str:
        found = self._cseq_method
        return self.read_cseq(self._value("cseq")) if found is None else found

    def read_cseq(self, value: str) -> str:
        """Take number and method from a CSeq value; the method is returned."""
        text, blank, method = value.strip(BLANKS).partition(" ")
        if not blank or method[:1] == " " or "\t" in value:
            text, method = _words(value)
        if len(text) < 10 and text.isascii() and text.isdigit():
            self._cseq_number = int(text)
        else:
            self._cseq_number = parse_uint(text, "cseq", MAX_CSEQ)
        self._cseq_method = method
        return method

    @property
    def max_forwards(self) -> int | None:
        """None when absent, or beyond 255 (RFC 4475 §3.1.2.4: not wrapped, not trusted)."""
        row = self.first("max-forwards")
        if row is None:
            return None
        if len(row) < 3 and row.isascii() and row.isdigit():
            return int(row)
        value = parse_uint(row, "max-forwards", 1 << 63)
        return value if value <= 255 else None

    @property
    def expires(self) -> int | None:
        """Seconds; None when absent or not a number of 32 bits (§20.19, RFC 4475 §3.1.2.4)."""
        row = self.first("expires")
        if row is None:
            return None
        try:
            return parse_uint(row, "expires")
        except MalformedMessage:
            return None

    @property
    def contacts(self) -> list[NameAddr]:
        """Contact values; none of them is `*`, which is for REGISTER alone (§20.10)."""
        found = self._contacts
        if found is None:
            values = self.values("contact")
            if len(values) > 1 or (values and values[0][:1] == "*" and has_star(values)):
                if has_star(values) and self.cseq_method != "REGISTER":
                    raise MalformedMessage("* is for REGISTER", header="contact")
                values = [v for v in values if not has_star((v,))]
            found = [parse_name_addr(v, "contact") for v in values]
            self._contacts = found
        return found

    @property
    def contact_is_star(self) -> bool:
        """Whether a Contact value is `*` (§10.2.2)."""
        return has_star(self.values("contact"))

    @property
    def routes(self) -> list[NameAddr]:
        found = self._routes
        if found is None:
            found = self._routes = [parse_name_addr(v, "route") for v in self.values("route")]
        return found

    @property
    def record_routes(self) -> list[str]:
        return self.values("record-route")

    @property
    def require(self) -> list[str]:
        return self._tags("require")

    @property
    def proxy_require(self) -> list[str]:
        return self._tags("proxy-require")

    @property
    def supported(self) -> list[str]:
        return self._tags("supported")

    def _tags(self, key: str) -> list[str]:
        if not self.has(key):
            return []
        return [tag.lower() for tag in self.values(key)]

    @property
    def content_type(self) -> str | None:
        return self.first("content-type")

    def _copy_values(self, other: Message) -> None:
        """Spare a copy of the same rows from reading them again."""
        other._tops = None if self._tops is None else self._tops.copy()
        other._via = self._via
        other._from = self._from
        other._to = self._to
        other._call_id = self._call_id
        other._cseq_number = self._cseq_number
        other._cseq_method = self._cseq_method
        other._contacts = self._contacts
        other._routes = self._routes


def has_star(values: Sequence[str]) -> bool:
    """Whether one of these Contact values is `*`, with parameters or without."""
    return any(v[:1] == "*" and v[1:].lstrip(BLANKS)[:1] in ("", ";") for v in values)


def _words(value: str) -> tuple[str, str]:
    """The two words of a CSeq, however many blanks are between them."""
    words = [word for word in value.replace("\t", " ").split(" ") if word]
    if len(words) != 2:
        raise MalformedMessage("not a number and a method", header="cseq")
    return words[0], words[1]


_READ_FROM: Final[dict[str, tuple[str, ...]]] = {
    "via": ("_via",),
    "from": ("_from",),
    "to": ("_to",),
    "call-id": ("_call_id",),
    "cseq": ("_cseq_number", "_cseq_method"),
    "contact": ("_contacts",),
    "route": ("_routes",),
}
"""Which values are read from the rows of a name, and forgotten with them."""
