"""Messages: raw header rows, typed values on first use, edits that leave other rows alone.

A message is two parallel lists: `keys` (lower-case long names) and `lines` (whole rows as received,
unfolded). The header block is decoded once, as UTF-8 with surrogateescape, so any byte comes out
again as it went in. Typed values are kept once read, and forgotten when a row of their name changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from sipcore.errors import LocalProtocolError, MalformedMessage
from sipcore.message.grammar import BLANKS, parse_uint, split_top
from sipcore.message.headers import NameAddr, Via, parse_name_addr, parse_via
from sipcore.message.names import UNSPLIT, canonical

MAX_CSEQ: Final = 0xFFFF_FFFF


class Message:
    """What requests and responses have in common."""

    __slots__ = (
        "_call_id",
        "_contacts",
        "_cseq_method",
        "_cseq_number",
        "_from",
        "_routes",
        "_to",
        "_tops",
        "_via",
        "body",
        "keys",
        "lines",
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
        """The first row of each name; None until it is asked for."""
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._call_id: str | None = None
        self._cseq_number: int | None = None
        self._cseq_method: str | None = None
        self._contacts: list[NameAddr] | None = None
        self._routes: list[NameAddr] | None = None

    # --- raw values --------------------------------------------------------------------------
    def _index(self) -> dict[str, str]:
        tops: dict[str, str] = {}
        for key, line in zip(self.keys, self.lines, strict=True):
            tops.setdefault(key, line)
        self._tops = tops
        return tops

    def has(self, key: str) -> bool:
        """Whether there is a row of this name (lower-case, long)."""
        tops = self._tops
        return key in (self._index() if tops is None else tops)

    def first(self, key: str) -> str | None:
        """The value of the first row of this name (lower-case, long), or None."""
        tops = self._tops
        line = (self._index() if tops is None else tops).get(key)
        return None if line is None else line[line.find(":") + 1 :].strip(BLANKS)

    def first_row(self, key: str) -> str:
        """The whole first row of this name as it came, or ""."""
        tops = self._tops
        return (self._index() if tops is None else tops).get(key, "")

    def is_named(self, call_id_row: str, from_row: str) -> bool:
        """Whether its Call-ID and From are these rows, to the byte."""
        tops = self._tops
        if tops is None:
            tops = self._index()
        return tops.get("call-id") == call_id_row and tops.get("from") == from_row

    def _value(self, key: str) -> str:
        """As `first`, for a header that must be there."""
        value = self.first(key)
        if value is None:
            raise MalformedMessage("missing", header=key)
        return value

    def rows(self, key: str) -> list[str]:
        """The values of all rows of this name."""
        keys, tops = self.keys, self._tops
        if tops is not None:
            top = tops.get(key)
            if top is None:
                return []
            if len(tops) == len(keys):  # no name stands twice
                return [top[top.find(":") + 1 :].strip(BLANKS)]
        count = keys.count(key)
        if count == 0:
            return []
        if count == 1:
            return [self.lines[keys.index(key)].partition(":")[2].strip(BLANKS)]
        return [
            line.partition(":")[2].strip(BLANKS)
            for k, line in zip(keys, self.lines, strict=True)
            if k == key
        ]

    def values(self, key: str) -> list[str]:
        """All values of a list header in order, comma-joined rows split."""
        rows = self.rows(key)
        if key in UNSPLIT:
            return rows
        out: list[str] = []
        for row in rows:
            if "," in row:
                out += [piece for piece in split_top(row, ",", key) if piece]
            elif row:
                out.append(row)
        return out

    # --- edits -------------------------------------------------------------------------------
    def push(self, name: str, value: str) -> None:
        """Put a row in front of the others of its name, or on top when there is none."""
        key = canonical(name)
        keys = self.keys
        index = keys.index(key) if key in keys else 0
        line = f"{name}: {value}"
        keys.insert(index, key)
        self.lines.insert(index, line)
        if self._tops is not None:
            self._tops[key] = line
        if key in _READ_FROM:
            self._forget(key)

    def append(self, name: str, value: str) -> None:
        """Put a row at the end."""
        key = canonical(name)
        line = f"{name}: {value}"
        self.keys.append(key)
        self.lines.append(line)
        if self._tops is not None:
            self._tops.setdefault(key, line)
        if key in _READ_FROM:
            self._forget(key)

    def set(self, name: str, value: str) -> None:
        """Have exactly one row of this name: in place of the first, or at the end."""
        key = canonical(name)
        keys = self.keys
        count = keys.count(key)
        if count == 0:
            self.append(name, value)
            return
        first = keys.index(key)
        line = f"{name}: {value}"
        self.lines[first] = line
        if count > 1:
            keep = [i for i, k in enumerate(keys) if k != key or i == first]
            self.lines = [self.lines[i] for i in keep]
            self.keys = [keys[i] for i in keep]
        if self._tops is not None:
            self._tops[key] = line
        if key in _READ_FROM:
            self._forget(key)

    def remove(self, name: str) -> None:
        """Take out all rows of this name."""
        key = canonical(name)
        keys = self.keys
        count = keys.count(key)
        if count == 1:
            index = keys.index(key)
            del keys[index]
            del self.lines[index]
            self._changed(key)
        elif count:
            keep = [i for i, k in enumerate(keys) if k != key]
            self.lines = [self.lines[i] for i in keep]
            self.keys = [keys[i] for i in keep]
            self._changed(key)

    def pop(self, name: str) -> str | None:
        """Take out the first value of this name and return it."""
        key = canonical(name)
        if key not in self.keys:
            return None
        index = self.keys.index(key)
        line = self.lines[index]
        row = line[line.index(":") + 1 :].strip(BLANKS)
        if "," in row and key not in UNSPLIT:
            first, rest = _cut_first(row, key)
            if rest:
                self.lines[index] = f"{line[: line.index(':')]}: {rest}"
                self._changed(key)
                return first
            row = first
        del self.keys[index]
        del self.lines[index]
        self._changed(key)
        return row

    def replace_top(self, name: str, value: str) -> None:
        """Replace the first value of this name; put it on top when there is none."""
        key = canonical(name)
        if key not in self.keys:
            self.push(name, value)
            return
        index = self.keys.index(key)
        line = self.lines[index]
        if "," in line and key not in UNSPLIT:
            row = line[line.index(":") + 1 :]
            rest = [piece for piece in split_top(row, ",", key) if piece][1:]
            value = ", ".join([value, *rest])
        line = self.lines[index] = f"{name}: {value}"
        if self._tops is not None:
            self._tops[key] = line
        if key in _READ_FROM:
            self._forget(key)

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

    def _changed(self, key: str) -> None:
        """Rows of this name are others now."""
        tops = self._tops
        if tops is not None:
            if key in self.keys:
                tops[key] = self.lines[self.keys.index(key)]
            else:
                tops.pop(key, None)
        if key in _READ_FROM:
            self._forget(key)

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

    # --- printing ----------------------------------------------------------------------------
    @property
    def start_line(self) -> str:
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """The message on the wire; rows are not re-printed. Adds Content-Length when absent.

        A line break inside a row would be a row of somebody else's making: received rows have none,
        so one that is found here is our own mistake.
        """
        lines, tops = self.lines, self._tops
        if "content-length" not in (self.keys if tops is None else tops):
            lines = [*lines, f"Content-Length: {len(self.body)}"]
        start = self.start_line
        rows = "".join(lines)
        if "\n" in rows or "\r" in rows or "\n" in start or "\r" in start:
            raise LocalProtocolError("line break inside a header row")
        head = "\r\n".join((start, *lines, "\r\n"))
        return head.encode("utf-8", "surrogateescape") + self.body

    def shed(self) -> None:
        """Let go of the body, and of what is found again when it is asked for."""
        self.body = b""
        self._tops = None

    def shed_rows(self) -> None:
        """Let go of the body, and of all rows but those that make a dialog."""
        keep = [i for i, key in enumerate(self.keys) if key in _OF_A_DIALOG]
        self.keys = [self.keys[i] for i in keep]
        self.lines = [self.lines[i] for i in keep]
        self.shed()

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


def _cut_first(row: str, key: str) -> tuple[str, str]:
    """The first value of a row and the others, "" when there are none."""
    first, _, rest = row.partition(",")
    if '"' not in first and "<" not in first:
        first, rest = first.strip(BLANKS), rest.strip(BLANKS)
        if first and rest:
            return first, rest
    pieces = [piece for piece in split_top(row, ",", key) if piece]
    return (pieces[0], ", ".join(pieces[1:])) if pieces else ("", "")


_OF_A_DIALOG: Final = frozenset(
    ("via", "from", "to", "call-id", "cseq", "contact", "record-route", "route")
)
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
