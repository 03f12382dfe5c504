"""What every treatment promises, checked for each."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from detente.encoder import Encoder
from detente.pretrain.checkpoint import load_weights, save_checkpoint
from detente.settings import AdapterSettings, EncoderSettings
from detente.treatment import TREATMENTS, TreatedEncoder, remove_treatment, treat

LANGUAGES = ("te", "da", "en")
VOCABULARY, LENGTH, WIDTH, INNER, LAYERS, BOTTLENECK = 50, 12, 16, 24, 2, 4
VARIANTS = ("xlm", "modern")


def make_encoder(variant: str) -> Encoder:
    settings = EncoderSettings(
        variant=variant,
        layers=LAYERS,
        width=WIDTH,
        heads=2,
        feed_forward_width=INNER,
        language_embedding=True,
        dropout=0.0,
    )
    return Encoder(settings, VOCABULARY, block_length=LENGTH, num_languages=len(LANGUAGES), seed=1)


def tokens() -> Tensor:
    return torch.randint(VOCABULARY, (2, LENGTH), generator=torch.Generator().manual_seed(0))


def treated_encoder(name: str, variant: str) -> TreatedEncoder:
    return treat(make_encoder(variant), TREATMENTS[name], LANGUAGES, AdapterSettings(width=BOTTLENECK), seed=2)


every_treatment = pytest.mark.parametrize("name", TREATMENTS)
every_variant = pytest.mark.parametrize("variant", VARIANTS)


@every_treatment
@every_variant
def test_identity_at_start(name: str, variant: str) -> None:
    plain, treated = make_encoder(variant), treated_encoder(name, variant)
    for index, language in enumerate(LANGUAGES):
        assert torch.equal(treated.logits(language, tokens()), plain(tokens(), index))


@every_treatment
@every_variant
def test_removing_restores_the_untreated_output(name: str, variant: str) -> None:
    plain = make_encoder(variant)
    removed = remove_treatment(treated_encoder(name, variant))
    assert torch.equal(removed(tokens(), 1), plain(tokens(), 1))
    assert [n for n, _ in removed.named_parameters()] == [n for n, _ in plain.named_parameters()]


@every_treatment
@every_variant
def test_shared_and_specific_are_disjoint_and_complete(name: str, variant: str) -> None:
    treated = treated_encoder(name, variant)
    template = {n for n, _ in treated.encoder.named_parameters()}
    for phi in treated.specific.values():
        assert set(phi).isdisjoint(treated.shared)
        assert set(phi) | set(treated.shared) == template
    memory = [p.data_ptr() for _, p in treated.named_parameters()]
    assert len(set(memory)) == len(memory), "no two languages may share storage"


@every_treatment
@every_variant
def test_a_batch_of_one_language_leaves_the_others_alone(name: str, variant: str) -> None:
    """`te` stands inside `adapter` and `da` inside `adapter` too: names must not be matched by substring."""
    treated = treated_encoder(name, variant)
    treated.logits("te", tokens()).square().sum().backward()
    for language in ("da", "en"):
        assert all(p.grad is None for p in treated.specific[language].values())
    assert all(p.grad is not None for p in treated.specific["te"].values())
    assert all(p.grad is not None for p in treated.shared.values())


@every_treatment
def test_another_languages_parameters_change_only_its_output(name: str) -> None:
    treated = treated_encoder(name, "modern")
    before = {language: treated.logits(language, tokens()) for language in LANGUAGES}
    with torch.no_grad():
        for parameter in treated.specific["da"].values():
            parameter.add_(0.1)
    after = {language: treated.logits(language, tokens()) for language in LANGUAGES}
    owns_something = bool(treated.specific["da"])
    assert torch.equal(before["te"], after["te"])
    assert torch.equal(before["da"], after["da"]) != owns_something


@pytest.mark.parametrize(
    ("name", "specific"),
    [
        ("none", 0),
        # GEGLU: two maps in, one out, no biases.
        ("ffn", LAYERS * 3 * WIDTH * INNER),
        # Query, key, value, output, no biases.
        ("attention", LAYERS * 4 * WIDTH * WIDTH),
        # Two adapters a layer: down and up with biases.
        ("adapter", LAYERS * 2 * (2 * WIDTH * BOTTLENECK + BOTTLENECK + WIDTH)),
        ("shared-adapter", 0),
        ("meta-adapter", LAYERS * 2 * (2 * WIDTH * BOTTLENECK + BOTTLENECK + WIDTH)),
    ],
)
def test_parameter_counts_by_hand(name: str, specific: int) -> None:
    untreated = (
        VOCABULARY * WIDTH  # tied embedding
        + VOCABULARY  # output bias
        + len(LANGUAGES) * WIDTH
        + LAYERS * (4 * WIDTH * WIDTH + 3 * WIDTH * INNER + 2 * WIDTH)
        + WIDTH
    )
    adapters = LAYERS * 2 * (2 * WIDTH * BOTTLENECK + BOTTLENECK + WIDTH)
    added = adapters if "adapter" in name else 0
    assert treated_encoder(name, "modern").count() == (untreated + added - specific, specific)


@every_treatment
@every_variant
def test_save_and_load_are_bitwise(name: str, variant: str, tmp_path: Path) -> None:
    treated, other = treated_encoder(name, variant), treated_encoder(name, variant)
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for _, parameter in treated.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))
    folder = save_checkpoint(tmp_path, 1, treated, torch.optim.AdamW(treated.shared.values()), {})
    load_weights(folder, other)
    for language in LANGUAGES:
        assert torch.equal(other.logits(language, tokens()), treated.logits(language, tokens()))


def test_mono_and_joint_encoders_of_a_seed_start_alike() -> None:
    """The language embedding has another size, and must not shift the draws of the rest."""
    settings = make_encoder("xlm").settings
    mono, joint = (
        dict(Encoder(settings, 50, block_length=12, num_languages=n, seed=1).named_parameters()) for n in (1, 3)
    )
    alike = {name for name in mono if torch.equal(mono[name], joint[name])}
    assert set(mono) - alike == {"language_embedding.weight"}


def test_xlm_parameter_count_by_hand() -> None:
    shared, specific = treated_encoder("ffn", "xlm").count()
    feed_forward = LAYERS * (2 * WIDTH * INNER + INNER + WIDTH)
    attention = LAYERS * 4 * (WIDTH * WIDTH + WIDTH)
    embeddings = (VOCABULARY + LENGTH + len(LANGUAGES)) * WIDTH + VOCABULARY
    norms = (1 + 2 * LAYERS) * 2 * WIDTH
    assert (shared, specific) == (embeddings + attention + norms, feed_forward)


@every_treatment
def test_shared_weights_are_the_same_under_every_treatment(name: str) -> None:
    """So that two treatments of one seed differ by the treatment only."""
    untreated = dict(treated_encoder("none", "modern").named_parameters())
    for full_name, parameter in treated_encoder(name, "modern").named_parameters():
        if full_name in untreated:
            assert torch.equal(parameter, untreated[full_name])
