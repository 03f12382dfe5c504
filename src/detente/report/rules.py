"""The rules of the verdict: numbers in, one sentence out. None claims more than an interval over seeds allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detente.report import numbers, phrases
from detente.report.comparisons import Comparison
from detente.report.statistics import Estimate, Word

# A mixture shown a share of mono's text between these is said to have seen as much.
SAME_EXPOSURE = (0.95, 1.05)
MOST_NAMED = 3
"""Examples in a sentence; the tables have all."""


@dataclass(frozen=True)
class Place:
    """Cosine of two languages' gradients in one layer, or in one kind of module, without sampling noise."""

    languages: tuple[str, str]
    where: str
    cosine: Estimate
    """Over seeds."""


@dataclass(frozen=True)
class TransferChange:
    """Zero-shot score of a treated mixture minus that of the untreated, in points, paired by seed."""

    system: str
    task: str
    source: str
    difference: Estimate


@dataclass(frozen=True)
class Cost:
    """What a treatment takes beside the untreated mixture; None where it is not known."""

    system: str
    parameters: float | None
    """More of them, all languages together."""
    time: float | None
    """Training seconds over those of the untreated."""


def tally_sentence(compared: Mapping[str, Comparison | None]) -> str:
    """What mixing does, all languages in one sentence, in bits per character."""
    hurt, helped = (
        [
            f"{phrases.name(label)} ({numbers.difference(each.difference.mean)})"
            for label, each in _by_size(compared, word)
        ]
        for word in ("hurt", "helped")
    )
    unsure = phrases.names([label for label, each in compared.items() if not each or each.word == "cannot tell"])
    parts = [
        *([f"hurts {phrases.listed(hurt)}"] if hurt else []),
        *([f"helps {phrases.listed(helped)}"] if helped else []),
    ]
    if not parts:
        return f"What training together does to {unsure}, we cannot tell."
    rest = f" Of {unsure} we cannot tell." if unsure else ""
    return f"Training together {' and '.join(parts)} bits per character.{rest}"


def interference_sentence(language: str, mixture: Sequence[str], comparison: Comparison | None) -> str:
    """What a mixture does to a language."""
    others, language = _company(language, mixture), phrases.name(language)
    if comparison is None:
        return f"Whether training with {others} hurts {language} is not known: a seed with both runs, mixed and mono, is missing."
    if not comparison.has_learned:
        return f"Whether training with {others} hurts {language}, we cannot tell: not all runs behind it have left the unigram plateau."
    if comparison.word == "cannot tell":
        return (
            f"Whether training with {others} hurts {language}, we cannot tell: {phrases.doubt(comparison.difference)}"
        )
    verb = "hurts" if comparison.word == "hurt" else "helps"
    return f"Training with {others} {verb} {language}: {phrases.evidence(comparison.difference)}"


def exposure_sentence(language: str, comparison: Comparison) -> str:
    """The part of a difference that may be due to less or more text rather than to the company."""
    low, high = SAME_EXPOSURE
    exposure, word = comparison.exposure, comparison.word
    language = phrases.name(language)
    if not exposure > 0:
        return ""
    if low <= exposure <= high:
        return f"Both were shown about the same amount of {language}."
    seen = f"The mixture was shown {_percent(exposure)} of the {language} that mono was"
    if exposure < low and word == "hurt":
        return f"{seen}, so part of the loss may be due to less text rather than to mixing."
    if exposure > high and word == "helped":
        return f"{seen}, so part of the gain may be due to more text rather than to mixing."
    return f"{seen}."


def treatments_sentence(language: str, compared: Sequence[tuple[str, Comparison | None, Estimate | None]]) -> str:
    """Treatments by what they do to the untreated mixture: name, comparison with it, recovered share."""
    known = [(name, comparison, share) for name, comparison, share in compared if comparison]
    better = sorted((entry for entry in known if entry[1].word == "helped"), key=lambda entry: entry[1].difference.mean)
    language = phrases.name(language)
    groups = {
        f"For {language}, better than untreated": [_gain(*entry) for entry in better],
        f"{'Worse' if better else f'For {language}, worse'} than untreated": _named(known, "hurt"),
        "Better or worse than untreated, we cannot tell": _named(known, "cannot tell"),
        "Missing": [name for name, comparison, _ in compared if not comparison],
    }
    return " ".join(f"{heading}: {', '.join(names)}." for heading, names in groups.items() if names)


def transfer_sentence(language: str, changes: Sequence[TransferChange]) -> str:
    """What treatments do to zero-shot transfer to a language."""
    if not changes:
        return ""
    # A score is better when it is higher, so the word of a lower-is-better difference is turned round.
    ordered = sorted(changes, key=lambda change: -change.difference.mean)
    gains = [_points(change) for change in ordered if change.difference.is_above_zero]
    losses = [_points(change) for change in reversed(ordered) if change.difference.is_below_zero]
    unsure = len(changes) - len(gains) - len(losses)
    parts = [
        *([f"better with {_some(gains)}"] if gains else []),
        *([f"worse with {_some(losses)}"] if losses else []),
    ]
    start = f"Zero-shot transfer to {phrases.name(language)} against untreated"
    if not parts:
        return f"{start}: we cannot tell of any treatment{_why_none(changes)}."
    rest = f" Of {unsure} other comparison{'s' if unsure > 1 else ''} we cannot tell." if unsure else ""
    return f"{start}: {'; '.join(parts)}.{rest}"


