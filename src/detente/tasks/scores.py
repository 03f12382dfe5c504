"""Scores of saved predictions, in percent, with intervals over the examples; never of a model.

ner     entity F1, precision and recall, over all entities (micro) and for each type: `f1/PER`. Strict IOB2, as seqeval has it:
        an entity is B-TYPE and the I-TYPE that follow, and right where type, first and last word are; other I- tags are in none.
pos     accuracy. Micro F1 over all tags, which the source reports, is the same number where a word has one tag: each wrong
        word is one tag too many and one too few. It has both names.
qa      word F1 and exact match, the mean over questions of the best gold answer, after one of two normalisations.
nli     accuracy.

`xtreme_f1` (ner, pos) is the number of XTREME's `evaluate.py`, seqeval's `f1_score` of the raw tags without a scheme, in the
version XTREME was published with (before 1.0). That reads a tag as a chunk's: its first letter as B, I, E, S or O, the rest
(after a hyphen) or the whole tag (where there is none) as its type. For POS, a run of equal tags so becomes one chunk that is
right or wrong as a whole, but that each SCONJ and SYM is one of its own, S being a chunk of a single word. For NER, an I- tag
that follows none of its type begins an entity. Later versions of seqeval cut the first letter off UPOS tags, so CCONJ and SCONJ
are one type to them and the number is a little higher.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from detente.errors import DataError, did_you_mean
from detente.results import Part
from detente.settings.tasks import TaskName
from detente.tasks.answers import Normalisation, Normalise, exact_match, normaliser, word_f1
from detente.tasks.bootstrap import (
    RESAMPLING,
    Interval,
    Resampling,
    Tally,
    interval_over_seeds,
    intervals,
    paired_interval,
    paired_interval_over_seeds,
)
from detente.tasks.predictions import AnswerPrediction, LabelPrediction, Predictions, TagPrediction

MAIN_METRIC: dict[TaskName, str] = {"ner": "f1", "pos": "f1", "qa": "f1", "nli": "accuracy"}
"""The one that models are selected by and tables show."""


class TaskScore(Part):
    """One metric of one model on one test set, or its mean over seeds; higher is better."""

    metric: str
    value: float
    """Percent, 0 to 100."""
    low: float | None
    """Lower end of the interval over test examples, and over seeds where there are several; percent."""
    high: float | None
    """Upper end."""
    examples: int
    """Sentences, questions or pairs."""
    seeds: int = 1
    normalisation: str | None = None
    """Of answers (qa): `squad`, or `mlqa-` and the language."""


def score(
    predictions: Predictions, *, normalisation: Normalisation = "squad", resampling: Resampling = RESAMPLING
) -> dict[str, TaskScore]:
    """Every metric of the task, by name.

    Raises:
        DataError: there are no examples, or a tag of ner is not IOB2.
        ConfigError: the normalisation is not for this language.
    """
    tallies = tally(predictions, normalisation=normalisation)
    found = zip(tallies, intervals(list(tallies.values()), resampling), strict=True)
    return {metric: _task_score(metric, interval, [predictions], normalisation) for metric, interval in found}


def score_over_seeds(
    runs: Sequence[Predictions],
    *,
    metric: str | None = None,
    normalisation: Normalisation = "squad",
    resampling: Resampling = RESAMPLING,
) -> TaskScore:
    """The mean of a metric (the task's main one when not given) over runs that differ by seed.

    Raises:
        DataError: as `score`; or two runs have one seed, other examples, or not this metric.
    """
    ordered = _by_seed(runs)
    interval = interval_over_seeds(_tallies_of(ordered, metric, normalisation), resampling)
    return _task_score(metric or MAIN_METRIC[runs[0].header.task], interval, ordered, normalisation)


def compare(
    first: Predictions,
    second: Predictions,
    *,
    metric: str | None = None,
    normalisation: Normalisation = "squad",
    resampling: Resampling = RESAMPLING,
) -> Interval:
    """First minus second, in percentage points, with the interval of the paired bootstrap over examples.

    Raises:
        DataError: as `score`; or they are of other examples, or lack the metric.
    """
    of_first, of_second = _tallies_of([first, second], metric, normalisation)
    return paired_interval(of_first, of_second, resampling)


def compare_over_seeds(
    firsts: Sequence[Predictions],
    seconds: Sequence[Predictions],
    *,
    metric: str | None = None,
    normalisation: Normalisation = "squad",
    resampling: Resampling = RESAMPLING,
) -> Interval:
    """The mean over seeds of first minus second, paired by seed and by example.

    Raises:
        DataError: as `score_over_seeds`; or the seeds of the two are not the same.
    """
    first, second = _by_seed(firsts), _by_seed(seconds)
    seeds = [[run.header.seed for run in runs] for runs in (first, second)]
    if seeds[0] != seeds[1]:
        raise DataError(f"runs are compared seed by seed, found the seeds {seeds[0]} and {seeds[1]}.")
    tallies = _tallies_of([*first, *second], metric, normalisation)
    return paired_interval_over_seeds(tallies[: len(first)], tallies[len(first) :], resampling)


def tally(predictions: Predictions, *, normalisation: Normalisation = "squad") -> dict[str, Tally]:
    """What each example adds to every metric.

    Raises:
        DataError, ConfigError: as `score`.
    """
    header = predictions.header
    if not predictions.rows:
        raise DataError(f"no predictions of {header.model} for {header.task} in {header.language}: nothing to score.")
    if header.task == "qa":
        return _tally_answers(predictions.rows, normaliser(normalisation, language=header.language))
    return _TALLY[header.task](predictions.rows)


class _Span(NamedTuple):
    kind: str
    start: int
    end: int


_Spans = set[_Span]


def _tally_entities(rows: Sequence[TagPrediction]) -> dict[str, Tally]:
    _check_iob2({tag for row in rows for tag in (*row.gold, *row.predicted)})
    found = [(_entities(row.gold), _entities(row.predicted)) for row in rows]
    kinds = sorted({span.kind for pair in found for spans in pair for span in spans})
    of_kinds = {f"{name}/{kind}": value for kind in kinds for name, value in _tally_spans(found, kind).items()}
    return _tally_spans(found) | _tally_chunks(rows) | of_kinds


def _tally_words(rows: Sequence[TagPrediction]) -> dict[str, Tally]:
    right = [sum(map(str.__eq__, row.gold, row.predicted)) for row in rows]
    words = _ratio(right, [len(row.words) for row in rows])
    return {"f1": words, "accuracy": words} | _tally_chunks(rows)


def _tally_pairs(rows: Sequence[LabelPrediction]) -> dict[str, Tally]:
    return {"accuracy": _mean([row.gold == row.predicted for row in rows])}


def _tally_answers(rows: Sequence[Any], normalise: Normalise) -> dict[str, Tally]:
    answers: Sequence[AnswerPrediction] = rows
    measures = {"f1": word_f1, "exact_match": exact_match}
    return {
        metric: _mean([measure(row.predicted, row.gold, normalise) for row in answers])
        for metric, measure in measures.items()
    }


_TALLY: dict[TaskName, Callable[[Sequence[Any]], dict[str, Tally]]] = {
    "ner": _tally_entities,
    "pos": _tally_words,
    "nli": _tally_pairs,
}


def _tally_spans(pairs: Sequence[tuple[_Spans, _Spans]], kind: str | None = None) -> dict[str, Tally]:
    """F1 is 2 right / (predicted + gold), the harmonic mean of precision and recall."""
    if kind is not None:
        pairs = [(_of_kind(gold, kind), _of_kind(predicted, kind)) for gold, predicted in pairs]
    right = np.array([len(gold & predicted) for gold, predicted in pairs])
    gold_count, predicted_count = (np.array([len(pair[side]) for pair in pairs]) for side in (0, 1))
    return {
        "f1": _ratio(2 * right, predicted_count + gold_count),
        "precision": _ratio(right, predicted_count),
        "recall": _ratio(right, gold_count),
    }


def _of_kind(spans: _Spans, kind: str) -> _Spans:
    return {span for span in spans if span.kind == kind}


def _tally_chunks(rows: Sequence[TagPrediction]) -> dict[str, Tally]:
    return {"xtreme_f1": _tally_spans([(_chunks(row.gold), _chunks(row.predicted)) for row in rows])["f1"]}


def _check_iob2(tags: set[str]) -> None:
    wrong = sorted(tag for tag in tags if not re.fullmatch(r"O|[BI]-.+", tag))
    if wrong:
        raise DataError(f"`{wrong[0]}` is no IOB2 tag: those of ner are O, B-TYPE and I-TYPE.")


def _entities(tags: Sequence[str]) -> _Spans:
    runs = _runs(tags, lambda before, tag: tag != f"I-{_kind(before)}")
    return {_Span(_kind(tags[start]), start, end) for start, end in runs if tags[start].startswith("B-")}


def _chunks(tags: Sequence[str]) -> _Spans:
    return {
        _Span(_kind(tags[start]), start, end) for start, end in _runs(tags, _are_apart) if tags[start][0] not in "O."
    }


def _are_apart(before: str, tag: str) -> bool:
    return _kind(before) != _kind(tag) or before[0] in "ESO" or tag[0] in "BSO"


def _kind(tag: str) -> str:
    return tag.partition("-")[2] or tag


def _runs(tags: Sequence[str], are_apart: Callable[[str, str], bool]) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch of words whose neighbours are not apart."""
    start = 0
    for place in range(1, len(tags) + 1):
        if place == len(tags) or are_apart(tags[place - 1], tags[place]):
            yield start, place
            start = place


def _ratio(numerators: Sequence[float] | np.ndarray, denominators: Sequence[float] | np.ndarray) -> Tally:
    return Tally(np.asarray(numerators, np.float64), np.asarray(denominators, np.float64))


def _mean(values: Sequence[float]) -> Tally:
    return _ratio(values, np.ones(len(values)))


def _tallies_of(runs: Sequence[Predictions], metric: str | None, normalisation: Normalisation) -> list[Tally]:
    _check_same_examples(runs)
    name = metric or MAIN_METRIC[runs[0].header.task]
    found = [tally(run, normalisation=normalisation) for run in runs]
    for tallies in found:
        if name not in tallies:
            raise DataError(f"there is no metric `{name}`, only {', '.join(tallies)}.{did_you_mean(name, tallies)}")
    return [tallies[name] for tallies in found]


def _by_seed(runs: Sequence[Predictions]) -> list[Predictions]:
    ordered = sorted(runs, key=lambda run: run.header.seed)
    seeds = [run.header.seed for run in ordered]
    if len(set(seeds)) < len(seeds):
        raise DataError(f"runs that are averaged must differ by seed, found {seeds}.")
    return ordered


def _check_same_examples(runs: Sequence[Predictions]) -> None:
    asked = [row.asked for row in runs[0].rows]
    for run in runs[1:]:
        if [row.asked for row in run.rows] != asked:
            models = f"{runs[0].header.model} and {run.header.model}"
            raise DataError(f"the predictions of {models} are not of the same examples with the same gold labels.")


def _task_score(
    metric: str, interval: Interval, runs: Sequence[Predictions], normalisation: Normalisation
) -> TaskScore:
    header = runs[0].header
    named = f"mlqa-{header.language}" if normalisation == "mlqa" else normalisation
    return TaskScore(
        metric=metric,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        examples=len(runs[0].rows),
        seeds=len(runs),
        normalisation=named if header.task == "qa" else None,
    )
