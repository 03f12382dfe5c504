"""From meaning to words: order, adpositions, agreement and spelling of one language.

clause   time - core - circumstances; verb-final languages: time - circumstances - core
core     subject, verb and object in the language's order; negation right before the verb, manner right after it
         (before both where the verb is final)
phrase   determiner numeral (adjective) noun (adjective); an owner is an adpositional phrase with `of`,
         after the noun where adpositions come before, and before it where they come after
marking  plural and accusative on nouns, with agreement of adjective and determiner; tense and plural subject on
         verbs. Isolating languages put particles before noun or verb, without agreement inside the phrase.
names    take the accusative on their last word (suffix) or first word (prefix, particle)
question the asked phrase becomes a question word and stays in its place; the mark is `?`
"""

from collections.abc import Sequence
from typing import NamedTuple

from detente.corpus.constructed.inventory import ENTITY_WORDS, GRAMMAR, MARKERS, part_of_speech
from detente.corpus.constructed.lexicon import build_lexicon
from detente.corpus.constructed.meaning import Event, Phrase, Sentence
from detente.corpus.constructed.scripts import spell
from detente.settings.text import ConstructedSettings


class Token(NamedTuple):
    """A word as written, with what the tasks want to know about it."""

    form: str
    lemma: str
    part_of_speech: str
    entity: str = "O"
    """IOB2 tag."""


class Part(NamedTuple):
    """A piece of a clause with its role, as `agent` or `verb`."""

    role: str
    tokens: tuple[Token, ...]


_ORDERS = {"s": "agent", "v": "verb", "o": "patient"}


