"""The page's verdict: the numbers that the rules ask for, gathered from a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detente.diagnosis_results.gradients import THETA, GradientConflict
from detente.report import advice, numbers, rules
from detente.report.comparisons import Comparison, against_untreated, inconsistencies, interference, recovered
from detente.report.diagnoses import Diagnoses
from detente.report.interference_matrix import has_matrix, interference_matrix, mixtures_beside_matrix
from detente.report.inventory import Study, System
from detente.report.ladder import cost_of
from detente.report.meta_verdict import meta_cautions
from detente.report.statistics import Word, estimate
from detente.report.transfer import transfer_changes

KINDS = ("attention", "ffn")
"""Of modules, that a treatment may stand in."""


@dataclass(frozen=True)
class Finding:
    """One sentence or two on a mixture and a language."""

    mixture: tuple[str, ...]
    language: str
    word: Word
    """For the untreated mixture."""
    text: str
    treatments: str = ""
    """What the treatments do about it; empty without any."""
    transfer: str = ""
    """What the treatments do to zero-shot transfer to the language; empty without tasks."""


@dataclass(frozen=True)
class MixtureVerdict:
    """What is known of one mixture."""

    mixture: tuple[str, ...]
    tally: str
    findings: tuple[Finding, ...]
    places: str
    """Where the conflict sits."""
    cost: str
    """Empty where no treatment helps beyond doubt."""
    next_steps: tuple[str, ...]


def verdicts(study: Study, diagnoses: Mapping[tuple[str, ...], Diagnoses]) -> tuple[MixtureVerdict, ...]:
    """Of every mixture that is more than a cell of the matrix of pairs, the largest first."""
    mixtures = sorted(mixtures_beside_matrix(study), key=len, reverse=True)
    return tuple(_verdict(study, mixture, diagnoses.get(mixture)) for mixture in mixtures)


@dataclass(frozen=True)
class PairsVerdict:
    """What is known of all pairs that are cells of the matrix."""

    summary: str
    findings: tuple[Finding, ...]


def pairs_verdict(study: Study) -> PairsVerdict | None:
    """All pairs of a study; None where they make no matrix."""
    cells = matrix_cells(study)
    if not cells:
        return None
    beside = mixtures_beside_matrix(study)
    pairs = [mixture for mixture in study.mixtures if mixture not in beside]
    return PairsVerdict(rules.pairs_sentence(cells), tuple(one for pair in pairs for one in findings(study, pair)))


def findings(study: Study, mixture: tuple[str, ...]) -> tuple[Finding, ...]:
    """For every language of a mixture, what mixing does and which treatments help."""
    return tuple(_finding(study, mixture, language) for language in mixture)


def cautions(study: Study) -> tuple[str, ...]:
    """What a reader must know before believing the findings."""
    return (*_missing(study), *_plateau(study), *_one_seed(study), *meta_cautions(study), *inconsistencies(study))


def places_of(gradients: Sequence[GradientConflict]) -> tuple[rules.Place, ...]:
    """Every pair of languages in every layer, in attention and in ffn; as many seeds as there are measurements.

    Only where every measurement has a cosine: one that was too weak to have one would be left out for its size.
    """
    if not gradients:
        return ()
    regions = [region for region in gradients[0].regions if region != THETA and region.kind in (None, *KINDS)]
    places = []
    for region in regions:
        for pair in gradients[0].pairs:
            found = [each.pair(*pair, region).corrected for each in gradients]
            cosines = [cosine for cosine in found if cosine is not None]
            if len(cosines) == len(found):
                places.append(rules.Place(pair, region.label, estimate(cosines)))
    return tuple(places)


def matrix_cells(study: Study) -> dict[tuple[str, str], Comparison]:
    """Who is hurt, by whom -> what is lost; of all that is known."""
    if not has_matrix(study):
        return {}
    matrix = interference_matrix(study)
    return {
        (hurt, by): cell
        for hurt, row in zip(matrix.languages, matrix.cells, strict=True)
        for by, cell in zip(matrix.languages, row, strict=True)
        if cell
    }


def _verdict(study: Study, mixture: tuple[str, ...], diagnoses: Diagnoses | None) -> MixtureVerdict:
    found = findings(study, mixture)
    helpful = [system for system in _treated(study, mixture) if _helped(study, system)]
    return MixtureVerdict(
        mixture,
        rules.tally_sentence({label: interference(study, System(mixture, "none"), label) for label in mixture}),
        found,
        rules.places_sentence(places_of(list(diagnoses.gradients.values()) if diagnoses else [])),
        rules.cost_sentence([cost_of(study, system) for system in helpful]),
        advice.next_steps(_situation(study, mixture)),
    )


def _finding(study: Study, mixture: tuple[str, ...], language: str) -> Finding:
    untreated = System(mixture, "none")
    if untreated not in study.by_system:
        text = f"The study has no untreated {'+'.join(mixture)}, so there is no verdict on mixing alone; the table of interference has the rest."
        return Finding(mixture, language, "cannot tell", text)
    comparison = interference(study, untreated, language)
    text = rules.interference_sentence(language, mixture, comparison)
    if comparison and comparison.has_learned:
        text = f"{text} {rules.exposure_sentence(language, comparison)}".strip()
    compared = [
        (system.name, against_untreated(study, system, language), recovered(study, system, language))
        for system in _treated(study, mixture)
    ]
    word = comparison.word if comparison else "cannot tell"
    transfer = rules.transfer_sentence(language, list(transfer_changes(study, _treated(study, mixture), language)))
    return Finding(mixture, language, word, text, rules.treatments_sentence(language, compared), transfer)


def _situation(study: Study, mixture: tuple[str, ...]) -> advice.Situation:
    untreated, treated = System(mixture, "none"), _treated(study, mixture)
    compared = {label: interference(study, untreated, label) for label in mixture}
    known = {label: comparison for label, comparison in compared.items() if comparison}
    low, _ = rules.SAME_EXPOSURE
    return advice.Situation(
        seeds=max((comparison.difference.seeds for comparison in known.values()), default=0),
        stuck=tuple(label for label, comparison in known.items() if not comparison.has_learned),
        differences={label: comparison.difference for label, comparison in known.items() if comparison.has_learned},
        remedies=_remedies(study, mixture),
        has_treatments=bool(treated),
        capacity=tuple(
            label for system in treated if system.name == "shared-adapter" for label in _helped(study, system)
        ),
        company=_company(study, mixture),
        less_text=tuple(label for label, comparison in known.items() if comparison.exposure < low),
    )


def _treated(study: Study, mixture: tuple[str, ...]) -> list[System]:
    return [system for system in study.systems if system.mixture == mixture and not system.is_untreated]


def _helped(study: Study, system: System) -> list[str]:
    """Languages that it helps, beside the untreated mixture."""
    compared = {label: against_untreated(study, system, label) for label in system.mixture}
    return [label for label, comparison in compared.items() if comparison and comparison.word == "helped"]


def _remedies(study: Study, mixture: tuple[str, ...]) -> dict[str, str]:
    """Language -> of the treatments that help it, the one that helps most."""
    best: dict[str, tuple[float, str]] = {}
    for system in _treated(study, mixture):
        for label in _helped(study, system):
            comparison = against_untreated(study, system, label)
            assert comparison is not None, "what helps was compared"
            best[label] = min(best.get(label, (0.0, "")), (comparison.difference.mean, system.name))
    return {label: name for label, (_, name) in best.items()}


def _company(study: Study, mixture: tuple[str, ...]) -> dict[str, str]:
    """Language -> who of the mixture hurts it most in pairs, beyond doubt."""
    clear = {
        pair: cell for pair, cell in matrix_cells(study).items() if cell.word == "hurt" and set(pair) <= set(mixture)
    }
    ranked = sorted(clear, key=lambda pair: clear[pair].difference.mean)
    return dict(ranked)


def _missing(study: Study) -> list[str]:
    num_missing = len(study.expected_gaps)
    if not num_missing:
        return []
    num_expected = num_missing + len(study.runs)
    verb = "is" if num_missing == 1 else "are"
    where = "not in the tables (missing, failed or unfinished) and listed below"
    return [f"{num_missing} of {num_expected} runs {verb} {where}."]


def _plateau(study: Study) -> list[str]:
    stuck = [run for run in study.runs if not all(result.has_learned for result in run.record.languages.values())]
    if not stuck:
        return []
    subject = "1 run has" if len(stuck) == 1 else f"{len(stuck)} runs have"
    return [
        f"{subject} not left the unigram plateau (test loss not below 0.9 of the unigram entropy): such a model has not "
        f"learned to use context yet. Nothing about interference follows from it; train longer. Marked {numbers.DAGGER}."
    ]


def _one_seed(study: Study) -> list[str]:
    most = max((len(runs) for runs in study.by_system.values()), default=0)
    return ["There is one seed, hence no interval and no verdict. Ask for three seeds or more."] if most == 1 else []
