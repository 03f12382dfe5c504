"""Loaded models give the run's numbers, each row in its language, and say what they lack."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from detente.errors import ConfigError
from detente.huggingface import DetenteConfig, DetenteForMaskedLM, to_huggingface
from detente.huggingface.conversion import fits_xlm, to_xlm
from detente.settings import EncoderSettings, RunSettings
from detente.treatment import TREATMENTS, TreatedEncoder
from detente.vocabulary import Vocabulary

VOCABULARY, LENGTH = 420, 12
TOLERANCE = 1e-6
EVERY = [(treatment, variant) for treatment in TREATMENTS for variant in ("xlm", "modern")]
HEADS = [AutoModelForTokenClassification, AutoModelForSequenceClassification, AutoModelForQuestionAnswering]


class Run(Protocol):
    """What `make_run` gives."""

    settings: RunSettings
    treated: TreatedEncoder


def tokens(rows: int = 4, length: int = LENGTH) -> Tensor:
    return torch.randint(5, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def save(vocabulary: Vocabulary, tmp_path: Path) -> Callable[[Run], Path]:
    """Writes the model of a run and gives the folder."""

    def write(run: Run) -> Path:
        to_huggingface(run.settings, run.treated, vocabulary).save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return write


@pytest.fixture
def model(make_run: Callable, vocabulary: Vocabulary) -> DetenteForMaskedLM:
    run = make_run("adapter", "modern")
    return to_huggingface(run.settings, run.treated, vocabulary).eval()


@pytest.mark.parametrize("embeds_language", [False, True])
@pytest.mark.parametrize(("treatment", "variant"), EVERY)
def test_logits_are_the_runs(
    treatment: str, variant: str, embeds_language: bool, make_run: Callable, save: Callable
) -> None:
    run = make_run(treatment, variant, language_embedding=embeds_language)
    model, info = AutoModelForMaskedLM.from_pretrained(save(run), output_loading_info=True)
    assert not any(info.values())
    for index, language in enumerate(run.settings.mixture):
        expected = run.treated.logits(language, tokens())
        actual = model.eval()(tokens(), language_ids=torch.full((4,), index)).logits
        assert expected.std() > 0.1
        assert (actual - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize(("treatment", "variant"), EVERY)
def test_rows_of_several_languages_stand_in_one_batch(
    treatment: str, variant: str, make_run: Callable, vocabulary: Vocabulary
) -> None:
    run = make_run(treatment, variant, language_embedding=True)
    model = to_huggingface(run.settings, run.treated, vocabulary).eval()
    ids, mask = torch.tensor([2, 0, 2, 1]), torch.ones(4, LENGTH, dtype=torch.int64)
    mask[1, 5:] = mask[3, 9:] = 0
    found = model(tokens(), mask, ids, output_hidden_states=True)
    for row in range(4):
        length = int(mask[row].sum())
        alone = model(tokens()[row : row + 1, :length], language_ids=ids[row : row + 1], output_hidden_states=True)
        torch.testing.assert_close(found.logits[row, :length], alone.logits[0], rtol=0, atol=2e-6)
        for together, single in zip(found.hidden_states, alone.hidden_states, strict=True):
            torch.testing.assert_close(together[row, :length], single[0], rtol=0, atol=2e-6)


def test_a_batch_leaves_other_languages_without_gradient(model: DetenteForMaskedLM) -> None:
    model(tokens(), language_ids=torch.tensor([0, 2, 0, 2])).logits.square().sum().backward()
    for language in ("te", "bn-latn"):
        assert all(p.grad is not None for p in model.language_specific_parameters(language))
    assert all(p.grad is None for p in model.language_specific_parameters("to"))
    specific = {id(p) for p in model.language_specific_parameters()}
    assert all(p.grad is not None for p in model.parameters() if id(p) not in specific)


@pytest.mark.parametrize(("treatment", "variant"), EVERY)
def test_no_parameter_is_missing_or_there_twice(
    treatment: str, variant: str, make_run: Callable, vocabulary: Vocabulary
) -> None:
    run = make_run(treatment, variant)
    model = to_huggingface(run.settings, run.treated, vocabulary)
    shared, specific = run.treated.count()
    assert sum(p.numel() for p in model.language_specific_parameters()) == 3 * specific
    assert sum(p.numel() for p in model.language_specific_parameters("to")) == specific
    assert sum(p.numel() for p in model.parameters()) == shared + 3 * specific
    names = {f"detente.encoder.{name}" for name in run.treated.shared}
    names |= {f"detente.specific.{i}.{name}" for i in range(3) for name in run.treated.specific["te"]}
    assert set(model.state_dict()) == names


def test_a_language_must_be_given_and_known(model: DetenteForMaskedLM) -> None:
    with pytest.raises(ConfigError, match=r"not given. Give `language_ids`, .* 0 \(te\), 1 \(to\), 2 \(bn-latn\)"):
        model(tokens())
    with pytest.raises(ConfigError, match=r"`language_ids` has 3, .* 0 \(te\), 1 \(to\), 2 \(bn-latn\)"):
        model(tokens(), language_ids=torch.tensor([0, 3, 1, 1]))
    with pytest.raises(ConfigError, match="one number for each of the 4 rows"):
        model(tokens(), language_ids=torch.tensor([0]))
    with pytest.raises(ConfigError, match=r"no language `bn_latn`, it has te, to, bn-latn. Did you mean `bn-latn`"):
        model.set_default_language("bn_latn")


def test_a_default_language_is_saved(model: DetenteForMaskedLM, tmp_path: Path) -> None:
    expected = model(tokens(), language_ids=torch.full((4,), 1)).logits
    model.set_default_language("to")
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    assert torch.equal(again(tokens()).logits, expected)


@pytest.mark.parametrize("embeds_language", [False, True])
@pytest.mark.parametrize(("treatment", "variant"), EVERY)
def test_who_needs_a_language(
    treatment: str, variant: str, embeds_language: bool, make_run: Callable, vocabulary: Vocabulary
) -> None:
    run = make_run(treatment, variant, language_embedding=embeds_language)
    model = to_huggingface(run.settings, run.treated, vocabulary).eval()
    needs = embeds_language or treatment not in ("none", "shared-adapter")
    assert model.needs_language == model.config.needs_language == needs
    if not needs:
        assert torch.equal(model(tokens()).logits, model(tokens(), language_ids=torch.full((4,), 7)).logits)


def test_a_model_of_one_language_needs_none(make_run: Callable, vocabulary: Vocabulary) -> None:
    run = make_run("none", "modern", ("te",), language_embedding=True)
    model = to_huggingface(run.settings, run.treated, vocabulary).eval()
    assert (model(tokens()).logits - run.treated.logits("te", tokens())).abs().max() < TOLERANCE


def test_embedding_and_output_stay_one(make_run: Callable, save: Callable, tmp_path: Path) -> None:
    model = AutoModelForMaskedLM.from_pretrained(save(make_run("ffn", "xlm")))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(tokens(), language_ids=torch.full((4,), 1), labels=tokens()).loss.backward()
    optimizer.step()
    model.save_pretrained(tmp_path / "tuned")
    again = AutoModelForMaskedLM.from_pretrained(tmp_path / "tuned").eval()
    ids = torch.full((4,), 1)
    assert torch.equal(again(tokens(), language_ids=ids).logits, model.eval()(tokens(), language_ids=ids).logits)
    hidden = again.base_model(tokens(), language_ids=ids).last_hidden_state
    encoder = again.base_model.encoder
    expected = F.linear(hidden, again.get_input_embeddings().weight, encoder.output_bias)
    assert torch.equal(again(tokens(), language_ids=ids).logits, expected)


@pytest.mark.parametrize("auto", HEADS)
def test_a_new_head_leaves_the_encoder_alone(auto: type, make_run: Callable, save: Callable, tmp_path: Path) -> None:
    folder = save(make_run("adapter", "modern"))
    pretrained = AutoModelForMaskedLM.from_pretrained(folder).state_dict()
    heads = []
    for _ in range(2):
        torch.manual_seed(3)
        model = auto.from_pretrained(folder, num_labels=200)
        assert all(
            torch.equal(value, pretrained[name])
            for name, value in model.base_model.state_dict(prefix="detente.").items()
        )
        head = model.qa_outputs if hasattr(model, "qa_outputs") else model.classifier
        assert torch.equal(head.bias, torch.zeros_like(head.bias))
        heads.append(head.weight)
    assert torch.equal(*heads)
    # Of n weights, the standard deviation has a relative error of 1 / sqrt(2 n): 32 weights of a span, 3,200 of labels.
    assert heads[0].std().item() == pytest.approx(0.02, rel=0.4 if heads[0].numel() < 100 else 0.05)
    model.save_pretrained(tmp_path / "tuned")
    back = AutoModelForMaskedLM.from_pretrained(tmp_path / "tuned")
    assert all(torch.equal(value, pretrained[name]) for name, value in back.state_dict().items())


def test_a_fresh_model_begins_as_pretraining_does() -> None:
    settings = EncoderSettings(variant="xlm", layers=2, width=64, heads=4, feed_forward_width=256)
    torch.manual_seed(1)
    model = AutoModel.from_config(
        DetenteConfig(
            encoder_settings=settings.model_dump(), treatment="adapter", languages=["te", "to"], vocab_size=420
        )
    ).eval()
    deviations = {name: parameter.std().item() for name, parameter in model.named_parameters() if parameter.dim() == 2}
    for name, deviation in deviations.items():
        kind = name.split(".")[-2]
        expected = {"output": 0.01, "down": 0.125, "up": 0.0}.get(kind, 0.02)
        assert deviation == pytest.approx(expected, rel=0.1), name
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert torch.equal(parameter, torch.full_like(parameter, float(name.endswith("norm.weight")))), name
    again = AutoModel.from_config(model.config)
    assert not torch.equal(again.encoder.token_embedding.weight, model.encoder.token_embedding.weight)


def loaded(auto: type, folder: Path, **values: object) -> PreTrainedModel:
    torch.manual_seed(3)
    return auto.from_pretrained(folder, **values).eval()


def test_losses_are_those_of_their_definitions(make_run: Callable, save: Callable) -> None:
    folder, ids = save(make_run("adapter", "modern")), torch.tensor([0, 1, 1, 2])
    labels = tokens() % 5
    labels[:, 7:] = -100
    tagger = loaded(AutoModelForTokenClassification, folder, num_labels=5)
    found = tagger(tokens(), language_ids=ids, labels=labels)
    torch.testing.assert_close(found.loss, F.cross_entropy(found.logits[:, :7].flatten(0, 1), labels[:, :7].flatten()))

    masked = loaded(AutoModelForMaskedLM, folder)
    found = masked(tokens(), language_ids=ids, labels=labels)
    torch.testing.assert_close(found.loss, F.cross_entropy(found.logits[:, :7].flatten(0, 1), labels[:, :7].flatten()))

    classifier = loaded(AutoModelForSequenceClassification, folder, num_labels=3)
    labels = torch.tensor([0, 1, 2, 2])
    found = classifier(tokens(), language_ids=ids, labels=labels, output_hidden_states=True)
    torch.testing.assert_close(found.loss, F.cross_entropy(found.logits, labels))
    torch.testing.assert_close(found.logits, classifier.classifier(found.hidden_states[-1][:, 0]))

    reader = loaded(AutoModelForQuestionAnswering, folder)
    # 12 and 99 stand beyond the row.
    starts, ends = torch.tensor([0, 3, 99, 5]), torch.tensor([2, 12, 99, 6])
    found = reader(tokens(), language_ids=ids, start_positions=starts, end_positions=ends)
    start = F.cross_entropy(found.start_logits[[0, 1, 3]], starts[[0, 1, 3]])
    end = F.cross_entropy(found.end_logits[[0, 3]], ends[[0, 3]])
    torch.testing.assert_close(found.loss, (start + end) / 2)


@pytest.mark.parametrize("variant", ["xlm", "modern"])
def test_outputs_are_the_usual_ones(variant: str, make_run: Callable, save: Callable) -> None:
    folder, ids = save(make_run("attention", variant)), torch.tensor([0, 1, 1, 2])
    body, masked = loaded(AutoModel, folder), loaded(AutoModelForMaskedLM, folder)
    found = masked(tokens(), language_ids=ids, output_hidden_states=True)
    assert len(found.hidden_states) == 3
    assert found.attentions is None
    assert torch.equal(found.hidden_states[-1], body(tokens(), language_ids=ids).last_hidden_state)
    assert masked(tokens(), language_ids=ids).hidden_states is None
    (logits,) = masked(tokens(), language_ids=ids, return_dict=False)
    assert torch.equal(logits, found.logits)


def test_what_there_is_not_is_said(model: DetenteForMaskedLM) -> None:
    ids = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ConfigError, match="attentions are not available"):
        model(tokens(), language_ids=ids, output_attentions=True)
    with pytest.raises(
        ConfigError, match=r"a row has 13 tokens, but the model takes 12. Tokenize with `truncation=True`"
    ):
        model(tokens(length=13), language_ids=ids)
    with pytest.raises(ConfigError, match="cannot be resized"):
        model.resize_token_embeddings(500)


def test_own_parameters_can_be_frozen(make_run: Callable, save: Callable) -> None:
    model = loaded(AutoModelForTokenClassification, save(make_run("ffn", "modern"))).train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.language_specific_parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(tokens(), language_ids=torch.full((4,), 1), labels=tokens() % 2).loss.backward()
    optimizer.step()
    same = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
    # The bias over the vocabulary takes no part in tagging.
    assert same == {name for name in before if ".specific." in name} | {"detente.encoder.output_bias"}


@pytest.mark.parametrize("languages", [("te",), ("te", "to", "bn-latn")])
@pytest.mark.parametrize("embeds_language", [False, True])
def test_plain_xlm_gives_the_runs_logits(
    languages: tuple[str, ...], embeds_language: bool, make_run: Callable, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    run = make_run("none", "xlm", languages, language_embedding=embeds_language)
    assert fits_xlm(run.settings)
    to_xlm(run.settings, run.treated, vocabulary).save_pretrained(tmp_path)
    model, info = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    for index, language in enumerate(languages):
        assert model.config.lang2id[language] == index
        langs = torch.full_like(tokens(), index)
        actual = model.eval()(tokens(), langs=langs).logits
        assert (actual - run.treated.logits(language, tokens())).abs().max() < TOLERANCE


def test_only_what_is_xlm_fits_xlm(make_run: Callable) -> None:
    assert not fits_xlm(make_run("none", "modern").settings)
    assert not fits_xlm(make_run("shared-adapter", "xlm").settings)
    assert not fits_xlm(make_run("none", "xlm", feed_forward_width=48).settings)