def places_sentence(places: Sequence[Place]) -> str:
    """Where the conflict sits: the layers and kinds of module in which gradients point against each other."""
    if not places:
        return "Where the conflict sits is not known: the gradients of this mixture's untreated runs were not measured. `detente diagnose` does it."
    num_seeds = max(place.cosine.seeds for place in places)
    lowest = min(places, key=lambda place: place.cosine.mean)
    if num_seeds == 1:
        return f"Where the conflict sits, we cannot tell: the gradients of one seed were measured. Their lowest cosine is {_cosine(lowest)}."
    clear = sorted((place for place in places if place.cosine.is_below_zero), key=lambda place: place.cosine.mean)
    if not clear:
        return (
            f"No layer and no kind of module has gradients that conflict beyond doubt ({len(places)} comparisons, "
            f"{phrases.seeds(num_seeds)}). The lowest cosine is {_cosine(lowest)}, and its interval holds zero."
        )
    by_place: dict[str, list[str]] = {}
    for place in clear:
        pair = " and ".join(map(phrases.name, place.languages))
        by_place.setdefault(place.where, []).append(f"{pair} {numbers.difference(place.cosine.mean)}")
    found = "; ".join(f"in {where} ({_some(pairs)})" for where, pairs in by_place.items())
    return (
        f"Gradients conflict beyond doubt {found}: {len(clear)} of {len(places)} comparisons of a layer or kind of module over "
        f"{phrases.seeds(num_seeds)}, where chance alone gives {_by_chance(len(places))}."
    )


def cost_sentence(costs: Sequence[Cost]) -> str:
    """What the treatments that help cost; `costs` are of these only."""
    known = [text for cost in costs if (text := _cost(cost))]
    return f"What helps takes, beside untreated: {'; '.join(known)}." if known else ""


def pairs_sentence(cells: Mapping[tuple[str, str], Comparison]) -> str:
    """All pairs of a study: who is hurt (first of a key) by whom (second), in numbers and by the worst."""
    words = [cell.word for cell in cells.values()]
    counts = [f"{words.count(word)} {word}" for word in ("hurt", "helped") if word in words]
    unsure = words.count("cannot tell")
    rest = [f"of {unsure} we cannot tell"] if unsure else []
    clear = {pair: cell for pair, cell in cells.items() if cell.word == "hurt"}
    worst = sorted(
        clear or {pair: cell for pair, cell in cells.items() if cell.has_learned},
        key=lambda pair: -cells[pair].difference.mean,
    )
    named = [
        f"{phrases.name(pair[0])} beside {phrases.name(pair[1])} ({numbers.difference(cells[pair].difference.mean)})"
        for pair in worst[:MOST_NAMED]
    ]
    cases = f"{len(cells)} cases of one language beside one other"
    start = (
        f"Of {cases}: {', '.join([*counts, *rest])}."
        if counts
        else f"Of none of the {cases} can we tell whether it is hurt."
    )
    if not named:
        return start
    most = "Beyond doubt, most is lost" if clear else "Most, though not beyond doubt, is lost"
    return f"{start} {most} by {phrases.listed(named)} bits per character."


def _by_size(compared: Mapping[str, Comparison | None], word: str) -> list[tuple[str, Comparison]]:
    found = [(label, each) for label, each in compared.items() if each and each.word == word]
    return sorted(found, key=lambda pair: -abs(pair[1].difference.mean))


def _company(language: str, mixture: Sequence[str]) -> str:
    others = [label for label in mixture if label != language]
    return phrases.names(others) if len(others) <= MOST_NAMED else f"the {len(others)} others"


def _named(known: Sequence[tuple[str, Comparison, Estimate | None]], word: Word) -> list[str]:
    return [name for name, comparison, _ in known if comparison.word == word]


def _gain(name: str, comparison: Comparison, share: Estimate | None) -> str:
    change = f"{name} ({numbers.difference(comparison.difference.mean)}"
    return f"{change}, recovers {numbers.share(share)})" if share else f"{change})"


def _points(change: TransferChange) -> str:
    size = numbers.score_difference(change.difference)
    return f"{change.system} on {change.task} from {phrases.name(change.source)} ({size} points)"


def _why_none(changes: Sequence[TransferChange]) -> str:
    most = max(change.difference.seeds for change in changes)
    return f", since {phrases.seeds(most)} gives no interval" if most == 1 else ""


def _some(parts: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(parts) - MOST_NAMED
    return ", ".join([*parts[:MOST_NAMED], *([f"{more} more"] if more > 0 else [])])


def _by_chance(count: int) -> str:
    """Of so many 95 % intervals around zero, one in forty lies below it."""
    expected = count / 40
    return "less than one" if expected < 1 else f"about {expected:.0f}"


def _cosine(place: Place) -> str:
    pair = " and ".join(map(phrases.name, place.languages))
    return f"{numbers.cosine(place.cosine)} of {pair} in {place.where}"


def _cost(cost: Cost) -> str:
    parts = [
        *([] if cost.parameters is None else [f"{numbers.count(cost.parameters)} more parameters"]),
        *([] if cost.time is None else [f"{numbers.times(cost.time)} the training time"]),
    ]
    return f"{cost.system} {', '.join(parts)}" if parts else ""


def _percent(value: float) -> str:
    return f"{100 * value:.0f}{numbers.PERCENT}"
