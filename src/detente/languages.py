"""The only table of languages: code, name, script, family, direction. And the script of a character.

Codes are ISO 639-1 where there is one, else ISO 639-3; a second script of a language has the script in its code.
"""

import difflib
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from detente.errors import ConfigError

Direction = Literal["ltr", "rtl"]


@dataclass(frozen=True)
class LanguageEntry:
    """One row of the table.

    Attributes:
        script: ISO 15924, for example `Latn`; several together have one code too (`Jpan`, `Kore`).
        family: the top-level family (Glottolog's, under its usual name).
        aliases: ISO 639-3 and other codes in use, lower case, with `-`.
    """

    code: str
    name: str
    script: str
    family: str
    direction: Direction
    aliases: tuple[str, ...]


_RIGHT_TO_LEFT = {"Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm"}

# Code, other codes, script, name; grouped by family.
_TABLE: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "Indo-European": (
        ("af", "afr", "Latn", "Afrikaans"),
        ("an", "arg", "Latn", "Aragonese"),
        ("as", "asm", "Beng", "Assamese"),
        ("ast", "", "Latn", "Asturian"),
        ("be", "bel", "Cyrl", "Belarusian"),
        ("bg", "bul", "Cyrl", "Bulgarian"),
        ("bho", "", "Deva", "Bhojpuri"),
        ("bn", "ben", "Beng", "Bengali"),
        ("bn-latn", "bn-rom", "Latn", "Bengali (Latin)"),
        ("br", "bre", "Latn", "Breton"),
        ("bs", "bos", "Latn", "Bosnian"),
        ("ca", "cat", "Latn", "Catalan"),
        ("ckb", "", "Arab", "Central Kurdish"),
        ("cs", "ces cze", "Latn", "Czech"),
        ("cy", "cym wel", "Latn", "Welsh"),
        ("da", "dan", "Latn", "Danish"),
        ("de", "deu ger", "Latn", "German"),
        ("dv", "div", "Thaa", "Dhivehi"),
        ("el", "ell gre", "Grek", "Greek"),
        ("en", "eng", "Latn", "English"),
        ("es", "spa", "Latn", "Spanish"),
        ("fa", "fas per pes", "Arab", "Persian"),
        ("fo", "fao", "Latn", "Faroese"),
        ("fr", "fra fre", "Latn", "French"),
        ("fy", "fry", "Latn", "Western Frisian"),
        ("ga", "gle", "Latn", "Irish"),
        ("gd", "gla", "Latn", "Scottish Gaelic"),
        ("gl", "glg", "Latn", "Galician"),
        ("gu", "guj", "Gujr", "Gujarati"),
        ("hi", "hin", "Deva", "Hindi"),
        ("hi-latn", "hi-rom", "Latn", "Hindi (Latin)"),
        ("hr", "hrv", "Latn", "Croatian"),
        ("hy", "hye arm", "Armn", "Armenian"),
        ("is", "isl ice", "Latn", "Icelandic"),
        ("it", "ita", "Latn", "Italian"),
        ("ku", "kur kmr", "Latn", "Kurdish (Kurmanji)"),
        ("la", "lat", "Latn", "Latin"),
        ("lb", "ltz", "Latn", "Luxembourgish"),
        ("lt", "lit", "Latn", "Lithuanian"),
        ("lv", "lav lvs", "Latn", "Latvian"),
        ("mai", "", "Deva", "Maithili"),
        ("mk", "mkd mac", "Cyrl", "Macedonian"),
        ("mr", "mar", "Deva", "Marathi"),
        ("ne", "nep npi", "Deva", "Nepali"),
        ("nl", "nld dut", "Latn", "Dutch"),
        ("nn", "nno", "Latn", "Norwegian Nynorsk"),
        ("no", "nor nb nob", "Latn", "Norwegian"),
        ("oc", "oci", "Latn", "Occitan"),
        ("or", "ori ory", "Orya", "Odia"),
        ("pa", "pan", "Guru", "Punjabi"),
        ("pl", "pol", "Latn", "Polish"),
        ("ps", "pus pbt", "Arab", "Pashto"),
        ("pt", "por", "Latn", "Portuguese"),
        ("ro", "ron rum mo", "Latn", "Romanian"),
        ("ru", "rus", "Cyrl", "Russian"),
        ("sa", "san", "Deva", "Sanskrit"),
        ("scn", "", "Latn", "Sicilian"),
        ("sd", "snd", "Arab", "Sindhi"),
        ("si", "sin", "Sinh", "Sinhala"),
        ("sk", "slk slo", "Latn", "Slovak"),
        ("sl", "slv", "Latn", "Slovenian"),
        ("sq", "sqi alb als", "Latn", "Albanian"),
        ("sr", "srp sr-cyrl", "Cyrl", "Serbian"),
        ("sv", "swe", "Latn", "Swedish"),
        ("tg", "tgk", "Cyrl", "Tajik"),
        ("uk", "ukr", "Cyrl", "Ukrainian"),
        ("ur", "urd", "Arab", "Urdu"),
        ("ur-latn", "ur-rom", "Latn", "Urdu (Latin)"),
        ("yi", "yid ydd", "Hebr", "Yiddish"),
    ),
    "Afro-Asiatic": (
        ("am", "amh", "Ethi", "Amharic"),
        ("ar", "ara arb", "Arab", "Arabic"),
        ("arz", "", "Arab", "Egyptian Arabic"),
        ("ha", "hau", "Latn", "Hausa"),
        ("he", "heb iw", "Hebr", "Hebrew"),
        ("mt", "mlt", "Latn", "Maltese"),
        ("om", "orm gaz", "Latn", "Oromo"),
        ("so", "som", "Latn", "Somali"),
        ("ti", "tir", "Ethi", "Tigrinya"),
    ),
    "Atlantic-Congo": (
        ("ig", "ibo", "Latn", "Igbo"),
        ("lg", "lug", "Latn", "Ganda"),
        ("ln", "lin", "Latn", "Lingala"),
        ("ny", "nya", "Latn", "Nyanja"),
        ("rw", "kin", "Latn", "Kinyarwanda"),
        ("sn", "sna", "Latn", "Shona"),
        ("st", "sot", "Latn", "Southern Sotho"),
        ("sw", "swa swh", "Latn", "Swahili"),
        ("tn", "tsn", "Latn", "Tswana"),
        ("wo", "wol", "Latn", "Wolof"),
        ("xh", "xho", "Latn", "Xhosa"),
        ("yo", "yor", "Latn", "Yoruba"),
        ("zu", "zul", "Latn", "Zulu"),
    ),
    "Austronesian": (
        ("ceb", "", "Latn", "Cebuano"),
        ("id", "ind in", "Latn", "Indonesian"),
        ("jv", "jav", "Latn", "Javanese"),
        ("mg", "mlg plt", "Latn", "Malagasy"),
        ("mi", "mri mao", "Latn", "Maori"),
        ("ms", "msa may zsm", "Latn", "Malay"),
        ("su", "sun", "Latn", "Sundanese"),
        ("tl", "tgl fil", "Latn", "Tagalog"),
    ),
    "Dravidian": (
        ("kn", "kan", "Knda", "Kannada"),
        ("ml", "mal", "Mlym", "Malayalam"),
        ("ta", "tam", "Taml", "Tamil"),
        ("ta-latn", "ta-rom", "Latn", "Tamil (Latin)"),
        ("te", "tel", "Telu", "Telugu"),
        ("te-latn", "te-rom", "Latn", "Telugu (Latin)"),
    ),
    "Turkic": (
        ("az", "aze azj", "Latn", "Azerbaijani"),
        ("ba", "bak", "Cyrl", "Bashkir"),
        ("cv", "chv", "Cyrl", "Chuvash"),
        ("kk", "kaz", "Cyrl", "Kazakh"),
        ("ky", "kir", "Cyrl", "Kyrgyz"),
        ("tk", "tuk", "Latn", "Turkmen"),
        ("tr", "tur", "Latn", "Turkish"),
        ("tt", "tat", "Cyrl", "Tatar"),
        ("ug", "uig", "Arab", "Uyghur"),
        ("uz", "uzb uzn", "Latn", "Uzbek"),
    ),
    "Uralic": (
        ("et", "est ekk", "Latn", "Estonian"),
        ("fi", "fin", "Latn", "Finnish"),
        ("hu", "hun", "Latn", "Hungarian"),
    ),
    "Sino-Tibetan": (
        ("bo", "bod tib", "Tibt", "Tibetan"),
        ("my", "mya bur my-zaw", "Mymr", "Burmese"),
        ("yue", "", "Hant", "Cantonese"),
        ("zh", "zho chi cmn zh-cn zh-hans", "Hans", "Chinese"),
        ("zh-hant", "zh-tw zh-hk", "Hant", "Chinese (Traditional)"),
    ),
    "Austroasiatic": (
        ("km", "khm", "Khmr", "Khmer"),
        ("vi", "vie", "Latn", "Vietnamese"),
    ),
    "Tai-Kadai": (
        ("lo", "lao", "Laoo", "Lao"),
        ("th", "tha", "Thai", "Thai"),
    ),
    "Quechuan": (("qu", "que quy quz", "Latn", "Quechua"),),
    "Tupian": (("gn", "grn gug", "Latn", "Guarani"),),
    "Aymaran": (("ay", "aym ayr", "Latn", "Aymara"),),
    "Nilotic": (("luo", "", "Latn", "Luo"),),
    "Japonic": (("ja", "jpn", "Jpan", "Japanese"),),
    "Koreanic": (("ko", "kor", "Kore", "Korean"),),
    "Kartvelian": (("ka", "kat geo", "Geor", "Georgian"),),
    "Mongolic": (("mn", "mon khk", "Cyrl", "Mongolian"),),
    "Isolate": (("eu", "eus baq", "Latn", "Basque"),),
    "Creole": (
        ("ht", "hat", "Latn", "Haitian Creole"),
        ("pcm", "", "Latn", "Nigerian Pidgin"),
    ),
    "Constructed": (("eo", "epo", "Latn", "Esperanto"),),
}

