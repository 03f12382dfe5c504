import unicodedata
from typing import get_args

import pytest

from detente.corpus.constructed.inventory import GRAMMAR, MARKERS, concepts
from detente.corpus.constructed.lexicon import build_lexicon, is_shared
from detente.corpus.constructed.scripts import spell
from detente.settings.text import Script

SCRIPTS = get_args(Script)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", [1, 2, 99])
def test_every_concept_has_a_word_of_its_own(seed, share):
    lexicon = build_lexicon(seed, share)
    assert lexicon.words.keys() == {*concepts(), *GRAMMAR}
    assert lexicon.markers.keys() == MARKERS.keys()
    assert len({*lexicon.words.values(), *lexicon.markers.values()}) == len(lexicon.words) + len(lexicon.markers)


def test_size_is_learnable():
    assert 300 <= len(concepts()) + len(GRAMMAR) <= 500


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_shared_words_are_the_promised_share(share):
    first, second = build_lexicon(1, share).words, build_lexicon(2, share).words
    same = [concept for concept in concepts() if first[concept] == second[concept]]
    # Languages coin the same short word for a concept by chance once in a while.
    assert len(same) / len(concepts()) == pytest.approx(share, abs=0.05)


def test_a_larger_share_includes_a_smaller():
    small, large = ({c for c in concepts() if is_shared(c, share)} for share in (0.3, 0.6))
    assert small < large


def test_own_words_stay_when_the_share_changes():
    none, some = build_lexicon(1, 0).words, build_lexicon(1, 0.4).words
    assert all(none[c] == some[c] for c in concepts() if not is_shared(c, 0.4))


def test_grammar_is_never_shared():
    first, second = build_lexicon(1, 1).words, build_lexicon(2, 1).words
    assert sum(first[word] == second[word] for word in GRAMMAR) <= 2


@pytest.mark.parametrize("script", SCRIPTS)
def test_letters_belong_to_the_script(script):
    words = [spell(word, script) for word in build_lexicon(1, 0).words.values()]
    assert all(unicodedata.name(letter).startswith(script.upper()) for word in words for letter in word)


@pytest.mark.parametrize("script", SCRIPTS)
def test_spelling_is_one_to_one(script):
    lexicon = build_lexicon(3, 0.5)
    forms = [stem + marker for stem in lexicon.words.values() for marker in ["", *lexicon.markers.values()]]
    assert len({spell(form, script) for form in forms}) == len(set(forms))


def test_cherokee_letters_are_syllables():
    assert len(spell("tanik", "cherokee")) == 3
