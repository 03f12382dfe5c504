"""What a finished corpus gives reason to doubt, one sentence each with what to do."""

from collections.abc import Iterator

from detente.corpus.manifest import CorpusManifest
from detente.languages import is_known_script, scripts_within

_FEW_TRAIN_CHARACTERS = 100_000
_FEW_TEST_CHARACTERS = 5_000
_MANY_DUPLICATES = 0.25


def find_doubts(manifest: CorpusManifest, subsample: int | None) -> Iterator[str]:
    """Warnings for the manifest's reader; `subsample` is what was asked for."""
    expected = scripts_within(manifest.script)
    share = sum(manifest.scripts.get(script, 0.0) for script in expected)
    if manifest.scripts and share < 0.5 and is_known_script(manifest.script):
        most, its_share = next(iter(manifest.scripts.items()))
        yield f"{its_share:.0%} of the letters are {most} and only {share:.0%} {manifest.script}: is this {manifest.name}? Check `paths` or `script`."
    train, test = manifest.splits["train"], manifest.splits["test"]
    if train.characters < _FEW_TRAIN_CHARACTERS:
        yield f"the training text is very small ({train.characters:,} characters): enough to try things out, too little to measure."
    if test.characters < _FEW_TEST_CHARACTERS:
        yield f"the test text is very small ({test.characters:,} characters): scores will be noisy. Raise `splits.test` or add text."
    seen = manifest.records + manifest.duplicates + manifest.not_sampled
    if manifest.duplicates > _MANY_DUPLICATES * seen:
        yield f"{manifest.duplicates / seen:.0%} of the records were duplicates and left out: is a file listed twice, or boilerplate in it?"
    if subsample is not None and train.records < subsample:
        yield f"`subsample` asks for {subsample:,} training records, but there are only {train.records:,}."
