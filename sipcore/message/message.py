"""Messages: raw header rows, typed values on first use, edits that leave other rows alone.

A message is two parallel lists: `keys` (lower-case long names) and `lines` (whole rows as received,
unfolded). The header block is decoded once, as UTF-8 with surrogateescape, so any byte comes out
again as it went in. Typed values are kept once read, and forgotten when a row of their name changes.
"""

from __future__ import annotations

from typing import cast

from sipcore.errors import LocalProtocolError, MalformedMessage
from sipcore.message.grammar import parse_uint, split_top
from sipcore.message.headers import NameAddr, Via, parse_name_addr, parse_via
from sipcore.message.names import UNSPLIT, canonical

MAX_CSEQ = 0xFFFF_FFFF


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
        "_via",
        "body",
        "keys",
        "lines",
    )

    def __init__(self, keys: list[str], lines: list[str], body: bytes = b"") -> None:
        self.keys = keys
        self.lines = lines
        self.body = body
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._call_id: str | None = None
        self._cseq_number: int | None = None
        self._cseq_method: str | None = None
        self._contacts: list[NameAddr] | None = None
        self._routes: list[NameAddr] | None = None

    # --- raw values --------------------------------------------------------------------------
    def first(self, key: str) -> str | None:
        """The value of the first row of this name (lower-case, long), or None."""
        if key not in self.keys:
            return None
        return self.lines[self.keys.index(key)].partition(":")[2].strip()

    def _value(self, key: str) -> str:
        """As `first`, for a header that must be there."""
        try:
            return self.lines[self.keys.index(key)].partition(":")[2].strip()
        except ValueError:
            raise MalformedMessage("missing", header=key) from None

    def rows(self, key: str) -> list[str]:
        """The values of all rows of this name."""
        keys = self.keys
        count = keys.count(key)
        if count == 0:
            return []
        if count == 1:
            return [self.lines[keys.index(key)].partition(":")[2].strip()]
        return [
            line.partition(":")[2].strip()
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
        key = canonical[name]
        index = self.keys.index(key) if key in self.keys else 0
        self.keys.insert(index, key)
        self.lines.insert(index, f"{name}: {value}")
        self._forget(key)

    def append(self, name: str, value: str) -> None:
        """Put a row at the end."""
        key = canonical[name]
        self.keys.append(key)
        self.lines.append(f"{name}: {value}")
        self._forget(key)

    def set(self, name: str, value: str) -> None:
        """Have exactly one row of this name: in place of the first, or at the end."""
        key = canonical[name]
        count = self.keys.count(key)
        if count == 0:
            self.append(name, value)
            return
        self.lines[self.keys.index(key)] = f"{name}: {value}"
        if count > 1:
            first = self.keys.index(key)
            keep = [i for i, k in enumerate(self.keys) if k != key or i == first]
            self.lines = [self.lines[i] for i in keep]
            self.keys = [self.keys[i] for i in keep]
        self._forget(key)

    def remove(self, name: str) -> None:
        """Take out all rows of this name."""
        key = canonical[name]
        if key in self.keys:
            keep = [i for i, k in enumerate(self.keys) if k != key]
            self.lines = [self.lines[i] for i in keep]
            self.keys = [self.keys[i] for i in keep]
            self._forget(key)

    def pop(self, name: str) -> str | None:
        """Take out the first value of this name and return it."""
        key = canonical[name]
        if key not in self.keys:
            return None
        index = self.keys.index(key)
        line = self.lines[index]
        row = line[line.index(":") + 1 :].strip()
        self._forget(key)
        if "," in row and key not in UNSPLIT:
            pieces = [piece for piece in split_top(row, ",", key) if piece]
            if len(pieces) > 1:
                self.lines[index] = f"{line[: line.index(':')]}: {', '.join(pieces[1:])}"
                return pieces[0]
            row = pieces[0] if pieces else ""
        del self.keys[index]
        del self.lines[index]
        return row

    def replace_top(self, name: str, value: str) -> None:
        """Replace the first value of this name; put it on top when there is none."""
        key = canonical[name]
        if key not in self.keys:
            self.push(name, value)
            return
        index = self.keys.index(key)
        line = self.lines[index]
        row = line[line.index(":") + 1 :]
        if "," in row and key not in UNSPLIT:
            rest = [piece for piece in split_top(row, ",", key) if piece][1:]
            value = ", ".join([value, *rest])
        self.lines[index] = f"{name}: {value}"
        self._forget(key)

    def stamp_only_via(self, row: str, via: Via) -> None:
        """As `stamp_via`, where the first Via row holds one value."""
        self.lines[self.keys.index("via")] = f"Via: {row}"
        self._via = via

    def stamp_via(self, value: str, via: Via) -> None:
        """Replace the topmost Via by this value, already parsed as `via`."""
        self.replace_top("Via", value)
        self._via = via

    def _forget(self, key: str) -> None:
        for slot in _READ_FROM.get(key, ()):
            setattr(self, slot, None)

    # --- typed values ------------------------------------------------------------------------
    @property
    def via(self) -> Via:
        """The topmost Via."""
        via = self._via
        if via is None:
            row = self._value("via")
            if "," in row:
                row = split_top(row, ",", "via")[0]
            via = self._via = parse_via(row)
        return via

    @property
    def branch(self) -> str:
        """The branch of the topmost Via, "" when it has none."""
        return (self._via or self.via).branch

    @property
    def from_(self) -> NameAddr:
        found = self._from
        if found is None:
            found = self._from = parse_name_addr(self._value("from"), "from")
        return found

    @property
    def to(self) -> NameAddr:
        found = self._to
        if found is None:
            found = self._to = parse_name_addr(self._value("to"), "to")
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

    @property
    def cseq_number(self) -> int:
        if self._cseq_number is None:
            self.read_cseq(f":{self._value('cseq')}")
        return cast("int", self._cseq_number)

    @property
    def cseq_method(self) -> str:
        found = self._cseq_method
        return self.read_cseq(f":{self._value('cseq')}") if found is None else found

    def read_cseq(self, row: str) -> str:
        """Take number and method from a whole CSeq row, whose method is returned."""
        words = row.partition(":")[2].split()
        if len(words) != 2:
            raise MalformedMessage("not a number and a method", header="cseq")
        text, method = words
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
        """Contact values; none of them is `*`."""
        found = self._contacts
        if found is None:
            values = self.values("contact")
            found = [parse_name_addr(v, "contact") for v in values if v != "*"]
            self._contacts = found
        return found

    @property
    def contact_is_star(self) -> bool:
        """Whether a Contact value is `*` (§10.2.2)."""
        return "*" in self.values("contact")

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
        if key not in self.keys:
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
        lines = self.lines
        if "content-length" not in self.keys:
            lines = [*lines, f"Content-Length: {len(self.body)}"]
        start = self.start_line
        rows = "".join(lines)
        if "\n" in rows or "\r" in rows or "\n" in start or "\r" in start:
            raise LocalProtocolError("line break inside a header row")
        head = "\r\n".join((start, *lines, "\r\n"))
        return head.encode("utf-8", "surrogateescape") + self.body

    def _copy_into(self, other: Message) -> None:
        other.keys = self.keys.copy()
        other.lines = self.lines.copy()
        other.body = self.body
        other._via = self._via
        other._from = self._from
        other._to = self._to
        other._call_id = self._call_id
        other._cseq_number = self._cseq_number
        other._cseq_method = self._cseq_method
        other._contacts = self._contacts
        other._routes = self._routes


_READ_FROM: dict[str, tuple[str, ...]] = {
    "via": ("_via",),
    "from": ("_from",),
    "to": ("_to",),
    "call-id": ("_call_id",),
    "cseq": ("_cseq_number", "_cseq_method"),
    "contact": ("_contacts",),
    "route": ("_routes",),
}
"""Which values are read from the rows of a name, and forgotten with them."""
