"""What is loaded, how long its sequences may be, what it is told of the language, and one line for what is wrong with a folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from detente.errors import ConfigError, DataError
from detente.tasks.features import PER_TOKEN, Collator, Encoded, Features
from detente.tasks.models import (
    freeze_specific,
    language_feature,
    load_config,
    load_model,
    load_tokenizer,
    max_length,
)

TAGGER = "AutoModelForTokenClassification"
MakeCheckpoint = Callable[..., str]
FAMILIES = ("bert", "roberta", "xmod", "xlm", "detente")


@pytest.fixture(name="checkpoints", scope="module")
def _checkpoints(make_checkpoint: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return {family: make_checkpoint(folder / family, family) for family in FAMILIES}


@pytest.fixture(name="damage")
def _damage(checkpoints: dict[str, str], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the BERT's folder, to be spoilt."""
    return lambda name: Path(shutil.copytree(checkpoints["bert"], tmp_path / name))


def configuration(**values: object) -> Any:
    return SimpleNamespace(**{"model_type": "bert", "pad_token_id": 0, **values})


def unaware(longest: int = 10**30) -> Any:
    return SimpleNamespace(model_max_length=longest)


class TestLength:
    """`max_length` of a sequence."""

    @pytest.mark.parametrize(
        ("positions", "tokenizer", "wanted", "expected"),
        [
            (512, 10**30, None, 512),
            (128, 10**30, None, 128),
            (512, 100, None, 100),
            (4096, 4096, None, 512),
            (4096, 4096, 1024, 1024),
            (512, 10**30, 64, 64),
            (64, 10**30, 64, 64),
            (None, 10**30, None, 512),
            (None, 10**30, 200, 200),
        ],
    )
    def test_the_least_of_what_is_known(
        self, positions: int | None, tokenizer: int, wanted: int | None, expected: int
    ) -> None:
        assert max_length(configuration(max_position_embeddings=positions), unaware(tokenizer), wanted) == expected

    def test_more_than_the_model_takes(self) -> None:
        with pytest.raises(ConfigError, match=r"^`max_length` is 100, but the model takes 64 tokens\. Ask for less"):
            max_length(configuration(max_position_embeddings=64), unaware(), 100)
        with pytest.raises(ConfigError, match=r"the model takes 512 tokens"):
            max_length(configuration(), unaware(), 600)

    def test_a_model_that_takes_next_to_nothing(self) -> None:
        with pytest.raises(ConfigError, match=r"the model takes 15 tokens, but a task needs 16 at least"):
            max_length(configuration(max_position_embeddings=15), unaware(), None)
        assert max_length(configuration(max_position_embeddings=16), unaware(), None) == 16

    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_sequence_of_that_length_goes_through(self, family: str, checkpoints: dict[str, str]) -> None:
        """Positions of the RoBERTa family begin behind the pad id, so it takes fewer tokens than it has positions."""
        config = load_config(checkpoints[family])
        longest = max_length(config, unaware(), None)
        assert longest == {"bert": 64, "roberta": 62, "xmod": 62, "xlm": 64, "detente": 32}[family]
        model = load_model(checkpoints[family], TAGGER, ("A", "B"), seed=1).model.eval()
        feature = {"input_ids": [5] * longest}
        extra = {"detente": {"language_ids": 1}, "xmod": {"lang_ids": 1}}.get(family, {})
        batch = Collator(config.pad_token_id)([Features(Encoded([feature], [None]), extra)[0]])
        with torch.no_grad():
            assert model(**batch).logits.shape == (1, longest, 2)

    def test_ours_says_it_is_too_long_by_its_blocks(self, checkpoints: dict[str, str]) -> None:
        with pytest.raises(ConfigError, match=r"`max_length` is 33, but the model takes 32"):
            max_length(load_config(checkpoints["detente"]), load_tokenizer(checkpoints["detente"]), 33)


