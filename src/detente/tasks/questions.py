"""Questions whose answer stands in a passage.

`answer_start` counts characters. Where the context does not have the answer there, the answer is moved if the context has it
exactly once, else left out. Questions without an answer, as half of SQuAD 2, are left out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from detente.errors import DataError
from detente.tasks.examples import Answer, Question
from detente.tasks.json_lines import PlacedRow, Row
from detente.tasks.reading import Reading, refuse_unlabelled, share

_Questions = Reading[Question]


def questions_from(rows: Iterable[PlacedRow], source: str, *, strict: bool = False) -> _Questions:
    """The rows that have an answer: `question`, `context`, `answers`, and `id` for a name.

    Args:
        strict: refuse answers that do not stand where `answer_start` says.

    Raises:
        DataError: there are no rows, one is incomplete, or none has an answer that its context has.
    """
    counts = Counter[str]()
    questions = [_question(row, where, number, counts) for number, (where, row) in enumerate(rows, 1)]
    answered = tuple(question for question in questions if question.answers)
    if not questions:
        raise DataError(f"{source} holds no questions.")
    if counts["without answer"] == len(questions):
        raise refuse_unlabelled(source)
    if not answered:
        raise DataError(f"{_misplaced(source, counts)} No question is left. Are these answers of other passages?")
    if strict and counts["moved"] + counts["lost"]:
        raise DataError(f"{_misplaced(source, counts)} Leave `strict` out to move those and do without the others.")
    return Reading(answered, source, tuple(_notes(questions, source, counts)))


def with_distinct_keys(data: _Questions) -> _Questions:
    """Questions whose key another one had before get a new one: ID#2, ID#3.

    The training data of TyDiQA-GoldP repeats ids, and predictions are matched by them.
    """
    taken, times = set[str](), Counter[str]()
    questions = []
    for question in data.examples:
        key = question.key
        while key in taken:
            times[question.key] += 1
            key = f"{question.key}#{times[question.key] + 1}"
        taken.add(key)
        questions.append(replace(question, key=key))
    renamed = sum(new.key != old.key for new, old in zip(questions, data.examples, strict=True))
    if not renamed:
        return data
    note = f"{share(renamed, questions)} of {data.source} have the id of an earlier one and were renamed (ID#2)."
    return replace(data, examples=tuple(questions), notes=(*data.notes, note))


def _question(row: Row, where: str, number: int, counts: Counter[str]) -> Question:
    for field in ("question", "context"):
        if not isinstance(row.get(field), str):
            raise DataError(f"{where}: `{field}` must hold text, found {repr(row.get(field))[:80]}.")
    given = _given_answers(row, where)
    found = [_placed(answer, row["context"], counts) for answer in given]
    answers = tuple(answer for answer in found if answer is not None)
    counts["without answer"] += not given
    counts["emptied"] += bool(given) and not answers
    return Question(str(row.get("id", number)), row["question"], row["context"], answers)


def _given_answers(row: Row, where: str) -> list[Answer]:
    """None for a question that has no answer. Published test sets of XTREME have empty ones."""
    answers = row.get("answers") or []
    try:
        if isinstance(answers, dict):
            pairs = list(zip(answers["text"], answers["answer_start"], strict=True))
        else:
            pairs = [(answer["text"], answer["answer_start"]) for answer in answers]
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{where}: an answer has `text` and `answer_start`, found {str(answers)[:80]}.") from None
    for text, start in pairs:
        if not isinstance(text, str) or not isinstance(start, int):
            raise DataError(
                f"{where}: an answer is text and a number of characters, found {repr(text)[:60]} and {repr(start)[:60]}."
            )
    return [] if row.get("is_impossible") else [Answer(text, start) for text, start in pairs if text]


def _placed(answer: Answer, context: str, counts: Counter[str]) -> Answer | None:
    if answer.start >= 0 and context.startswith(answer.text, answer.start):
        return answer
    first = context.find(answer.text)
    if first >= 0 and first == context.rfind(answer.text):
        counts["moved"] += 1
        return replace(answer, start=first)
    counts["lost"] += 1
    return None


def _notes(questions: Sequence[Question], source: str, counts: Counter[str]) -> Iterator[str]:
    if counts["without answer"]:
        yield f"{share(counts['without answer'], questions)} of {source} have no answer and were left out."
    if counts["moved"] + counts["lost"]:
        yield f"{_misplaced(source, counts)} Those were moved, the others left out."
    if counts["emptied"]:
        yield f"{share(counts['emptied'], questions)} of {source} lost all their answers so and were left out."


def _misplaced(source: str, counts: Counter[str]) -> str:
    moved, lost = counts["moved"], counts["lost"]
    return (
        f"Answers of {source} that do not stand where `answer_start` says: {moved + lost:,}; "
        f"of these, {moved:,} stand elsewhere in the context, once."
    )
