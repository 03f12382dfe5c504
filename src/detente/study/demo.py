"""The demo: two constructed languages, all seven systems, small enough for some minutes on two cores."""

from detente.corpus.constructed import DEMO_LANGUAGES
from detente.settings import StudySettings, study_from_mapping


def demo_study(seeds: int = 3) -> StudySettings:
    """Mono, joint and every treatment at the `tiny` preset, each language seen equally often in all of them."""
    names = {"qaa": "Constructed A", "qab": "Constructed B"}
    languages = {
        label: {"constructed": constructed.model_dump(), "name": names[label]}
        for label, constructed in DEMO_LANGUAGES.items()
    }
    return study_from_mapping(
        {
            "name": "demo",
            "preset": "tiny",
            "languages": languages,
            "mixtures": ["mono", "joint"],
            "treatments": ["none", "ffn", "attention", "adapter", "shared-adapter", "meta-adapter"],
            "seeds": list(range(1, seeds + 1)),
            "budget": "examples",
        }
    )
