"""Every setting, documented under its field. The reference page and the JSON schema are generated from here.

A model is frozen and refuses unknown keys. Derived numbers are methods or properties, never stored.
"""

from typing import Annotated, Literal, Self, get_args

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
from detente.settings.grid import ExcludeSettings, IncludeSettings
from detente.settings.tasks import TaskSettings

TreatmentName = Literal["none", "ffn", "attention", "adapter", "shared-adapter", "meta-adapter"]
TextFormat = Literal["auto", "text", "jsonl", "parquet", "conllu", "wikipedia"]
Preset = Literal["tiny", "mini", "paper"]
Decay = Annotated[float, Field(ge=0, lt=1)]
Script = Literal["latin", "cyrillic", "greek", "georgian", "armenian", "cherokee"]


class ConstructedSettings(Settings):
    """A constructed language: sentences drawn from one grammar of meaning, spoken in its own way."""

    sentences: PositiveInt = 20_000
    """Sentences of running text to generate."""
    script: Script = "latin"
    """Alphabet of the words."""
    lexicon_seed: NonNegativeInt = 1
    """Languages with the same lexicon seed, script and inventory share their words; another seed coins other words."""
    shared_vocabulary: float = Field(0.0, ge=0, le=1)
    """Share of the concepts whose word is the common one (loan words and cognates), in [0, 1]."""
    word_order: Literal["svo", "sov", "vso", "vos", "ovs", "osv"] = "svo"
    """Order of subject, verb and object."""
    adposition: Literal["before", "after"] = "before"
    """Prepositions or postpositions."""
    adjective: Literal["before", "after"] = "before"
    """Adjectives before or after their noun."""
    morphology: Literal["isolating", "suffixing", "prefixing"] = "suffixing"
    """Case, number, tense and agreement as separate particles, as suffixes or as prefixes."""
    meaning_seed: NonNegativeInt = 0
    """Seed of the world that is spoken of: who and what there is, and what goes together."""
    text_seed: NonNegativeInt = 0
    """Seed of what is said of it. Languages with equal meaning and text seeds have parallel text, sentence by sentence."""