class Speaker:
    """Puts meanings into the words of one language."""

    def __init__(self, settings: ConstructedSettings) -> None:
        self._script = settings.script
        self._morphology = settings.morphology
        self._order = [_ORDERS[letter] for letter in settings.word_order]
        self._adposition_first = settings.adposition == "before"
        self._adjective_first = settings.adjective == "before"
        self._lexicon = build_lexicon(settings.lexicon_seed, settings.shared_vocabulary)
        self._marked: dict[tuple[str, tuple[str, ...]], tuple[Token, ...]] = {}
        self._phrases: dict[tuple[Phrase, bool], tuple[Token, ...]] = {}

    def text(self, sentence: Sentence) -> str:
        """The sentence as a line of text."""
        return written(self.tokens(sentence))

    def tokens(self, sentence: Sentence) -> list[Token]:
        """The words of a sentence and its final mark."""
        return [token for part in self.parts(sentence) for token in part.tokens]

    def parts(self, sentence: Sentence) -> list[Part]:
        """The pieces of a sentence in order, its final mark last."""
        parts = self._clause(sentence.events[0])
        for event in sentence.events[1:]:
            parts += [Part("conjunction", self._word("and")), *self._clause(event)]
        mark = "." if sentence.asked is None else "?"
        return [*parts, Part("mark", (Token(mark, mark, "PUNCT"),))]

    def _clause(self, event: Event) -> list[Part]:
        core = [part for role in self._order for part in self._core(role, event)]
        circumstances = [part for role in ("tool", "place") for part in self._circumstance(role, event)]
        opening = [Part("time", self._word(event.time))] if event.time else []
        is_verb_final = self._order[-1] == "verb"
        return [*opening, *circumstances, *core] if is_verb_final else [*opening, *core, *circumstances]

    def _core(self, role: str, event: Event) -> list[Part]:
        if role == "verb":
            return self._verb(event)
        if role == "agent":
            return [Part("agent", self.phrase(event.agent))]
        return [Part("patient", self.phrase(event.patient, is_accusative=True))] if event.patient else []

    def _verb(self, event: Event) -> list[Part]:
        markers = (event.tense,) if event.tense != "present" else ()
        if event.agent.is_plural:
            markers = (*markers, "plural-subject")
        negation = self._word("not") if event.is_negated else ()
        verb = Part("verb", negation + self._mark(event.verb, markers))
        if not event.manner:
            return [verb]
        manner = Part("manner", self._word(event.manner))
        return [manner, verb] if self._order[-1] == "verb" else [verb, manner]

    def _circumstance(self, role: str, event: Event) -> list[Part]:
        phrase = event.tool if role == "tool" else event.place
        if phrase is None:
            return []
        adposition = Part("adposition", self._word("with" if role == "tool" else event.adposition))
        return self._beside(adposition, Part(role, self.phrase(phrase)))

    def _beside(self, adposition: Part, phrase: Part) -> list[Part]:
        return [adposition, phrase] if self._adposition_first else [phrase, adposition]

    def phrase(self, phrase: Phrase, *, is_accusative: bool = False) -> tuple[Token, ...]:
        """The words of a participant, its owner included."""
        key = (phrase, is_accusative)
        if key not in self._phrases:
            self._phrases[key] = self._phrase(phrase, is_accusative)
        return self._phrases[key]

    def _phrase(self, phrase: Phrase, is_accusative: bool) -> tuple[Token, ...]:
        markers = ("plural",) * phrase.is_plural + ("accusative",) * is_accusative
        if phrase.head in ENTITY_WORDS:
            return self._name(phrase.head, markers)
        agreement = () if self._morphology == "isolating" else markers
        adjective = self._mark(phrase.adjective, agreement) if phrase.adjective else ()
        noun = self._mark(phrase.head, markers)
        group = adjective + noun if self._adjective_first else noun + adjective
        numeral = self._word(phrase.numeral) if phrase.numeral else ()
        determiner = self._mark(phrase.determiner, agreement) if phrase.determiner else ()
        return self._with_owner(determiner + numeral + group, phrase.owner)

    def _with_owner(self, group: tuple[Token, ...], owner: str | None) -> tuple[Token, ...]:
        if owner is None:
            return group
        name, of = self._name(owner, ()), self._word("of")
        return group + of + name if self._adposition_first else name + of + group

    def _name(self, entity: str, markers: tuple[str, ...]) -> tuple[Token, ...]:
        words = ENTITY_WORDS[entity]
        marked = len(words) - 1 if self._morphology == "suffixing" else 0
        tokens = [self._mark(word, markers if place == marked else ()) for place, word in enumerate(words)]
        kind = entity.partition("-")[0]
        # A particle is outside the name.
        particles, first = tokens[0][:-1], tokens[0][-1:]
        named = first + tuple(token for word in tokens[1:] for token in word)
        tags = [f"{'I' if place else 'B'}-{kind}" for place in range(len(named))]
        return particles + tuple(token._replace(entity=tag) for token, tag in zip(named, tags, strict=True))

    def _word(self, key: str) -> tuple[Token, ...]:
        return self._mark(key, ())

    def _mark(self, key: str, markers: tuple[str, ...]) -> tuple[Token, ...]:
        if (key, markers) not in self._marked:
            self._marked[key, markers] = self._inflect(key, markers)
        return self._marked[key, markers]

    def _inflect(self, key: str, markers: tuple[str, ...]) -> tuple[Token, ...]:
        stem = self._lexicon.words[key]
        tag = GRAMMAR.get(key) or part_of_speech(key)
        lemma = spell(stem, self._script)
        if self._morphology == "isolating":
            return (*map(self._particle, markers), Token(lemma, lemma, tag))
        affixes = [self._lexicon.markers[marker] for marker in markers]
        form = "".join([stem, *affixes] if self._morphology == "suffixing" else [*reversed(affixes), stem])
        return (Token(spell(form, self._script), lemma, tag),)

    def _particle(self, marker: str) -> Token:
        form = spell(self._lexicon.markers[marker], self._script)
        return Token(form, form, MARKERS[marker])


def written(tokens: Sequence[Token]) -> str:
    """Words joined by blanks, the final mark attached to the last word."""
    return " ".join(token.form for token in tokens[:-1]) + tokens[-1].form
