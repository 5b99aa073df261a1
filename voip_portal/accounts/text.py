"""Names that people read: of persons, devices, lines. What cannot be seen cannot be in them.

An invisible character makes two names look the same, and one that turns the direction of writing makes
a name, and what stands after it on a page, read as something else.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Categories: controls, formats (bidi, zero width), private, halves, line ends. Not unassigned: those are next year's emoji."""
_BLANK: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
)
"""Letters, marks and symbols that show nothing."""
_NON_JOINER, _JOINER = "\u200c", "\u200d"
_VIRAMA: Final = 9


def composed(text: str) -> str:
    """A text as it is kept: letters whole, not in parts, so that equal names are equal (NFC)."""
    return unicodedata.normalize("NFC", text)


_WITHOUT_MARK: Final = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe"})
"""Letters that Unicode does not take apart."""


def folded(text: str) -> str:
    """How a name is searched: without capital letters and accents, so that o finds ö, and e finds é."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))
    return composed(bare.translate(_WITHOUT_MARK))


class NameField(forms.CharField):
    """A name in a form; it may be as long as what is kept."""

    def to_python(self, value: Any) -> str:
        return composed(super().to_python(value))


def visible(value: str) -> None:
    """Validator: refuse a text with characters that cannot be seen, and say where."""
    for at, character in enumerate(value):
        unseen = unicodedata.category(character) in _UNSEEN or character in _BLANK
        if unseen and not _is_spelling(value, at):
            raise ValidationError(
                _("There is an invisible character (%(code)s) %(where)s. Type it again without."),
                code="invisible",
                params={"code": f"U+{ord(character):04X}", "where": _place(value[:at])},
            )


def _place(before: str) -> object:
    shown = before[-20:].strip()
    return _("after “%(text)s”") % {"text": shown} if shown else _("at the beginning")


def _is_spelling(text: str, at: int) -> bool:
    """Whether a joiner is where a script or an emoji needs one (as RFC 5892 A.1 and A.2 say)."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if text[at] not in (_NON_JOINER, _JOINER) or not before or not after:
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if text[at] == _NON_JOINER:
        return all(unicodedata.name(c, "").startswith("ARABIC LETTER") for c in (before, after))
    return unicodedata.category(after) == "So" and (
        before == "\ufe0f" or unicodedata.category(before) in ("So", "Sk")
    )
