"""How sounds are written. Words are strings of sounds; a script spells them one-to-one.

Text is lower case throughout, names and sentence starts too: Georgian and (in practice) Cherokee have no case, and a
model must then find names by their context and not by a capital.
"""

import re

from detente.settings.text import Script

CONSONANTS = "tnskmlrdpbghfz"
VOWELS = "aieou"
CODAS = "nsrlkm"
"""Consonants that may end a syllable."""

_SOUNDS = CONSONANTS + VOWELS

# Cyrillic te en es ka em el er de pe be ghe ha ef ze; a i ie o u
_CYRILLIC = (0x442, 0x43D, 0x441, 0x43A, 0x43C, 0x43B, 0x440, 0x434, 0x43F, 0x431, 0x433, 0x445, 0x444, 0x437)
_CYRILLIC_VOWELS = (0x430, 0x438, 0x435, 0x43E, 0x443)
# Greek tau nu sigma kappa mu lambda rho delta pi beta gamma chi phi zeta; alpha iota epsilon omicron upsilon
_GREEK = (0x3C4, 0x3BD, 0x3C3, 0x3BA, 0x3BC, 0x3BB, 0x3C1, 0x3B4, 0x3C0, 0x3B2, 0x3B3, 0x3C7, 0x3C6, 0x3B6)
_GREEK_VOWELS = (0x3B1, 0x3B9, 0x3B5, 0x3BF, 0x3C5)
# Georgian tar nar san kan man las rae don par ban gan hae phar zen; an in en on un
_GEORGIAN = (
    0x10E2,
    0x10DC,
    0x10E1,
    0x10D9,
    0x10DB,
    0x10DA,
    0x10E0,
    0x10D3,
    0x10DE,
    0x10D1,
    0x10D2,
    0x10F0,
    0x10E4,
    0x10D6,
)
_GEORGIAN_VOWELS = (0x10D0, 0x10D8, 0x10D4, 0x10DD, 0x10E3)
# Armenian tiwn now seh ken men liwn reh da peh ben gim ho feh za; ayb ini ech oh yiwn
_ARMENIAN = (0x57F, 0x576, 0x57D, 0x56F, 0x574, 0x56C, 0x580, 0x564, 0x57A, 0x562, 0x563, 0x570, 0x586, 0x566)
_ARMENIAN_VOWELS = (0x561, 0x56B, 0x565, 0x585, 0x582)

_ALPHABETS = {
    "latin": _SOUNDS,
    "cyrillic": "".join(map(chr, _CYRILLIC + _CYRILLIC_VOWELS)),
    "greek": "".join(map(chr, _GREEK + _GREEK_VOWELS)),
    "georgian": "".join(map(chr, _GEORGIAN + _GEORGIAN_VOWELS)),
    "armenian": "".join(map(chr, _ARMENIAN + _ARMENIAN_VOWELS)),
}

# Cherokee writes syllables: a letter for each vowel, consonant with vowel, and closing consonant. The letters are
# given out in the order of the Unicode block, not by their values in Cherokee.
_SYLLABLES = [*VOWELS, *(consonant + vowel for consonant in CONSONANTS for vowel in VOWELS), *CODAS]
_CHEROKEE = {syllable: chr(0x13A0 + position) for position, syllable in enumerate(_SYLLABLES)}
_SYLLABLE = re.compile(f"[{CONSONANTS}]?[{VOWELS}]|[{CODAS}]")

_TABLES = {script: str.maketrans(_SOUNDS, letters) for script, letters in _ALPHABETS.items()}


def spell(sounds: str, script: Script) -> str:
    """A word's sounds in the letters of a script."""
    if script == "cherokee":
        return "".join(_CHEROKEE[syllable] for syllable in _SYLLABLE.findall(sounds))
    return sounds.translate(_TABLES[script])