class LanguageSettings(Settings):
    """Where the text of one language comes from. The key in `languages` is its label in tables."""

    code: str | None = None
    """Language code (ISO 639-1, or 639-3 where there is none); the label itself when not given. `fr_l: {code: fr, subsample: 100000}` is a smaller French."""
    paths: tuple[str, ...] = ()
    """Files, folders' globs, or `hf://owner/dataset[/configuration][:split]`. Relative to the study file."""
    format: TextFormat = "auto"
    """`auto` goes by the file name: .txt, .jsonl, .parquet, .conllu, .xml (Wikipedia dump), each also .gz, .bz2, .xz, .zst."""
    field: str = "text"
    """Field (JSONL, data sets) or column (Parquet) that holds the text."""
    errors: Literal["strict", "replace"] = "strict"
    """Invalid UTF-8: stop and say where, or replace it by U+FFFD."""
    subsample: PositiveInt | None = None
    """Keep this many training records, chosen by hash; validation and test stay whole, so that sizes can be compared."""
    constructed: ConstructedSettings | None = None
    """Generate the text instead of reading it."""
    name: str | None = None
    """Name for tables; needed, with `script`, only for a code that the language table lacks."""
    script: str | None = None
    """ISO 15924 script, as `Latn`; from the language table when not given."""

    @field_validator("paths", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_path(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.paths) == (self.constructed is not None):
            raise ValueError("give either `paths` (text files) or `constructed` (a generated language)")
        return self


class SplitSettings(Settings):
    """Shares of the records, decided by a hash of each record, so that they never move when text is appended."""

    meta: float = Field(0.02, ge=0, le=0.4)
    """Held-out batches of the meta step (L_val in method 5). The phi of `meta-adapter` learns from these alone: give a small corpus more."""
    validation: float = Field(0.02, gt=0, le=0.4)
    """Curves and model selection."""
    test: float = Field(0.02, gt=0, le=0.4)
    """The reported perplexity; never trained or meta-trained on."""


class VocabularySettings(Settings):
    """The subword vocabulary (byte-level BPE)."""

    size: int = Field(8000, ge=300)
    """Entries, special tokens and the 256 bytes included."""
    scope: Literal["study", "run"] = "study"
    """One vocabulary for the whole study, or one for each mixture."""
    path: str | None = None
    """A ready tokenizer instead: `tokenizer.json`, or a folder that holds one. Relative to the study file."""
    temperature: PositiveFloat = 2.0
    """Languages are drawn with (share of characters)^(1/temperature) for the vocabulary's training text."""
    characters: PositiveInt = 50_000_000
    """At most so many characters are read for training it, over all languages."""


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


class VariantSettings(Settings):
    """A treatment with settings of its own, to be compared with the study's other systems."""

    treatment: TreatmentName
    """The treatment that is varied."""
    adapter: dict[str, object] = Field(default_factory=dict)
    """Settings of `adapter` that differ from the study's."""
    meta: dict[str, object] = Field(default_factory=dict)
    """Settings of `meta` that differ from the study's."""


class StudySettings(Settings):
    """A grid of runs: mixtures x treatments x seeds over some languages, but for what `exclude` takes away and `include` adds."""

    name: str = Field("study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Name of the study, and of its folder when none is given."""
    preset: Preset = "mini"
    """Sizes that work together: `tiny` (demo, tests), `mini` (two cores), `paper` (the source; needs GPUs). Every value can be set over it."""
    folder: str | None = None
    """Where everything is written; `studies/NAME` when not given. Relative to the working folder."""
    languages: dict[str, LanguageSettings] = Field(min_length=1)
    """Label -> where its text comes from."""
    mixtures: tuple[str | tuple[str, ...], ...] = Field(("mono", "joint"), min_length=1)
    """`mono` (each language alone), `pairs` (every two), `joint` (all), or lists of labels."""
    treatments: tuple[TreatmentName, ...] = Field(("none",), min_length=1)
    """Applied to every mixture of two or more languages; a mono run is always untreated."""
    variants: dict[str, VariantSettings] = Field(default_factory=dict)
    """Further systems: name -> a treatment with adapter or meta settings of its own, over the study's."""
    seeds: tuple[NonNegativeInt, ...] = Field((1,), min_length=1)
    """One run of everything for each."""
    exclude: tuple[ExcludeSettings, ...] = ()
    include: tuple[IncludeSettings, ...] = ()
    budget: Literal["steps", "examples"] = "steps"
    """What mono and joint runs have in common: the number of updates, or the examples of each language (a joint run of L languages then takes L times the steps, languages drawn evenly)."""
    splits: SplitSettings = SplitSettings()
    vocabulary: VocabularySettings = VocabularySettings()
    encoder: EncoderSettings = EncoderSettings()
    adapter: AdapterSettings = AdapterSettings()
    meta: MetaSettings = MetaSettings()
    batches: BatchSettings = BatchSettings()
    training: TrainingSettings = TrainingSettings()
    watch: WatchSettings = WatchSettings()
    tasks: dict[str, TaskSettings] = Field(default_factory=dict)
    """Name -> a downstream task that every run is fine-tuned on: `ner`, `pos`, `qa`, `nli`, or a name with `task`."""

    @property
    def needs_meta_split(self) -> bool:
        """Whether the phi of any system learns from the split held out for it."""
        of_systems = self.systems.values()
        metas = [self.system_settings(variant)[1] for treatment, variant in of_systems if treatment == "meta-adapter"]
        return any(meta.meta_split == "meta" for meta in metas)

    @property
    def systems(self) -> dict[str, tuple[TreatmentName, str]]:
        """Name -> treatment, and variant or ''; those that only `include` asks for stand after the grid's treatments."""
        known: tuple[TreatmentName, ...] = get_args(TreatmentName)
        included = [name for name in known if any(part.treatment == name for part in self.include)]
        variants = {name: (variant.treatment, name) for name, variant in self.variants.items()}
        return {name: (name, "") for name in (*self.treatments, *included)} | variants

    def system_settings(self, variant: str) -> tuple[AdapterSettings, MetaSettings]:
        """Adapter and meta settings of a variant, or the study's own for an empty name."""
        if not variant:
            return self.adapter, self.meta
        over = self.variants[variant]
        return (
            AdapterSettings.model_validate(self.adapter.model_dump() | over.adapter),
            MetaSettings.model_validate(self.meta.model_dump() | over.meta),
        )