LANGUAGES: dict[str, LanguageEntry] = {
    code: LanguageEntry(
        code, name, script, family, "rtl" if script in _RIGHT_TO_LEFT else "ltr", tuple(aliases.split())
    )
    for family, rows in _TABLE.items()
    for code, aliases, script, name in rows
}

_BY_ANY_CODE = {code: entry for entry in LANGUAGES.values() for code in (entry.code, *entry.aliases)}


def find_language(code: str) -> LanguageEntry:
    """The entry of a code or alias, whatever its case; `zh_TW` is `zh-tw`.

    Raises:
        ConfigError: the table lacks it; the nearest code or name is suggested.
    """
    entry = _BY_ANY_CODE.get(code.strip().lower().replace("_", "-"))
    if entry is None:
        raise ConfigError(
            f"`{code}` is not a language code we know.{_suggest(code)} Give `name` and `script` to use it all the same."
        )
    return entry


def _suggest(code: str) -> str:
    names = {entry.name.lower(): entry for entry in LANGUAGES.values()}
    known = {**_BY_ANY_CODE, **names}
    nearest = difflib.get_close_matches(code.strip().lower(), known, n=1, cutoff=0.6)
    return f" Did you mean `{known[nearest[0]].code}` ({known[nearest[0]].name})?" if nearest else ""


