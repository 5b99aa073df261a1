"""Header rows: the values as they stand, edits that leave other rows alone, and the message printed.

A message is two parallel lists: `keys` (lower-case long names) and `lines` (whole rows as received,
unfolded). The header block is decoded once, as UTF-8 with surrogateescape, so any byte comes out
again as it went in.
"""

from __future__ import annotations

from typing import Final

from sipcore.errors import LocalProtocolError, MalformedMessage
from sipcore.message.grammar import BLANKS, split_top
from sipcore.message.names import UNSPLIT, canonical


class Rows:
    """The header of a message and its body."""

    __slots__ = ("_tops", "body", "keys", "lines")

    keys: list[str]
    lines: list[str]
    body: bytes
    _tops: dict[str, str] | None
    """The first row of each name; None until it is asked for."""

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
        if key in READ_VALUES:
            self._forget(key)

    def append(self, name: str, value: str) -> None:
        """Put a row at the end."""
        key = canonical(name)
        line = f"{name}: {value}"
        self.keys.append(key)
        self.lines.append(line)
        if self._tops is not None:
            self._tops.setdefault(key, line)
        if key in READ_VALUES:
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
        if key in READ_VALUES:
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
        if key in READ_VALUES:
            self._forget(key)

    def _changed(self, key: str) -> None:
        """Rows of this name are others now."""
        tops = self._tops
        if tops is not None:
            if key in self.keys:
                tops[key] = self.lines[self.keys.index(key)]
            else:
                tops.pop(key, None)
        if key in READ_VALUES:
            self._forget(key)

    def _forget(self, key: str) -> None:
        """Values were read from rows of this name, one of `READ_VALUES`, which are others now."""
        raise NotImplementedError

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
READ_VALUES: Final = frozenset(("via", "from", "to", "call-id", "cseq", "contact", "route"))
"""Names of rows whose values a message keeps once they are read."""
