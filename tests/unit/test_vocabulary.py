"""Training, loading and measuring vocabularies."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from detente.errors import ConfigError, DataError
from detente.settings import VocabularySettings
from detente.vocabulary import (
    SPECIAL_TOKENS,
    Vocabulary,
    is_finished,
    measure_vocabulary,
    mixing_rates,
    read_vocabulary_manifest,
    train_vocabulary,
    write_vocabulary_manifest,
)

WriteCorpus = Callable[..., Path]
SWAHILI = ["habari ya asubuhi ndugu yangu", "mtoto anasoma kitabu kizuri", "watoto wanasoma vitabu vizuri sana"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, write_corpus: WriteCorpus, scripts: tuple[str, ...]) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "sw", [*SWAHILI, *scripts] * 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A vocabulary of ours."""
    folder = tmp_path_factory.mktemp("vocabulary")
    train_vocabulary({"sw": corpus}, VocabularySettings(size=400), folder)
    return folder


def test_special_tokens_come_first(folder: Path) -> None:
    vocabulary = Vocabulary.load(folder)
    assert vocabulary.size == 400
    assert [vocabulary.tokenizer.id_to_token(number) for number in range(5)] == list(SPECIAL_TOKENS.values())
    assert (vocabulary.pad_id, vocabulary.begin_id, vocabulary.end_id, vocabulary.mask_id) == (0, 1, 2, 4)
    assert vocabulary.special_ids == frozenset(range(5))


def test_every_script_comes_back_as_it_was(folder: Path, scripts: tuple[str, ...]) -> None:
    vocabulary = Vocabulary.load(folder)
    unseen = ("\u13e3\u13b3\u13a9", "\u0f56\u0f7c\u0f51", "\U00010330\U00010331", "tab\there", "two  blanks", " ", "")
    for text, ids in zip((*scripts, *unseen), vocabulary.encode_batch([*scripts, *unseen]), strict=True):
        assert vocabulary.tokenizer.decode(ids) == text
        assert not vocabulary.special_ids & set(ids)


def test_text_is_composed(folder: Path) -> None:
    vocabulary = Vocabulary.load(folder)
    decomposed, composed = vocabulary.encode_batch(["e\u0301te\u0301", "\u00e9t\u00e9"])
    assert decomposed == composed


def test_marks_stay_inside_words(corpus: Path, folder: Path) -> None:
    """GPT-2's pattern cuts Telugu at every vowel sign, so that a word never becomes one entry."""
    word = "\u0c24\u0c46\u0c32\u0c41\u0c17\u0c41"
    pieces = Vocabulary.load(folder).tokenizer.pre_tokenizer.pre_tokenize_str(f"{word} {word}")
    assert len(pieces) == 2


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("\u4e2d\u6587" * 20, 6),  # Han
        ("\u3072\u3089" * 20, 6),  # Hiragana
        ("\u0e01\u0e34" * 20, 6),  # Thai, with a vowel sign
        ("donaudampfschiff" * 3, 48),
        ("\u0c24\u0c46" * 20, 40),  # Telugu
    ],
)
def test_scripts_without_blanks_are_cut_and_others_are_not(folder: Path, text: str, longest: int) -> None:
    """A clause as one piece is nearly always new, and learning holds every different piece in memory."""
    found = Vocabulary.load(folder).tokenizer.pre_tokenizer.pre_tokenize_str(text)
    assert max(end - start for _, (start, end) in found) == longest
    assert [start for _, (start, _) in found[1:]] == [end for _, (_, end) in found[:-1]], "nothing is lost"


def test_small_temperatures_do_not_overflow(corpus: Path) -> None:
    settings = VocabularySettings(size=400, temperature=0.001)
    assert mixing_rates({"en": corpus}, settings)["en"] == pytest.approx(1.0)


def test_special_tokens_in_a_text_are_text(folder: Path) -> None:
    vocabulary = Vocabulary.load(folder)
    (ids,) = vocabulary.encode_batch(["<mask></s>"])
    assert not vocabulary.special_ids & set(ids)
    assert vocabulary.tokenizer.decode(ids) == "<mask></s>"


def test_tasks_can_frame_texts(folder: Path) -> None:
    tokenizer = Vocabulary.load(folder).tokenizer
    assert tokenizer.encode("habari", "ya").tokens[0] == "<s>"
    assert tokenizer.encode("habari", "ya").ids.count(2) == 3


_TRAIN = """
import sys; from pathlib import Path
from detente.settings import VocabularySettings
from detente.vocabulary import train_vocabulary
print(train_vocabulary({"sw": Path(sys.argv[1])}, VocabularySettings(size=400), Path(sys.argv[2])).checksum)
"""