# Unicode names of letters begin with the name of their script; the standard library has no other table of scripts.
_SCRIPT_OF_NAME = {
    "ADLAM": "Adlm",
    "ARABIC": "Arab",
    "ARMENIAN": "Armn",
    "BENGALI": "Beng",
    "BOPOMOFO": "Bopo",
    "CANADIAN": "Cans",
    "CHEROKEE": "Cher",
    "CJK": "Hani",
    "CYRILLIC": "Cyrl",
    "DEVANAGARI": "Deva",
    "ETHIOPIC": "Ethi",
    "GEORGIAN": "Geor",
    "GREEK": "Grek",
    "GUJARATI": "Gujr",
    "GURMUKHI": "Guru",
    "HANGUL": "Hang",
    "HEBREW": "Hebr",
    "HIRAGANA": "Hira",
    "JAVANESE": "Java",
    "KANNADA": "Knda",
    "KATAKANA": "Kana",
    "KHMER": "Khmr",
    "LAO": "Laoo",
    "LATIN": "Latn",
    "MALAYALAM": "Mlym",
    "MEETEI": "Mtei",
    "MONGOLIAN": "Mong",
    "MYANMAR": "Mymr",
    "NKO": "Nkoo",
    "OL": "Olck",
    "ORIYA": "Orya",
    "SINHALA": "Sinh",
    "SYRIAC": "Syrc",
    "TAMIL": "Taml",
    "TELUGU": "Telu",
    "THAANA": "Thaa",
    "THAI": "Thai",
    "TIBETAN": "Tibt",
    "TIFINAGH": "Tfng",
    "YI": "Yiii",
}
_WIDTHS = {"FULLWIDTH", "HALFWIDTH"}

_TOGETHER = {
    "Jpan": ("Hira", "Kana", "Hani"),
    "Kore": ("Hang", "Hani"),
    "Hans": ("Hani", "Bopo"),
    "Hant": ("Hani", "Bopo"),
}


@lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str | None:
    """ISO 15924 code of a letter's or mark's script; None for digits, punctuation and others that all scripts share."""
    if unicodedata.category(character)[0] not in "LM":
        return None
    words = unicodedata.name(character, "").split()
    first = next((word for word in words if word not in _WIDTHS), "")
    return _SCRIPT_OF_NAME.get(first)


def is_known_script(script: str) -> bool:
    """Whether `script_of` can tell this script from others."""
    return set(scripts_within(script)) <= set(_SCRIPT_OF_NAME.values())


def scripts_within(script: str) -> tuple[str, ...]:
    """What `script_of` says of text in `script`: `Jpan` is written in `Hira`, `Kana` and `Hani`."""
    return _TOGETHER.get(script, (script,))
