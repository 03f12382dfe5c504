"""What to say of tags that a task does not know: which they are, how often they stand there, and the mapping to write."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain

import yaml

from detente.errors import DataError
from detente.tasks.examples import TaggedSentence

_SHOWN = 8


def count_tags(sentences: Iterable[TaggedSentence]) -> Counter[str]:
    """Tag -> number of words."""
    return Counter(chain.from_iterable(sentence.tags for sentence in sentences))


def refuse_tags(
    source: str, counts: Mapping[str, int], expected: str, meant: Callable[[str], str], *, other_task: str | None = None
) -> DataError:
    """An error that names the tags.

    Args:
        counts: of the unknown tags alone.
        expected: what tags of the task look like.
        meant: the likeliest tag that was meant.
        other_task: what the tags look like, if they are those of another task.
    """
    advice = (
        f"They look like {other_task}: is this the file of another task?"
        if other_task
        else f"If they are meant so, write `tags: {mapping({tag: meant(tag) for tag in sorted(counts)})}`."
    )
    return DataError(f"{source}: {listed(counts)} {'is' if len(counts) == 1 else 'are'} not {expected}. {advice}")


def listed(counts: Mapping[str, int]) -> str:
    """'`CONJ` (682x), `NST` (418x)', the most frequent ones first."""
    shown = ", ".join(f"`{tag}` ({number:,}x)" for tag, number in Counter(counts).most_common(_SHOWN))
    return shown + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")


def mapping(tags: Mapping[str, str]) -> str:
    """As YAML; the first ones of many."""
    shown = dict(list(tags.items())[:_SHOWN])
    text = yaml.safe_dump(shown, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf).strip()
    return text if len(shown) == len(tags) else text[:-1] + ", ...}"