class TestHead:
    """Which parameters count as new, and have a learning rate of their own."""

    @pytest.mark.parametrize("family", FAMILIES)
    def test_of_a_tagger(self, family: str, checkpoints: dict[str, str]) -> None:
        assert load_model(checkpoints[family], TAGGER, ("A", "B", "C"), seed=1).head == {
            "classifier.weight",
            "classifier.bias",
        }

    def test_of_a_classifier(self, checkpoints: dict[str, str]) -> None:
        """BERT's pooler was not pretrained with masked tokens alone."""
        head = {"classifier.weight", "classifier.bias"}
        pooler = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
        kind = "AutoModelForSequenceClassification"
        assert load_model(checkpoints["detente"], kind, ("A", "B"), seed=1).head == head
        assert load_model(checkpoints["bert"], kind, ("A", "B"), seed=1).head == head | pooler

    @pytest.mark.parametrize("family", ["bert", "detente"])
    def test_of_a_reader(self, family: str, checkpoints: dict[str, str]) -> None:
        loaded = load_model(checkpoints[family], "AutoModelForQuestionAnswering", (), seed=1)
        assert loaded.head == {"qa_outputs.weight", "qa_outputs.bias"}

    @pytest.mark.parametrize("family", FAMILIES)
    def test_the_seed_decides_its_weights_and_nothing_else(self, family: str, checkpoints: dict[str, str]) -> None:
        first, same, other = (load_model(checkpoints[family], TAGGER, ("A", "B"), seed=seed) for seed in (1, 1, 2))
        for name, parameter in first.model.named_parameters():
            assert torch.equal(parameter, same.model.get_parameter(name))
            differs = not torch.equal(parameter, other.model.get_parameter(name))
            assert differs == (name == "classifier.weight"), name

    def test_the_body_is_the_checkpoints(self, checkpoints: dict[str, str]) -> None:
        model = load_model(checkpoints["detente"], TAGGER, ("A", "B"), seed=1).model
        saved = load_file(Path(checkpoints["detente"]) / "model.safetensors")
        body = {name: value for name, value in model.state_dict().items() if not name.startswith("classifier")}
        assert body.keys() == saved.keys()
        assert all(torch.equal(body[name], saved[name]) for name in saved)

    def test_labels_are_the_models(self, checkpoints: dict[str, str]) -> None:
        config = load_model(checkpoints["bert"], TAGGER, ("B-PER", "O"), seed=1).model.config
        assert (config.id2label, config.label2id) == ({0: "B-PER", 1: "O"}, {"B-PER": 0, "O": 1})

    def test_a_fine_tuned_model_keeps_its_head(self, checkpoints: dict[str, str], tmp_path: Path) -> None:
        model = load_model(checkpoints["bert"], TAGGER, ("A", "B", "C"), seed=1).model
        model.save_pretrained(tmp_path)
        again = load_model(str(tmp_path), TAGGER, ("A", "B", "C"), seed=2)
        assert torch.equal(again.model.classifier.weight, model.classifier.weight)
        assert again.head == {"classifier.weight", "classifier.bias"}

    def test_a_head_of_another_task_is_made_anew(self, checkpoints: dict[str, str], tmp_path: Path) -> None:
        load_model(checkpoints["bert"], TAGGER, ("A", "B", "C"), seed=1).model.save_pretrained(tmp_path)
        loaded = load_model(str(tmp_path), TAGGER, ("A", "B"), seed=2)
        assert loaded.model.classifier.weight.shape[0] == 2
        assert loaded.head == {"classifier.weight", "classifier.bias"}


