import pytest
from django.core.exceptions import ValidationError

from voip_portal.accounts.text import visible


@pytest.mark.parametrize(
    "text",
    [
        "Anna Berg",
        "Åsa Öberg-D'Arcy",
        "Мария",
        "山田 太郎",
        "Jose\u0301",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian needs the non-joiner
        "\u0915\u094d\u200d\u0937",  # and Hindi the joiner, after a virama
        "👩\u200d💻 laptop",
        "❤\ufe0f\u200d🔥",
        "\U0001fae9",  # unknown to older tables of Unicode
        "",
    ],
)
def test_names_of_the_world_pass(text: str) -> None:
    visible(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Anna\u200bBerg", "U+200B"),
        ("Anna\u202egreB", "U+202E"),
        ("\u2066Anna\u2069", "U+2066"),
        ("\ufeffAnna", "U+FEFF"),
        ("An\u00adna", "U+00AD"),
        ("Anna\tBerg", "U+0009"),
        ("Anna\x07", "U+0007"),
        ("Anna\u2028Berg", "U+2028"),
        ("Anna\U000e0041", "U+E0041"),
        ("Anna\ue000", "U+E000"),
        ("\u3164", "U+3164"),
        ("Anna\u2800", "U+2800"),
        ("Anna\u200d", "U+200D"),
        ("An\u200cna", "U+200C"),
        ("\u0410n\u200dna", "U+200D"),
    ],
)
def test_what_cannot_be_seen_is_refused_by_its_code(text: str, code: str) -> None:
    with pytest.raises(ValidationError, match=code.replace("+", r"\+")):
        visible(text)


def test_the_place_is_told() -> None:
    with pytest.raises(ValidationError, match="after “Anna”"):
        visible("Anna\u200bBerg")
    with pytest.raises(ValidationError, match="at the beginning"):
        visible("\u200bAnna")
