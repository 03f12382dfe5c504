"""Settings of a study: a grid of runs over languages.

Every setting of `detente.settings` is documented under its field; the reference page and the JSON schema are generated from there. A model is
frozen and refuses unknown keys. Derived numbers are methods or properties, never stored.
"""

from typing import Literal, get_args

from pydantic import Field, NonNegativeInt

from detente.settings.base import Settings
from detente.settings.grid import ExcludeSettings, IncludeSettings
from detente.settings.run import (
    AdapterSettings,
    BatchSettings,
    EncoderSettings,
    MetaSettings,
    TrainingSettings,
    TreatmentName,
    WatchSettings,
)
from detente.settings.tasks import TaskSettings
from detente.settings.text import LanguageSettings, SplitSettings, VocabularySettings

Preset = Literal["tiny", "mini", "paper"]


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
