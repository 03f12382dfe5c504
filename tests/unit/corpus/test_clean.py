"""Cleaning: one line, NFC, single blanks, nothing invisible but the joiners."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.corpus import clean
from detente.corpus.clean import Head, clean_record, cut_long


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("  two \t blanks\r\n", "two blanks"),
        ("no\u00a0break\u2028line\u2029paragraph\x85next\x1ffield", "no break line paragraph next field"),
        ("\ufeffmark and nul\x00 and bell\x07", "mark and nul and bell"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
        ("e\u00ad\u0301", "\u00e9"),
        ("\u202bright\u202c to \u200fleft", "right to left"),
        ("a\u200db\u200c", "a\u200db\u200c"),
        ("half \ud83d of a pair", "half of a pair"),
        ("\x00 \u2003\u200e", ""),
        ("", ""),
    ],
)
def test_pinned(raw: str, cleaned: str) -> None:
    assert clean_record(raw) == cleaned


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean_record(text)
    assert clean_record(once) == once


@given(st.text(st.characters()))
def test_one_line_of_normal_utf8(text: str) -> None:
    line = clean_record(text)
    assert len(line.splitlines()) <= 1
    assert unicodedata.is_normalized("NFC", line)
    assert "  " not in line and line == line.strip()
    assert not {"\x00", "\r", "\ufeff"} & set(line)
    assert line.encode().decode() == line


@pytest.fixture(name="limit_of_ten")
def _limit_of_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "MAX_RECORD_CHARACTERS", 10)


def test_long_records_are_cut_at_blanks(limit_of_ten: None) -> None:
    pieces = list(cut_long("one two three four"))
    assert [clean_record(piece) for piece in pieces] == ["one two", "three four"]
    assert [isinstance(piece, Head) for piece in pieces] == [True, False]


def test_without_blanks_they_are_cut_all_the_same(limit_of_ten: None) -> None:
    assert list(cut_long("x" * 25)) == ["x" * 10, "x" * 10, "x" * 5]


def test_cutting_loses_nothing(limit_of_ten: None) -> None:
    text = " lead  and   many      blanks             then averyveryverylongword end "
    pieces = list(cut_long(text))
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 10
