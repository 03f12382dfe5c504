"""Settings of the downstream tasks (method 8)."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from detente.settings.base import Settings

TaskName = Literal["ner", "pos", "qa", "nli"]


class TaskFiles(Settings):
    """Labelled files of one language."""

    train: tuple[str, ...] = ()
    """File or files; a language without them is tested zero-shot only."""
    validation: tuple[str, ...] = ()
    """For the choice among the grid and the epochs; when not given, a part of `train` is put aside for it."""
    test: tuple[str, ...] = ()
    """What scores are of; when not given, the language is not tested."""

    @field_validator("train", "validation", "test", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class TaskSettings(Settings):
    """A downstream task: its files, and the grid of fine-tunings that is chosen from. The defaults are the source's for NER and POS."""

    task: TaskName | None = None
    """What it asks; the task's own name when not given. So that two NER data sets can stand in one study."""
    data: dict[str, TaskFiles] = Field(default_factory=dict)
    """Language -> labelled files. Constructed languages that are not named here get constructed data."""
    sources: tuple[str, ...] = ()
    """Languages that are fine-tuned on, each tested within and zero-shot on all others; all that have training files when not given."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tag -> the tag that is meant (entity types without `B-`, such as `PERS: PER`; `O` drops a type)."""
    strict: bool = False
    """Refuse what would be repaired: invalid IOB2, sentences tagged in part, misplaced answers."""
    keep_overlap: bool = False
    """Keep test and validation examples that stand in the training file too."""
    validation_fraction: float = Field(0.1, gt=0, lt=1)
    """Share of `train` put aside where there are no validation files."""
    epochs: PositiveInt = 10
    """Passes over the training examples; after each the validation examples are scored."""
    examples_per_epoch: PositiveInt | None = None
    """An epoch is this many examples, drawn anew; all when not given."""
    batch_sizes: tuple[PositiveInt, ...] = Field((16, 32), min_length=1)
    """Examples an update: every one is tried."""
    learning_rates: tuple[PositiveFloat, ...] = Field((2e-5, 3e-5, 5e-5), min_length=1)
    """Peak rates: every one is tried with every batch size."""
    head_learning_rates: tuple[PositiveFloat, ...] = ()
    """Of the new head: every one is tried with all others; the same as the encoder's when not given."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of the updates over which the rate rises; then it falls linearly to zero."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled, of AdamW."""
    max_length: PositiveInt | None = Field(None, ge=16)
    """Tokens a sequence, special ones included; what the model takes, 512 at most, when not given. Longer sentences are tagged in pieces, passages read in windows, pairs cut."""
    stride: NonNegativeInt = 64
    """Tokens that two windows of a passage share, a quarter of `max_length` at most (qa)."""
    max_answer_length: PositiveInt = 30
    """Tokens of the longest answer that is looked for (qa)."""
    specific: Literal["trainable", "frozen"] = "trainable"
    """Whether the source's language-specific parameters follow too. The source found that they should."""
    seeds: tuple[NonNegativeInt, ...] = Field((1,), min_length=1)
    """One fine-tuning of everything for each."""


TASK_DEFAULTS: dict[str, dict[str, object]] = {
    # Wang, Lipton and Tsvetkov 2020, appendix: two epochs of reading, and an epoch of inference is 20,000 pairs.
    "ner": {},
    "pos": {},
    "qa": {"epochs": 2},
    "nli": {
        "epochs": 200,
        "examples_per_epoch": 20_000,
        "batch_sizes": [4, 8],
        "learning_rates": [1e-6, 5e-6, 2e-5],
        "head_learning_rates": [5e-6, 2e-5, 5e-5],
    },
}
"""What differs from the class's defaults."""

SMALL_TASK_DEFAULTS: dict[str, dict[str, object]] = {
    "ner": {"epochs": 4, "batch_sizes": [32], "learning_rates": [3e-4, 1e-3]},
    "pos": {"epochs": 4, "batch_sizes": [32], "learning_rates": [3e-4, 1e-3]},
    "qa": {"epochs": 4, "batch_sizes": [32], "learning_rates": [3e-4, 1e-3]},
    "nli": {"epochs": 4, "batch_sizes": [32], "learning_rates": [1e-4, 3e-4]},
}
"""For the presets `tiny` and `mini`: their models were trained at rates a hundred times the source's, and two cores do the grid."""


def with_task_defaults(tasks: Mapping[str, object], *, are_small: bool) -> dict[str, object]:
    """What stands under `tasks`, laid over the defaults of each task."""
    defaults = SMALL_TASK_DEFAULTS if are_small else TASK_DEFAULTS
    filled: dict[str, object] = {}
    for name, given in tasks.items():
        values = given if isinstance(given, Mapping) else {} if given is None else None
        filled[name] = given if values is None else {**defaults.get(str(values.get("task") or name), {}), **values}
    return filled
