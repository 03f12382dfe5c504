"""The `xlm` encoder against Hugging Face's XLM with copied weights; position-sparse against full computation, padded against alone."""

import pytest
import torch
from transformers import XLMConfig, XLMWithLMHeadModel

from detente.encoder import Encoder
from detente.settings import EncoderSettings

VOCABULARY, LENGTH, LANGUAGES = 211, 24, 3
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}

SHAPE = EncoderSettings(
    variant="xlm",
    layers=3,
    width=48,
    heads=4,
    feed_forward_width=192,
    dropout=0.1,
    attention_dropout=0.1,
    language_embedding=True,
)


def xlm_reference(dtype: torch.dtype) -> XLMWithLMHeadModel:
    torch.manual_seed(5)
    config = XLMConfig(
        vocab_size=VOCABULARY,
        emb_dim=SHAPE.width,
        n_layers=SHAPE.layers,
        n_heads=SHAPE.heads,
        n_langs=LANGUAGES,
        max_position_embeddings=LENGTH,
        gelu_activation=True,
        use_lang_emb=True,
        embed_init_std=0.3,
        init_std=0.2,
        tie_word_embeddings=True,
    )
    model = XLMWithLMHeadModel(config).to(dtype).eval()
    assert model.transformer.ffns[0].lin1.out_features == SHAPE.feed_forward_width
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def copy_weights(reference: XLMWithLMHeadModel, encoder: Encoder) -> None:
    source = reference.transformer
    pairs = [
        (encoder.token_embedding.weight, source.embeddings.weight),
        (encoder.position_embedding.weight, source.position_embeddings.weight),
        (encoder.language_embedding.weight, source.lang_embeddings.weight),
        (encoder.output_bias, reference.pred_layer.proj.bias),
    ]
    modules = [(encoder.embedding_norm, source.layer_norm_emb)]
    for i, block in enumerate(encoder.blocks):
        theirs = source.attentions[i]
        modules += [
            (block.attention.query, theirs.q_lin),
            (block.attention.key, theirs.k_lin),
            (block.attention.value, theirs.v_lin),
            (block.attention.output, theirs.out_lin),
            (block.attention_norm, source.layer_norm1[i]),
            (block.feed_forward.inner, source.ffns[i].lin1),
            (block.feed_forward.output, source.ffns[i].lin2),
            (block.feed_forward_norm, source.layer_norm2[i]),
        ]
    for ours, theirs in modules:
        pairs += [(ours.weight, theirs.weight), (ours.bias, theirs.bias)]
    with torch.no_grad():
        for ours, theirs in pairs:
            ours.copy_(theirs)
    assert len(pairs) == sum(1 for _ in encoder.parameters()), "every parameter must be copied"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("language", range(LANGUAGES))
