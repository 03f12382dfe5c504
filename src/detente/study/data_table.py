"""What a study's data amounts to: counts per language, how the vocabulary suits it, and what gives reason to doubt."""

from pathlib import Path

from detente.corpus.manifest import CorpusManifest, read_manifest
from detente.manifests import MANIFEST_FILE
from detente.vocabulary.manifest import LanguageFit, read_vocabulary_manifest

HEADER = ("text", "language", "script", "records", "words", "characters", "bytes", "duplicates", "tokens a word")


def data_table(folder: Path) -> tuple[list[list[str]], list[str]]:
    """Rows under `HEADER`, one for each corpus in a study's folder, and the corpora's warnings.

    Raises:
        DataError: a manifest is damaged.
    """
    corpora = [read_manifest(path.parent) for path in sorted((folder / "data" / "corpus").glob(f"*/{MANIFEST_FILE}"))]
    vocabularies = [
        read_vocabulary_manifest(path.parent) for path in sorted((folder / "data").glob(f"*/{MANIFEST_FILE}"))
    ]
    rows = []
    for corpus in corpora:
        fits = [each.languages[corpus.label] for each in vocabularies if corpus.label in each.languages]
        rows.append(_row(corpus, fits))
    warnings = [f"{corpus.label}: {warning}" for corpus in corpora for warning in corpus.warnings]
    return rows, warnings


def _row(corpus: CorpusManifest, fits: list[LanguageFit]) -> list[str]:
    splits = corpus.splits.values()
    sums = [sum(getattr(counts, name) for counts in splits) for name in ("records", "words", "characters", "bytes")]
    counted = [f"{number:,}" for number in (*sums, corpus.duplicates)]
    # Vocabularies of single mixtures suit a language differently.
    fertilities = sorted({f"{fit.fertility:.2f}" for fit in fits})
    return [
        corpus.label,
        corpus.name,
        corpus.script,
        *counted,
        " to ".join(fertilities[:: max(len(fertilities) - 1, 1)]),
    ]
