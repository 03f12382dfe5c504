"""Learn byte-level BPE from a temperature-weighted mix of the corpora."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from detente.corpus.manifest import read_manifest, split_path
from detente.errors import ConfigError
from detente.settings import VocabularySettings
from detente.vocabulary.load import SPECIAL_TOKENS, Vocabulary

# GPT-2's pattern without its English endings, and with combining marks and joiners inside words: there, every vowel
# sign ends a word, and Telugu text takes twice the tokens.
# Scripts that put no blank between words are cut after some letters: a whole clause as one piece would nearly always
# be a new one, and learning holds every different piece in memory.
_UNSPACED = "".join(rf"\p{{{script}}}" for script in ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"))
_PIECES = rf" ?[{_UNSPACED}]{{1,6}}| ?[\p{{L}}\p{{M}}\u200c\u200d&&[^{_UNSPACED}]]+|"
_PIECES += r" ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}\u200c\u200d]+|\s+(?!\S)|\s+"
_PROGRESS_CHARACTERS = 1_000_000

Progress = Callable[[int], None]


def train_vocabulary(
    corpora: Mapping[str, Path], settings: VocabularySettings, folder: Path, *, progress: Progress | None = None
) -> Vocabulary:
    """Learn byte-level BPE from the corpora's training text and write it into `folder`.

    Args:
        corpora: label -> folder of a corpus.
        progress: called with the characters read since the call before.

    Raises:
        ConfigError: the text does not support so many entries.
    """
    rates = mixing_rates(corpora, settings)
    tokenizer = _learn(_mix(corpora, rates, progress or (lambda _: None)), settings.size)
    learnt = tokenizer.get_vocab_size()
    if learnt < settings.size:
        raise ConfigError(_too_large(settings.size, learnt))
    return Vocabulary.of(tokenizer, "", dict(SPECIAL_TOKENS)).save(folder)


def mixing_rates(corpora: Mapping[str, Path], settings: VocabularySettings) -> dict[str, float]:
    """Label -> how often each of its training records is read; above 1 for languages that the temperature favours."""
    counts = {label: read_manifest(folder).splits["train"].characters for label, folder in corpora.items()}
    largest = max(1, *counts.values())
    weights = {label: (count / largest) ** (1 / settings.temperature) for label, count in counts.items()}
    scale = min(settings.characters, sum(counts.values())) / sum(weights.values())
    return {label: scale * weights[label] / max(count, 1) for label, count in counts.items()}


def _mix(corpora: Mapping[str, Path], rates: Mapping[str, float], progress: Progress) -> Iterator[str]:
    unreported = 0
    for label, folder in corpora.items():
        for text in _sample(split_path(folder, "train"), rates[label]):
            unreported += len(text)
            if unreported >= _PROGRESS_CHARACTERS:
                progress(unreported)
                unreported = 0
            yield text
    progress(unreported)


def _sample(path: Path, rate: float) -> Iterator[str]:
    """Each record `rate` times on average, evenly over the file: corpora may be grouped by source."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file):
            for _ in range(int((number + 1) * rate) - int(number * rate)):
                yield line.rstrip("\n")


def _learn(texts: Iterable[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        show_progress=False,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = _framing(tokenizer)
    return tokenizer


def _framing(tokenizer: Tokenizer) -> processors.TemplateProcessing:
    """How tasks frame one text or two; the store does not."""
    return processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")],
    )


def _too_large(size: int, learnt: int) -> str:
    found = f"`vocabulary.size` is {size}, but the text supports only {learnt} entries: all that occurs twice is in it."
    # The settings refuse less.
    if learnt < 300:
        return f"{found} Give more text."
    return f"{found} Set vocabulary.size={learnt} or less, or give more text."
