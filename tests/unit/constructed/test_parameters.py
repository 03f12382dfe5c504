"""Every setting of a constructed language shows on the surface as promised."""

import unicodedata
from typing import get_args

import pytest

from detente.corpus.constructed.inventory import ENTITY_WORDS
from detente.corpus.constructed.lexicon import build_lexicon
from detente.corpus.constructed.meaning import Event, Phrase, Sentence
from detente.settings.text import ConstructedSettings, Script

ORDERS = get_args(ConstructedSettings.model_fields["word_order"].annotation)
ROLES = {"s": "agent", "v": "verb", "o": "patient"}

DOGS = Phrase("animal-1", is_plural=True, adjective="adjective-2", determiner="this")
EVENT = Event("transitive-0", "past", agent=DOGS, patient=DOGS, place=Phrase("building-3", owner="PER-1"))

WORDS = build_lexicon(1, 0).words
MARKS = build_lexicon(1, 0).markers
PLURAL, ACCUSATIVE, PAST, PLURAL_SUBJECT = (MARKS[key] for key in ("plural", "accusative", "past", "plural-subject"))


def forms(tokens) -> list[str]:
    return [token.form for token in tokens]


def part(speaker, role: str, event: Event = EVENT) -> list[str]:
    return forms(next(part.tokens for part in speaker.parts(Sentence((event,))) if part.role == role))


@pytest.mark.parametrize("order", ORDERS)
def test_word_order(speaker, transitive_events, order):
    language = speaker(word_order=order)
    for event in transitive_events:
        roles = [part.role for part in language.parts(Sentence((event,)))]
        assert [role for role in roles if role in ROLES.values()] == [ROLES[letter] for letter in order]
        if order.endswith("v"):
            assert roles[-2:] == ["verb", "mark"]
        assert roles[0] == "time" or event.time is None


@pytest.mark.parametrize(("side", "step"), [("before", -1), ("after", 1)])
def test_adposition(speaker, side, step):
    roles = [part.role for part in speaker(adposition=side).parts(Sentence((EVENT,)))]
    assert roles[roles.index("place") + step] == "adposition"
    phrase = part(speaker(adposition=side), "place")
    owner = [WORDS[word] for word in ENTITY_WORDS["PER-1"]]
    noun, of = WORDS["building-3"], WORDS["of"]
    assert phrase == ([noun, of, *owner] if side == "before" else [*owner, of, noun])


@pytest.mark.parametrize("side", ["before", "after"])
def test_adjective(speaker, side):
    lemmas = [token.lemma for token in speaker(adjective=side).phrase(DOGS)]
    pair = [WORDS["adjective-2"], WORDS["animal-1"]]
    assert lemmas == [WORDS["this"], *(pair if side == "before" else pair[::-1])]


def test_suffixing(speaker):
    language = speaker(morphology="suffixing")
    stems = [WORDS[key] for key in ("this", "adjective-2", "animal-1")]
    assert part(language, "agent") == [stem + PLURAL for stem in stems]
    assert part(language, "patient") == [stem + PLURAL + ACCUSATIVE for stem in stems]
    assert part(language, "verb") == [WORDS["transitive-0"] + PAST + PLURAL_SUBJECT]


def test_prefixing(speaker):
    language = speaker(morphology="prefixing")
    stems = [WORDS[key] for key in ("this", "adjective-2", "animal-1")]
    assert part(language, "agent") == [PLURAL + stem for stem in stems]
    assert part(language, "patient") == [ACCUSATIVE + PLURAL + stem for stem in stems]
    assert part(language, "verb") == [PLURAL_SUBJECT + PAST + WORDS["transitive-0"]]


def test_isolating(speaker):
    language = speaker(morphology="isolating")
    this, adjective, noun = (WORDS[key] for key in ("this", "adjective-2", "animal-1"))
    assert part(language, "agent") == [this, adjective, PLURAL, noun]
    assert part(language, "patient") == [this, adjective, PLURAL, ACCUSATIVE, noun]
    assert part(language, "verb") == [PAST, PLURAL_SUBJECT, WORDS["transitive-0"]]


def test_singular_nominative_present_is_bare(speaker):
    event = Event("intransitive-0", "present", agent=Phrase("role-0"))
    assert forms(speaker().tokens(Sentence((event,)))) == [WORDS["role-0"], WORDS["intransitive-0"], "."]


@pytest.mark.parametrize(
    ("morphology", "expected"),
    [
        ("suffixing", [WORDS["given-0"], WORDS["family-0"] + ACCUSATIVE]),
        ("prefixing", [ACCUSATIVE + WORDS["given-0"], WORDS["family-0"]]),
        ("isolating", [ACCUSATIVE, WORDS["given-0"], WORDS["family-0"]]),
    ],
)
def test_names_are_marked_once_and_particles_are_outside(speaker, morphology, expected):
    tokens = speaker(morphology=morphology).phrase(Phrase("PER-0"), is_accusative=True)
    assert forms(tokens) == expected
    assert [token.entity for token in tokens][-2:] == ["B-PER", "I-PER"]
    assert all(token.entity == "O" for token in tokens[:-2])


@pytest.mark.parametrize("script", get_args(Script))
def test_script(speaker, meanings, script):
    letters = {letter for sentence in meanings[:200] for letter in speaker(script=script).text(sentence)} - set(" .?")
    assert {unicodedata.name(letter).split()[0] for letter in letters} == {script.upper()}


def test_another_lexicon_seed_coins_other_words(speaker, meanings):
    first, second = (
        {token.form for sentence in meanings for token in speaker_.tokens(sentence)}
        for speaker_ in (speaker(lexicon_seed=1), speaker(lexicon_seed=2))
    )
    assert len(first & second) < 0.1 * len(first)


def test_shared_vocabulary_makes_words_common(speaker, meanings):
    overlaps = []
    for share in (0.0, 0.5, 1.0):
        first, second = (
            {token.lemma for sentence in meanings for token in language.tokens(sentence)}
            for language in (speaker(lexicon_seed=seed, shared_vocabulary=share) for seed in (1, 2))
        )
        overlaps.append(len(first & second) / len(first))
    assert overlaps == pytest.approx([0.05, 0.5, 0.95], abs=0.05)


def test_question_word_stands_in_place_and_text_asks(speaker, meanings):
    language = speaker()
    asked = [sentence for sentence in meanings if sentence.asked == "patient"]
    assert len(asked) > 5
    for sentence in asked:
        words = [part.tokens[0].form for part in language.parts(sentence) if part.role == "patient"]
        plural = PLURAL * sentence.events[0].patient.is_plural
        assert words == [WORDS["what"] + plural + ACCUSATIVE]
        assert language.text(sentence).endswith("?")


def test_negation_is_right_before_the_verb(speaker):
    for order in ORDERS:
        assert part(speaker(word_order=order), "verb", EVENT._replace(is_negated=True))[0] == WORDS["not"]