@pytest.mark.parametrize("threads", ["1", "3"])
def test_same_text_gives_same_bytes(tmp_path: Path, corpus: Path, folder: Path, threads: str) -> None:
    """Another process has other hash seeds; other threads count in another order."""
    command = [sys.executable, "-W", "error", "-c", _TRAIN, str(corpus), str(tmp_path)]
    found = subprocess.run(
        command, env={"RAYON_NUM_THREADS": threads}, capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.strip() == Vocabulary.load(folder).checksum
    assert (tmp_path / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_too_large_says_how_many(tmp_path: Path, write_corpus: WriteCorpus) -> None:
    corpus = write_corpus(tmp_path / "sw", SWAHILI * 2)
    with pytest.raises(
        ConfigError, match=r"`vocabulary.size` is 5000, but the text supports only (\d+) entries"
    ) as caught:
        train_vocabulary({"sw": corpus}, VocabularySettings(size=5000), tmp_path / "v")
    learnt = int(str(caught.value).split("vocabulary.size=")[1].split()[0])
    assert not (tmp_path / "v").exists()
    assert train_vocabulary({"sw": corpus}, VocabularySettings(size=learnt), tmp_path / "v").size == learnt


def test_too_little_text_for_any_size(tmp_path: Path, write_corpus: WriteCorpus) -> None:
    """No size that the settings allow would do, so none is suggested."""
    corpus = write_corpus(tmp_path / "sw", ["ab"])
    with pytest.raises(ConfigError, match="more text") as caught:
        train_vocabulary({"sw": corpus}, VocabularySettings(size=5000), tmp_path / "v")
    assert "vocabulary.size=" not in str(caught.value)


class TestMix:
    def corpora(self, folder: Path, write_corpus: WriteCorpus, large: int = 900, small: int = 100) -> dict[str, Path]:
        return {
            "en": write_corpus(folder / "en", ["b" * 10] * large),
            "sw": write_corpus(folder / "sw", ["c" * 10] * small),
        }

    def test_temperature_one_reads_all_once(self, tmp_path: Path, write_corpus: WriteCorpus) -> None:
        settings = VocabularySettings(temperature=1)
        assert mixing_rates(self.corpora(tmp_path, write_corpus), settings) == pytest.approx({"en": 1, "sw": 1})

    def test_temperature_favours_the_small(self, tmp_path: Path, write_corpus: WriteCorpus) -> None:
        """(0.9, 0.1)^(1/2) is 3 : 1, so of 10,000 characters the small language gives 2,500."""
        rates = mixing_rates(self.corpora(tmp_path, write_corpus), VocabularySettings(temperature=2))
        assert rates == pytest.approx({"en": 7_500 / 9_000, "sw": 2_500 / 1_000})

    def test_no_more_characters_than_asked(self, tmp_path: Path, write_corpus: WriteCorpus) -> None:
        corpora = self.corpora(tmp_path, write_corpus)
        read: list[int] = []
        with pytest.raises(ConfigError):
            train_vocabulary(corpora, VocabularySettings(characters=2_000), tmp_path / "v", progress=read.append)
        assert sum(read) == pytest.approx(2_000, abs=20)

    def test_it_decides_what_is_learnt(self, tmp_path: Path, write_corpus: WriteCorpus) -> None:
        """Each language has its own pairs; the more often it is read, the more of the merges are its own."""
        corpora = {
            "en": write_corpus(tmp_path / "en", [f"{'xyz'[i % 3]}{'uvw'[i % 7 % 3]}{i % 1000}" for i in range(3000)]),
            "sw": write_corpus(tmp_path / "sw", ["habari njema rafiki mpenzi wangu"] * 30),
        }
        shares = []
        for temperature in (1.0, 100.0):
            folder = tmp_path / str(temperature)
            vocabulary = train_vocabulary(corpora, VocabularySettings(size=330, temperature=temperature), folder)
            shares.append(sum(map(len, vocabulary.encode_batch(["habari njema rafiki mpenzi wangu"]))))
        assert shares[1] < shares[0]

    def test_empty_language_is_left_out(self, tmp_path: Path, write_corpus: WriteCorpus) -> None:
        rates = mixing_rates(self.corpora(tmp_path, write_corpus, small=0), VocabularySettings())
        assert rates == pytest.approx({"en": 1, "sw": 0})


def test_measures_fit_and_scripts(folder: Path, corpus: Path) -> None:
    vocabulary = Vocabulary.load(folder)
    manifest = measure_vocabulary(vocabulary, {"sw": corpus}, source="here")
    fit = manifest.languages["sw"]
    texts = (corpus / "validation.txt").read_text(encoding="utf-8").splitlines()
    tokens = sum(map(len, vocabulary.encode_batch(texts)))
    assert fit.fertility == pytest.approx(tokens / sum(len(text.split()) for text in texts))
    assert fit.characters_per_token == pytest.approx(sum(map(len, texts)) / tokens)
    assert fit.unknown == 0
    assert sum(manifest.scripts.values()) == pytest.approx(1)
    assert manifest.scripts["Latn"] > manifest.scripts["Arab"] > 0


def test_finished_only_with_its_manifest_and_file(tmp_path: Path, corpus: Path, folder: Path) -> None:
    vocabulary = Vocabulary.load(folder).save(tmp_path)
    assert not is_finished(tmp_path, "here")
    write_vocabulary_manifest(tmp_path, measure_vocabulary(vocabulary, {"sw": corpus}, source="here"))
    assert is_finished(tmp_path, "here")
    assert not is_finished(tmp_path, "elsewhere")
    with (tmp_path / "tokenizer.json").open("a") as file:
        file.write(" ")
    assert not is_finished(tmp_path, "here")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        read_vocabulary_manifest(tmp_path)


def save_wordpiece(folder: Path, special: list[str]) -> Path:
    """A tokenizer of BERT's kind."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SWAHILI * 3, trainer)
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=12)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def save_unigram(folder: Path, special: list[str]) -> Path:
    """A tokenizer of XLM-R's kind."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(SWAHILI * 3, trainer)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


class TestReady:
    def test_bert(self, tmp_path: Path) -> None:
        folder = save_wordpiece(tmp_path, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        vocabulary = Vocabulary.load(folder)
        assert (vocabulary.pad_id, vocabulary.begin_id, vocabulary.end_id, vocabulary.mask_id) == (0, 2, 3, 4)
        assert Vocabulary.load(folder / "tokenizer.json").checksum == vocabulary.checksum

    def test_truncation_and_padding_of_the_file_are_off(self, tmp_path: Path) -> None:
        vocabulary = Vocabulary.load(save_wordpiece(tmp_path, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
        short, long = vocabulary.encode_batch(["mtoto", " ".join(SWAHILI)])
        assert 0 not in short
        assert len(long) > 12

    def test_xlm_r(self, tmp_path: Path) -> None:
        vocabulary = Vocabulary.load(save_unigram(tmp_path, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]))
        assert (vocabulary.pad_id, vocabulary.begin_id, vocabulary.end_id, vocabulary.mask_id) == (1, 0, 2, 4)

    def test_unknown_tokens_are_counted(self, tmp_path: Path, corpus: Path) -> None:
        vocabulary = Vocabulary.load(save_unigram(tmp_path, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]))
        assert measure_vocabulary(vocabulary, {"sw": corpus}, source="").languages["sw"].unknown > 0.1

    def test_declared_names_win(self, tmp_path: Path) -> None:
        """XLM-100's mask is `<special1>`; a token may be a mapping."""
        folder = save_unigram(tmp_path, ["<s>", "<pad>", "</s>", "<unk>", "<special0>", "<special1>"])
        declared = {"mask_token": {"content": "<special1>", "lstrip": True}, "cls_token": "</s>", "bos_token": "<s>"}
        (folder / "special_tokens_map.json").write_text(json.dumps(declared))
        vocabulary = Vocabulary.load(folder)
        assert (vocabulary.mask_id, vocabulary.begin_id) == (5, 2)

    def test_it_stays_the_same_in_a_study(self, tmp_path: Path) -> None:
        folder = save_unigram(tmp_path / "ready", ["<s>", "<pad>", "</s>", "<unk>", "<special1>"])
        (folder / "tokenizer_config.json").write_text(json.dumps({"mask_token": "<special1>"}))
        ready = Vocabulary.load(folder)
        saved = ready.save(tmp_path / "study")
        found = Vocabulary.load(tmp_path / "study")
        assert (found.checksum, found.special) == (saved.checksum, saved.special)
        assert (found.mask_id, found.special_ids) == (ready.mask_id, ready.special_ids)
        assert found.encode_batch(SWAHILI) == ready.encode_batch(SWAHILI)

    def test_a_generating_tokenizer_lacks_a_mask(self, tmp_path: Path) -> None:
        tokenizer = Tokenizer(models.BPE({"a": 0, "<|endoftext|>": 1}, []))
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        with pytest.raises(ConfigError, match=r"has no pad and no mask token.*XLM-R or BERT"):
            Vocabulary.load(tmp_path)

    def test_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "sentencepiece.bpe.model").touch()
        with pytest.raises(DataError, match=r"no tokenizer.json in .*sentencepiece.bpe.model.*save_pretrained"):
            Vocabulary.load(tmp_path)
        with pytest.raises(DataError, match="there is no tokenizer"):
            Vocabulary.load(tmp_path / "nowhere.json")

    def test_no_tokenizer(self, tmp_path: Path) -> None:
        for content in (b"{}", b"\xff\xfe", b"not json"):
            (tmp_path / "tokenizer.json").write_bytes(content)
            with pytest.raises(DataError, match="is no tokenizer of the Hugging Face format"):
                Vocabulary.load(tmp_path)

    def test_damaged_map(self, tmp_path: Path) -> None:
        folder = save_wordpiece(tmp_path, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        (folder / "special_tokens_map.json").write_text("{")
        with pytest.raises(DataError, match=r"special_tokens_map.json is damaged"):
            Vocabulary.load(folder)
