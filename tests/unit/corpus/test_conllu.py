"""CoNLL-U treebanks as text."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detente.errors import DataError

Read = Callable[..., list[str]]


def word(number: str, form: str, misc: str = "_") -> str:
    return "\t".join([number, form, *["_"] * 7, misc])


def write(folder: Path, *lines: str) -> Path:
    path = folder / "a.conllu"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_text_comment_wins(tmp_path: Path, read: Read) -> None:
    path = write(tmp_path, "# sent_id = 1", "# text = As it was written .", "# text_en = no", word("1", "other"), "")
    assert [text.strip() for text in read(path)] == ["As it was written ."]


def test_surface_forms(tmp_path: Path, read: Read) -> None:
    path = write(
        tmp_path,
        "# sent_id = 1",
        word("1", "Il"),
        word("2", "a"),
        word("3", "10 000"),
        word("4", "francs"),
        word("5-6", "du", "Gloss=x|SpaceAfter=No"),
        word("5", "de"),
        word("6", "le", "SpaceAfter=No"),
        word("6.1", "absent"),
        word("7", "!", "SpaceAfter=No"),
        "",
        "",
        "# newdoc",
        word("1", "Fin"),
        word("2", "."),
    )
    assert [text.strip() for text in read(path)] == ["Il a 10 000 francs du!", "Fin ."]


@pytest.mark.parametrize(
    "line", ["plain words here", "1\tform\tlemma", word("x", "form"), word("1-", "form"), word("1", "form") + "\tmore"]
)
def test_bad_lines(tmp_path: Path, read: Read, line: str) -> None:
    path = write(tmp_path, "# c", word("1", "fine"), line, "")
    with pytest.raises(
        DataError, match=r"a\.conllu, line 3: a CoNLL-U word has 10 columns parted by tabs, a number first"
    ):
        read(path)


def test_comments_alone_are_no_sentence(tmp_path: Path, read: Read) -> None:
    assert read(write(tmp_path, "# global.columns = ID FORM", "", "# c", word("1", "a"), "")) == ["a "]


@pytest.mark.parametrize("treebank", ["UD_French-Sequoia", "UD_English-EWT", "UD_Russian-PUD", "UD_Marathi-UFAL"])
def test_surface_forms_spell_the_text_of_real_treebanks(
    tmp_path: Path, read: Read, shared_data: Path, treebank: str
) -> None:
    """Real files with forms that hold blanks, multiword tokens and empty nodes: the words give back `# text`."""
    import gzip

    compressed = next((shared_data / "pos" / treebank).glob("*test.conllu.gz"))
    without = tmp_path / "without.conllu"
    lines = gzip.decompress(compressed.read_bytes()).decode().split("\n")
    without.write_text("\n".join(line for line in lines if not line.startswith("# text =")), encoding="utf-8")
    spelled = [" ".join(text.split()) for text in read(without)]
    assert spelled == [" ".join(text.split()) for text in read(compressed)] != []