class TestLanguage:
    """What a model is told of a row's language."""

    def test_models_that_do_not_ask(self, checkpoints: dict[str, str]) -> None:
        for family in ("bert", "roberta", "xlm"):
            assert language_feature(load_config(checkpoints[family]), "sw") == {}

    def test_the_place_among_the_models_languages(self, checkpoints: dict[str, str]) -> None:
        ours, xmod = load_config(checkpoints["detente"]), load_config(checkpoints["xmod"])
        assert [language_feature(ours, label) for label in ("qaa", "qab")] == [{"language_ids": 0}, {"language_ids": 1}]
        assert [language_feature(xmod, label) for label in ("en", "sw")] == [{"lang_ids": 0}, {"lang_ids": 1}]

    def test_an_unknown_language(self, checkpoints: dict[str, str]) -> None:
        expected = (
            r"^the model was not trained on qac: it knows qaa, qab\. Did you mean `qab`\? A language without param"
        )
        with pytest.raises(DataError, match=expected):
            language_feature(load_config(checkpoints["detente"]), "qac")
        with pytest.raises(DataError, match=r"the model was not trained on te: it knows en, sw"):
            language_feature(load_config(checkpoints["xmod"]), "te")

    def test_xlm_is_told_by_its_own_numbers(self, make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
        numbers = {"n_langs": 2, "use_lang_emb": True, "lang2id": {"sw": 1, "en": 0}, "id2lang": {"0": "en", "1": "sw"}}
        checkpoint = make_checkpoint(tmp_path, "xlm", **numbers)
        config = load_config(checkpoint)
        assert language_feature(config, "sw") == {PER_TOKEN: 1}
        with pytest.raises(DataError, match=r"the model was not trained on te"):
            language_feature(config, "te")
        model = load_model(checkpoint, TAGGER, ("A", "B"), seed=1).model.eval()
        rows = [{"input_ids": [5, 6]}, {"input_ids": [5, 6, 7]}]
        with torch.no_grad():
            logits = [
                model(**Collator(1)([Features(Encoded(rows, [0, 1]), {PER_TOKEN: number})[n] for n in (0, 1)])).logits
                for number in (0, 1)
            ]
        assert not torch.allclose(logits[0], logits[1])

    @pytest.mark.parametrize(("family", "labels"), [("detente", ("qaa", "qab")), ("xmod", ("en", "sw"))])
    def test_the_language_changes_what_comes_out(
        self, family: str, labels: tuple[str, str], checkpoints: dict[str, str]
    ) -> None:
        model = load_model(checkpoints[family], TAGGER, ("A", "B"), seed=1).model.eval()
        if family == "xmod":
            # Its adapters begin so small that they change nothing.
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.add_(torch.randn(parameter.shape) if "adapter_modules" in name else 0)
        config, rows = load_config(checkpoints[family]), [{"input_ids": [5, 6, 7]}]
        batches = [Collator(0)([Features(Encoded(rows, [0]), language_feature(config, label))[0]]) for label in labels]
        with torch.no_grad():
            first, second = (model(**batch).logits for batch in batches)
        assert not torch.allclose(first, second)


class TestFrozen:
    """Language-specific parameters as they were pretrained."""

    def test_only_the_specific_ones_are_frozen(self, checkpoints: dict[str, str]) -> None:
        model = load_model(checkpoints["detente"], TAGGER, ("A", "B"), seed=1).model
        freeze_specific(model)
        frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        assert frozen == {name for name, _ in model.named_parameters() if name.startswith("detente.specific.")}
        assert len(frozen) >= 4

    def test_an_untreated_model_of_ours_has_none(self, make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
        """In a study the untreated runs, and mono, are fine-tuned beside the treated ones."""
        checkpoint = make_checkpoint(tmp_path, "detente", treatment="none")
        model = load_model(checkpoint, TAGGER, ("A", "B"), seed=1).model
        freeze_specific(model)
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_a_model_from_outside_is_refused(self, checkpoints: dict[str, str]) -> None:
        model = load_model(checkpoints["bert"], TAGGER, ("A", "B"), seed=1).model
        with pytest.raises(
            ConfigError, match=r"^`specific: frozen` is for models that detente has trained. Leave it out.$"
        ):
            freeze_specific(model)


class TestDamage:
    """A folder that cannot be loaded is one line."""

    def assert_one_line(self, load: Callable[[], object], *words: str) -> None:
        with pytest.raises(DataError) as caught:
            load()
        text = str(caught.value)
        assert "\n" not in text
        assert len(text) < 600
        for word in words:
            assert word in text

    def test_no_such_folder(self, tmp_path: Path) -> None:
        where = str(tmp_path / "nothing")
        for load in (load_config, load_tokenizer):
            self.assert_one_line(
                lambda load=load: load(where), where, "there is no such folder here, so it was looked for on the hub"
            )

    @pytest.mark.parametrize(
        ("file", "content", "word"),
        [
            ("config.json", None, "config.json"),
            ("config.json", b"{", "JSON"),
            ("config.json", b'{"model_type": "nonsense"}', "nonsense"),
            ("model.safetensors", None, "model.safetensors"),
            ("model.safetensors", b"", "header"),
            ("model.safetensors", b"\x00" * 100, "header"),
        ],
    )
    def test_a_file_is_missing_or_damaged(
        self, file: str, content: bytes | None, word: str, damage: Callable[[str], Path]
    ) -> None:
        folder = damage("spoilt")
        if content is None:
            (folder / file).unlink()
        else:
            (folder / file).write_bytes(content)
        self.assert_one_line(lambda: load_model(str(folder), TAGGER, ("A", "B"), seed=1), str(folder), word)

    def test_weights_that_are_cut_short(self, damage: Callable[[str], Path]) -> None:
        file = damage("short") / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        self.assert_one_line(lambda: load_model(str(file.parent), TAGGER, ("A",), seed=1), str(file.parent))

    @pytest.mark.parametrize("change", [{"hidden_size": 64}, {"model_type": "roberta"}, {"vocab_size": 7}])
    def test_weights_that_do_not_fit_the_configuration(
        self, change: dict[str, object], damage: Callable[[str], Path]
    ) -> None:
        """They would be left at random, and nothing said."""
        file = damage("other") / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | change), encoding="utf-8")
        self.assert_one_line(
            lambda: load_model(str(file.parent), TAGGER, ("A", "B"), seed=1), "its weights do not fit its config.json"
        )

    def test_weights_of_nothing(self, damage: Callable[[str], Path]) -> None:
        folder = damage("empty")
        save_file({"else": torch.zeros(2)}, folder / "model.safetensors", metadata={"format": "pt"})
        self.assert_one_line(
            lambda: load_model(str(folder), TAGGER, ("A", "B"), seed=1), "it holds another kind of model"
        )

    def test_a_model_that_has_no_such_head(self, damage: Callable[[str], Path]) -> None:
        folder = damage("vision")
        (folder / "config.json").write_text('{"model_type": "vit"}', encoding="utf-8")
        self.assert_one_line(lambda: load_model(str(folder), TAGGER, ("A", "B"), seed=1), "Unrecognized configuration")

    def test_a_folder_without_a_tokenizer(self, damage: Callable[[str], Path]) -> None:
        """Transformers makes one up to which every word is unknown."""
        folder = damage("mute")
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (folder / file).unlink()
        self.assert_one_line(lambda: load_tokenizer(str(folder)), str(folder), "tokenizer")

    def test_a_damaged_tokenizer(self, damage: Callable[[str], Path]) -> None:
        folder = damage("mumbling")
        (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
        self.assert_one_line(lambda: load_tokenizer(str(folder)), str(folder), "could not be loaded")

    def test_a_tokenizer_without_a_pad_token(self, tokenizers: dict[str, Any], damage: Callable[[str], Path]) -> None:
        folder = damage("tight")
        file = folder / "tokenizer_config.json"
        values = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({k: v for k, v in values.items() if k != "pad_token"}), encoding="utf-8")
        self.assert_one_line(lambda: load_tokenizer(str(folder)), "has no pad token")


def test_transformers_is_as_talkative_as_before(checkpoints: dict[str, str]) -> None:
    import logging

    logger = logging.getLogger("transformers")
    before = logger.level
    load_config(checkpoints["bert"])
    assert logger.level == before
    with pytest.raises(DataError):
        load_config("/nowhere/at all")
    assert logger.level == before
