"""One table of languages, and the script of a character."""

import pytest

from detente.errors import ConfigError
from detente.languages import LANGUAGES, find_language, script_of, scripts_within

XLM_R = [
    "af",
    "am",
    "ar",
    "as",
    "az",
    "be",
    "bg",
    "bn",
    "bn_rom",
    "br",
    "bs",
    "ca",
    "cs",
    "cy",
    "da",
    "de",
    "el",
    "en",
    "eo",
    "es",
    "et",
    "eu",
    "fa",
    "fi",
    "fr",
    "fy",
    "ga",
    "gd",
    "gl",
    "gu",
    "ha",
    "he",
    "hi",
    "hi_rom",
    "hr",
    "hu",
    "hy",
    "id",
    "is",
    "it",
    "ja",
    "jv",
    "ka",
    "kk",
    "km",
    "kn",
    "ko",
    "ku",
    "ky",
    "la",
    "lo",
    "lt",
    "lv",
    "mg",
    "mk",
    "ml",
    "mn",
    "mr",
    "ms",
    "my",
    "my_zaw",
    "ne",
    "nl",
    "no",
    "om",
    "or",
    "pa",
    "pl",
    "ps",
    "pt",
    "ro",
    "ru",
    "sa",
    "sd",
    "si",
    "sk",
    "sl",
    "so",
    "sq",
    "sr",
    "su",
    "sv",
    "sw",
    "ta",
    "ta_rom",
    "te",
    "te_rom",
    "th",
    "tl",
    "tr",
    "ug",
    "uk",
    "ur",
    "ur_rom",
    "uz",
    "vi",
    "xh",
    "yi",
    "zh_Hans",
    "zh_Hant",
]


@pytest.mark.parametrize("code", XLM_R)
def test_has_the_languages_of_xlm_r(code: str) -> None:
    assert find_language(code).name


def test_no_code_or_alias_means_two_languages() -> None:
    codes = [code for entry in LANGUAGES.values() for code in (entry.code, *entry.aliases)]
    assert len(codes) == len(set(codes))
    assert len({entry.name for entry in LANGUAGES.values()}) == len(LANGUAGES) > 110


def test_entries_are_well_formed() -> None:
    for code, entry in LANGUAGES.items():
        assert entry.code == code == code.lower()
        assert entry.script.isalpha() and entry.script.istitle() and len(entry.script) == 4
        assert entry.family
        assert entry.direction == ("rtl" if entry.script in {"Arab", "Hebr", "Thaa"} else "ltr")


@pytest.mark.parametrize("code", ["sw", "SW", "swa", "swh", " Swh "])
def test_found_by_code_alias_and_any_case(code: str) -> None:
    assert find_language(code).name == "Swahili"


def test_underscore_is_hyphen() -> None:
    assert find_language("zh_TW").script == "Hant"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [("xy", ""), ("swahil", " Did you mean `sw` (Swahili)?"), ("English", " Did you mean `en` (English)?")],
)
def test_unknown_code_says_what_to_do(wrong: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_language(wrong)
    expected = f"`{wrong}` is not a language code we know.{hint} Give `name` and `script` to use it all the same."
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("a\u00e9\uff21\u1e02", "Latn"),
        ("\u0416\u0451", "Cyrl"),
        ("\u0639\u067e", "Arab"),
        ("\u05e9", "Hebr"),
        ("\u0939\u093f", "Deva"),
        ("\u0c24", "Telu"),
        ("\u0c95", "Knda"),
        ("\u10d0\u1c90", "Geor"),
        ("\u13a0\uab70", "Cher"),
        ("\u0531", "Armn"),
        ("\u03b1", "Grek"),
        ("\u30a2\uff71", "Kana"),
        ("\u3042", "Hira"),
        ("\u4f60", "Hani"),
        ("\uac00", "Hang"),
        ("\u1233", "Ethi"),
        ("\u0e01", "Thai"),
    ],
)
def test_script_of_letters(text: str, script: str) -> None:
    assert {script_of(character) for character in text} == {script}


@pytest.mark.parametrize("character", [" ", "1", "\u0661", ".", "\U0001f600", "\u0301", "\x00", "\ue000", "\u30fc"])
def test_common_characters_have_no_script(character: str) -> None:
    assert script_of(character) is None


def test_a_language_may_be_written_in_several_scripts() -> None:
    assert set(scripts_within(find_language("ja").script)) == {"Hira", "Kana", "Hani"}
    assert scripts_within("Latn") == ("Latn",)


def test_every_script_of_the_table_has_letters() -> None:
    """Else every corpus of such a language would be called mistaken."""
    every_character = [chr(point) for point in range(0x20000)]
    known = {script_of(character) for character in every_character}
    assert {script for entry in LANGUAGES.values() for script in scripts_within(entry.script)} <= known
