"""Settings of what a study reads: languages and their text, its splits, the vocabulary."""

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from detente.settings.base import Settings

TextFormat = Literal["auto", "text", "jsonl", "parquet", "conllu", "wikipedia"]
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
