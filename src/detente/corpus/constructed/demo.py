"""Two languages for the demo and the tests: they share letters and some words, and differ in most else."""

from detente.settings.text import ConstructedSettings

DEMO_LANGUAGES: dict[str, ConstructedSettings] = {
    "qaa": ConstructedSettings(
        lexicon_seed=1,
        shared_vocabulary=0.2,
        word_order="svo",
        adposition="before",
        adjective="before",
        morphology="suffixing",
    ),
    "qab": ConstructedSettings(
        lexicon_seed=2,
        shared_vocabulary=0.2,
        word_order="sov",
        adposition="after",
        adjective="after",
        morphology="prefixing",
        text_seed=1,
    ),
}
"""Label (an ISO 639 code for local use) -> language. Same world, different text: neither is a translation of the other."""
