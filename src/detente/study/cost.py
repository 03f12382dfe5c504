"""What a step of a run costs beside a step of another, without measuring."""

from detente.settings import RunSettings

H100 = 2.5e14
"""Needed operations a second of the `paper` preset's plain step on one H100, compiled, with bf16: its tokens a second times
`flops_per_token` (benchmarks/results/gpu_plain_nvidia-h100-80gb-hbm3_512.json). Small models use less of it."""

# In forward passes.
TRAINING_PASS = 3
PHI_PASS = 2
DOUBLE_BACKWARD = 9
TF32 = 2.6
"""Times that a pass of differences takes longer beside a run in bf16: its products are TF32 and its attention is float32 there (the source's meta
step in benchmarks/results/gpu_meta_nvidia-h100-80gb-hbm3_512.json)."""


def passes(settings: RunSettings) -> float:
    """Cost of a step in forward passes: a plain step is 3 (forward, gradients of activations and of theta).

    Of the meta step, without its measurements; a pass that wants phi's gradient only is 2. In the order `fused`, g is part of
    theta's update.
    """
    if settings.treatment != "meta-adapter":
        return float(TRAINING_PASS)
    meta = settings.meta
    inner = 0 if meta.order == "fused" else TRAINING_PASS
    on_training_rows = (inner + _mixed_derivative(settings)) * meta.inner_fraction
    return TRAINING_PASS + (on_training_rows + _held_out(settings) * meta.meta_fraction) / meta.every


def _mixed_derivative(settings: RunSettings) -> float:
    is_float32 = settings.training.precision == "float32"
    difference = PHI_PASS if is_float32 else TF32 * PHI_PASS
    # The base of one-sided differences comes with g, unless that pass was rounded to bf16.
    one_sided = difference if is_float32 else 2 * difference
    kinds = {"central": 2 * difference, "one-sided": one_sided, "exact": DOUBLE_BACKWARD, "none": 0}
    return kinds[settings.meta.second_order]


def _held_out(settings: RunSettings) -> int:
    """Of the passes that give v and d; without v, the language's own is the only one."""
    languages, wanted = len(settings.mixture), settings.meta.meta_languages
    if settings.meta.second_order == "none":
        return PHI_PASS
    return TRAINING_PASS * (wanted if isinstance(wanted, int) else {"all": languages, "others": languages - 1}[wanted])


def h100_hours(settings: RunSettings, vocabulary_size: int) -> float:
    """Of a run, if it used an H100 as well as `H100` says, and a pass of the meta step cost there what it needs."""
    needed = settings.tokens(settings.training.steps) * flops_per_token(settings, vocabulary_size)
    return needed * passes(settings) / TRAINING_PASS / H100 / 3600


def flops_per_token(settings: RunSettings, vocabulary_size: int) -> float:
    """Multiplications and additions that a plain step needs for a token of the input: three times those of the forward pass.

    Logits are needed at the targets only, and so is the last layer but for its keys and values. Adapters are counted.
    """
    chosen, length = settings.encoder, settings.batches.block_length
    width = chosen.width
    share = max(1, round(settings.batches.mask_rate * length)) / length
    matrices = 3 if chosen.variant == "modern" else 2
    projections, mixing = 8 * width**2, 4 * length * width
    rest = 2 * matrices * width * chosen.feed_forward_width
    if "adapter" in settings.treatment:
        rest += 8 * width * (settings.adapter.width or width // 4)
    last = 4 * width**2 + share * (4 * width**2 + mixing + rest)
    head = share * 2 * width * vocabulary_size
    return TRAINING_PASS * ((chosen.layers - 1) * (projections + mixing + rest) + last + head)
