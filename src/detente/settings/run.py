"""Settings of one pretraining run."""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from detente.settings.base import Settings

TreatmentName = Literal["none", "ffn", "attention", "adapter", "shared-adapter", "meta-adapter"]
Decay = Annotated[float, Field(ge=0, lt=1)]


class EncoderSettings(Settings):
    """Shape of the Transformer encoder (method 3)."""

    variant: Literal["xlm", "modern"] = "modern"
    """`xlm`: learned positions, post-norm, GELU. `modern`: rotary positions, pre-norm, gated feed-forward, no biases."""
    layers: PositiveInt = 4
    """Transformer blocks."""
    width: PositiveInt = 256
    """Width of the hidden states."""
    heads: PositiveInt = 4
    """Attention heads; must divide the width."""
    feed_forward_width: PositiveInt = 704
    """Inner width of the feed-forward block (gated: of each of its two halves)."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout of embeddings and sublayer outputs."""
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout of attention weights; above 0 rules out fused attention on CPU."""
    language_embedding: bool = False
    """Add a learned vector for the language to every token (XLM)."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"`width` {self.width} is not a multiple of `heads` {self.heads}")
        if self.variant == "modern" and (self.width // self.heads) % 2:
            raise ValueError(f"rotary positions need an even head width, found {self.width // self.heads}")
        return self


class AdapterSettings(Settings):
    """Bottlenecks after attention and after feed-forward (method 4)."""

    width: PositiveInt | None = None
    """Bottleneck width; a quarter of the encoder's width when not given."""
    activation: Literal["relu", "gelu"] = "relu"
    """Between the two projections."""


class MetaSettings(Settings):
    """The bilevel step of `meta-adapter` (method 5). The defaults are the source's; the presets `tiny` and `mini` have cheaper ones."""

    order: Literal["theta-after-phi", "fused"] = "theta-after-phi"
    """`theta-after-phi`: theta follows the training gradient at the new phi (the source). `fused`: at the old phi, whose pass the meta-gradient needs anyway."""
    second_order: Literal["central", "one-sided", "exact", "none"] = "central"
    """The mixed second derivative: central differences (the source), one-sided ones, double backward (slow, for reference), or left out: phi then learns from held-out text alone."""
    inner_rule: Literal["sgd", "adam"] = "sgd"
    """The virtual step theta' = theta - beta P g: P = 1 (the source), or P as AdamW would scale each weight."""
    beta: PositiveFloat | None = None
    """Fixed rate of the virtual inner step; `beta_multiple` times the current learning rate when not given."""
    beta_multiple: PositiveFloat = 1.0
    """The virtual step's rate in current learning rates; 1 is the source's."""
    epsilon: float | None = Field(None, gt=0, le=1)
    """Finite-difference step as a share: theta moves by epsilon * u / ||u||, where u = P v. When not given, where truncation and rounding balance: 0.01 (central) or 0.0005 (one-sided), with `training.precision: bf16` 0.03 or 0.01."""
    inner_fraction: float = Field(1.0, gt=0, le=1)
    """Share of the training batch that g and the mixed derivative are taken on."""
    meta_fraction: float = Field(1.0, gt=0, le=1)
    """Held-out batches have this share of a batch's blocks."""
    every: PositiveInt = 1
    """Each language's phi is updated at every so many batches of that language; theta at every step."""
    meta_languages: Literal["all", "others"] | Annotated[int, Field(ge=2)] = "all"
    """Languages that validate: all (the source), all others, or this many: the trained one and others drawn anew each step."""
    meta_split: Literal["meta", "train"] = "meta"
    """Text that validates: the split held out for it, or other batches of the training text."""
    measure_every: PositiveInt = 50
    """Steps between measurements of both terms of the meta-gradient; they cost a few passes and change no result."""
    skip_limit: NonNegativeInt = 10
    """Updates of phi that may be left out because the held-out gradient is zero or not finite; then the run stops."""

    def difference_step(self, precision: str) -> float:
        """Epsilon, or what suits the kind of differences and the training precision."""
        defaults = {"float32": (0.01, 0.0005), "bf16": (0.03, 0.01)}
        central, one_sided = defaults[precision]
        return self.epsilon or (one_sided if self.second_order == "one-sided" else central)

    @field_validator("meta_languages", mode="before")
    @classmethod
    def _one_problem(cls, value: object) -> object:
        """One sentence, in place of one for each alternative of the type."""
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 2
        if not is_number and value not in ("all", "others"):
            raise ValueError(f"it should be `all`, `others` or a number of languages, 2 or more, found {value!r}")
        return value

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if self.second_order == "none" and self.meta_languages == "others":
            raise ValueError(
                "with `second_order: none` phi learns from its own language's held-out batch only, which `meta_languages: others` "
                "rules out: choose `all`, or another `second_order`"
            )
        if self.beta is not None and self.beta_multiple != 1.0:
            raise ValueError("`beta_multiple` has no effect with a fixed `beta`: remove one")
        return self


class BatchSettings(Settings):
    """How text becomes batches."""

    block_length: int = Field(128, ge=8)
    """Tokens in a block; streams are cut without padding."""
    blocks: PositiveInt = 32
    """Blocks in one microbatch (all of one language)."""
    temperature: PositiveFloat = 1.43
    """Language i is drawn with (n_i / sum n)^(1/temperature), n_i its training tokens; 1 is proportional, large is even. 1.43 is XLM's exponent 0.7."""
    mask_rate: float = Field(0.15, gt=0, lt=1)
    """Share of positions that are targets; of these 80 % become the mask token, 10 % a random token, 10 % stay."""


class TrainingSettings(Settings):
    """Optimizer, schedule and bookkeeping of a run."""

    steps: PositiveInt = 2000
    """Optimizer updates of a run; with `budget: examples`, updates for each language of its mixture."""
    accumulation: PositiveInt = 1
    """Microbatches in one update, each of a language drawn anew."""
    learning_rate: PositiveFloat = 1e-3
    """Peak rate of AdamW."""
    schedule: Literal["inverse-sqrt", "cosine"] = "cosine"
    """After the linear warm-up: XLM's inverse square root, or a cosine down to a tenth."""
    warmup_steps: NonNegativeInt = 100
    """Updates of linear warm-up; the same number in every run of a study, however long."""
    betas: tuple[Decay, Decay] = (0.9, 0.98)
    """Decay rates of AdamW's moments."""
    eps: PositiveFloat = 1e-6
    """AdamW's epsilon."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled weight decay, on matrices only."""
    clip: PositiveFloat = 1.0
    """Each update's gradient is scaled down to this norm."""
    precision: Literal["float32", "bf16"] = "float32"
    """`bf16` runs the forward pass under autocast; weights stay float32."""
    compile: bool = False
    """Training passes go through `torch.compile`: worth its minute of compiling in long runs on a GPU; a CPU gains nothing. It draws other dropout masks."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU when there is one."""
    validate_every: PositiveInt = 200
    """Steps between evaluations on the validation split."""
    validation_blocks: PositiveInt = 64
    """At most so many blocks of each language are evaluated for the curves."""
    test_blocks: PositiveInt = 1024
    """At most so many blocks of each language are evaluated at the end: in the test split every token of them once, in the validation split with one set of masks."""
    checkpoint_every: PositiveInt = 500
    """Steps between checkpoints; one is always written at the end and on interruption."""
    keep_checkpoints: PositiveInt = 1
    """The newest so many are kept."""
    keep_every: PositiveInt | None = None
    """Checkpoints of every so many steps are kept besides, a multiple of `checkpoint_every`; none when not given."""
    skip_nonfinite: NonNegativeInt = 0
    """Updates that may be left out because a loss or gradient is not finite; then the run stops. 0 stops at the first."""

    @model_validator(mode="after")
    def _kept_are_written(self) -> Self:
        if self.keep_every is not None and self.keep_every % self.checkpoint_every:
            raise ValueError(
                f"`keep_every` {self.keep_every} is not a multiple of `checkpoint_every` {self.checkpoint_every}: those checkpoints "
                "would not be written"
            )
        return self


class WatchSettings(Settings):
    """What is measured along training besides losses. It changes no weight."""

    gradients_every: PositiveInt | None = None
    """Steps between measurements of gradient conflict; none when not given."""
    gradient_blocks: PositiveInt = 512
    """Blocks of each language in a measurement. The source took 4096 sentences."""


class RunSettings(Settings):
    """One pretraining run: what decides its result, and nothing else."""

    mixture: tuple[str, ...] = Field(min_length=1)
    """Labels of the languages trained together."""
    treatment: TreatmentName = "none"
    """How capacity is split between shared and language-specific parameters."""
    variant: str = ""
    """Name of the study's variant that this is a run of; tables show it in place of the treatment. Decides nothing."""
    seed: NonNegativeInt = 1
    """Seeds initialisation, language order, blocks, masking and dropout."""
    encoder: EncoderSettings = EncoderSettings()
    adapter: AdapterSettings = AdapterSettings()
    meta: MetaSettings = MetaSettings()
    batches: BatchSettings = BatchSettings()
    training: TrainingSettings = TrainingSettings()
    watch: WatchSettings = WatchSettings()
    vocabulary: str = "shared"
    """Name of the vocabulary in the study's data folder."""
    drawn_evenly: bool = False
    """Languages are drawn evenly, whatever the temperature (set by `budget: examples`)."""

    @model_validator(mode="after")
    def _languages_suffice(self) -> Self:
        if self.treatment != "meta-adapter":
            return self
        if len(self.mixture) < 2:
            raise ValueError(
                f"`meta-adapter` needs two languages or more, since phi learns what the others need; found {self.mixture[0]} alone"
            )
        if self.meta.second_order == "exact" and self.training.compile:
            raise ValueError(
                "`meta.second_order: exact` needs second derivatives, which compiled passes do not have: set `training.compile: false`"
            )
        wanted = self.meta.meta_languages
        if isinstance(wanted, int) and wanted > len(self.mixture):
            raise ValueError(
                f"`meta.meta_languages` is {wanted}, but the mixture {'+'.join(self.mixture)} has {len(self.mixture)} languages; "
                "use `all`"
            )
        return self

    @property
    def name(self) -> str:
        """For people: mixture, treatment, seed. Unique within a study."""
        return f"{'+'.join(self.mixture)}_{self.system}_seed{self.seed}"

    @property
    def system(self) -> str:
        """The variant, or the treatment where it is the study's own."""
        return self.variant or self.treatment

    def tokens(self, steps: int) -> int:
        """Training tokens in so many steps; held-out batches are not counted."""
        return steps * self.training.accumulation * self.batches.blocks * self.batches.block_length
