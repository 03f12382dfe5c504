"""The demo: two constructed languages, all seven systems, small enough for some minutes on two cores."""

from detente.corpus.constructed import DEMO_LANGUAGES
from detente.settings import StudySettings, study_from_mapping


def demo_study(seeds: int = 3) -> StudySettings:
    """Mono, joint and every treatment at the `tiny` preset, each language seen equally often in all of them."""
    languages = {
        label: {"constructed": constructed.model_dump(), "name": f"Constructed {label[-1].upper()}", "script": "Latn"}
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
            # A larger test split than by default: the text is small, and a score's noise should not be what the demo shows.
            "splits": {"meta": 0.05, "validation": 0.05, "test": 0.05},
        }
    )