def test_logits_equal_xlm(dtype: torch.dtype, language: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library's attention casts its scores to float32 for the softmax, whatever the model's type: that alone costs 1e-7.
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    reference = xlm_reference(dtype)
    encoder = Encoder(SHAPE, VOCABULARY, block_length=LENGTH, num_languages=LANGUAGES).to(dtype).eval()
    copy_weights(reference, encoder)
    tokens = torch.randint(4, VOCABULARY, (5, LENGTH), generator=torch.Generator().manual_seed(1))
    expected = reference(tokens, langs=torch.full_like(tokens, language)).logits
    actual = encoder(tokens, language)
    assert expected.std() > 0.1
    assert (actual - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max().clamp(min=1)


def lengths_mask(lengths: tuple[int, ...]) -> torch.Tensor:
    """1 where a token is real."""
    return (torch.arange(LENGTH) < torch.tensor(lengths).unsqueeze(1)).long()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_of_padded_rows_equal_xlm(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    reference = xlm_reference(dtype)
    encoder = Encoder(SHAPE, VOCABULARY, block_length=LENGTH, num_languages=LANGUAGES).to(dtype).eval()
    copy_weights(reference, encoder)
    tokens = torch.randint(4, VOCABULARY, (4, LENGTH), generator=torch.Generator().manual_seed(1))
    mask = lengths_mask((LENGTH, 17, 5, 1))
    expected = reference(tokens, attention_mask=mask, langs=torch.full_like(tokens, 2)).logits[mask.bool()]
    actual = encoder(tokens, 2, mask=mask)[mask.bool()]
    assert (actual - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize("variant", ["xlm", "modern"])
def test_real_tokens_do_not_see_padding(variant: str) -> None:
    """Of each row: the same states and gradients alone, behind any padding, and at positions asked for."""
    settings = EncoderSettings(variant=variant, layers=3, width=32, heads=4, feed_forward_width=48)
    encoder = Encoder(settings, VOCABULARY, block_length=LENGTH, seed=4).double().eval()
    random = torch.Generator().manual_seed(6)
    tokens = torch.randint(VOCABULARY, (4, LENGTH), generator=random)
    lengths = (LENGTH, 17, 5, 1)
    mask = lengths_mask(lengths)
    other_padding = torch.where(mask.bool(), tokens, torch.randint(VOCABULARY, tokens.shape, generator=random))
    assert (other_padding != tokens).any()
    positions = torch.stack([torch.randint(length, (3,), generator=random) for length in lengths])

    padded, again = encoder.hidden_states(tokens, 0, mask), encoder.hidden_states(other_padding, 0, mask.bool())
    sparse = encoder.encode(tokens, 0, positions, mask)
    for row, length in enumerate(lengths):
        alone = tokens[row : row + 1, :length]
        for state, other, expected in zip(padded, again, encoder.hidden_states(alone), strict=True):
            torch.testing.assert_close(state[row, :length], expected[0], rtol=0, atol=1e-12)
            torch.testing.assert_close(other[row, :length], expected[0], rtol=0, atol=1e-12)
        at_positions = encoder.encode(alone, 0, positions[row : row + 1])
        torch.testing.assert_close(sparse[row], at_positions[0], rtol=0, atol=1e-12)

    parameters = [p for name, p in encoder.named_parameters() if name != "output_bias"]
    rows = [encoder.encode(tokens[row : row + 1, :length]).sum() for row, length in enumerate(lengths)]
    expected = torch.autograd.grad(torch.stack(rows).square().sum(), parameters)
    sums = (encoder.encode(tokens, mask=mask) * mask.unsqueeze(-1)).sum((1, 2))
    actual = torch.autograd.grad(sums.square().sum(), parameters)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("variant", ["xlm", "modern"])
def test_a_mask_without_padding_changes_nothing_and_none_is_no_mask(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EncoderSettings(variant=variant, layers=2, width=32, heads=4, feed_forward_width=48)
    encoder = Encoder(settings, VOCABULARY, block_length=LENGTH).double().eval()
    tokens = torch.randint(VOCABULARY, (3, LENGTH), generator=torch.Generator().manual_seed(2))
    masked = encoder(tokens, mask=torch.ones_like(tokens))
    attend, masks = torch.nn.functional.scaled_dot_product_attention, []

    def watched(*arguments: torch.Tensor, attn_mask: object, **values: float) -> torch.Tensor:
        masks.append(attn_mask)
        return attend(*arguments, **values)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    torch.testing.assert_close(encoder(tokens), masked, rtol=0, atol=1e-12)
    assert masks == [None, None], "the fused kernels without a mask are the fast ones"


@pytest.mark.parametrize("variant", ["xlm", "modern"])
def test_positions_asked_for_give_the_same_logits_and_gradients(variant: str) -> None:
    settings = EncoderSettings(variant=variant, layers=2, width=32, heads=4, feed_forward_width=48)
    encoder = Encoder(settings, VOCABULARY, block_length=LENGTH).double().eval()
    random = torch.Generator().manual_seed(2)
    tokens = torch.randint(VOCABULARY, (3, LENGTH), generator=random)
    positions = torch.stack([torch.randperm(LENGTH, generator=random)[:5].sort().values for _ in range(3)])
    full = encoder(tokens).gather(1, positions.unsqueeze(-1).expand(-1, -1, VOCABULARY))
    sparse = encoder(tokens, 0, positions)
    torch.testing.assert_close(sparse, full, rtol=0, atol=1e-12)
    parameters = list(encoder.parameters())
    expected = torch.autograd.grad(full.square().sum(), parameters)
    actual = torch.autograd.grad(sparse.square().sum(), parameters)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def test_rotary_attention_sees_distances_only() -> None:
    """The scores of two equal tokens depend on how far apart they stand, not on where (Su et al. 2021)."""
    settings = EncoderSettings(variant="modern", layers=1, width=32, heads=2, feed_forward_width=48)
    encoder = Encoder(settings, VOCABULARY, block_length=LENGTH).double().eval()
    rotary = encoder.blocks[0].attention.rotary
    q, k = (torch.randn(1, 2, 1, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    turned_q, turned_k = rotary(q.expand(-1, -1, LENGTH, -1), None), rotary(k.expand(-1, -1, LENGTH, -1), None)
    scores = turned_q @ turned_k.transpose(-1, -2)
    torch.testing.assert_close(scores[..., 5, 2], scores[..., 15, 12], rtol=0, atol=1e-6)
    assert (scores[..., 5, 2] - scores[..., 5, 3]).abs().min() > 1e-3
