"""Wikipedia dumps: paragraphs of running text."""

from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from detente.errors import DataError

Read = Callable[..., list[str]]

HEADER = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="fr">
  <siteinfo>
    <sitename>Wikip\u00e9dia</sitename><dbname>frwiki</dbname>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Discussion</namespace>
      <namespace key="6" case="first-letter">Fichier</namespace>
      <namespace key="14" case="first-letter">Cat\u00e9gorie</namespace>
    </namespaces>
  </siteinfo>
"""
ARTICLE = """{{Infobox Ville
| nom = Paris
}}
[[Fichier:Paris.jpg|thumb|Une [[vue]] de Paris]]
'''Paris''' ({{lang|la|Lutetia}}, ) est la [[capitale (politique)|capitale]] de la [[France]].<ref name="x">Une {{source}}</ref> Elle a&nbsp;2 millions<ref name="y" /> d&#39;habitants.<!-- cach\u00e9 -->

{| class="wikitable"
! Ann\u00e9e || Population
|-
| 1999 || [[million|2 125 246]]
|}
== Histoire ==
Second paragraphe, [http://exemple.org un lien], <math>x^2</math>et ''la'' fin.<br />Autre ligne.
* un \u00e9l\u00e9ment
<gallery>
Fichier:a.jpg|l\u00e9gende
</gallery>
__NOTOC__
{{non ferm\u00e9
[[Cat\u00e9gorie:Ville]] [[fr:Paris]] [[zh-min-nan:Paris]] [[Category:Cities]]
"""
PARAGRAPHS = [
    "Paris est la capitale de la France. Elle a\u00a02 millions d'habitants.",
    "Second paragraphe, un lien, et la fin.",
    "Autre ligne.",
    "un \u00e9l\u00e9ment",
]


def page(text: str, namespace: int = 0, extra: str = "", model: str = "wikitext") -> str:
    return f"""  <page><title>Titre</title><ns>{namespace}</ns><id>1</id>{extra}
    <revision><id>2</id><timestamp>2024-01-01T00:00:00Z</timestamp><contributor><username>U</username><id>3</id></contributor>
      <model>{model}</model><format>text/x-wiki</format>
      <text bytes="9" sha1="abc" xml:space="preserve">{escape(text)}</text><sha1>abc</sha1></revision></page>
"""


def write(folder: Path, *pages: str, end: str = "</mediawiki>\n") -> Path:
    path = folder / "frwiki-pages-articles.xml"
    path.write_text(HEADER + "".join(pages) + end, encoding="utf-8")
    return path


def test_paragraphs_of_an_article(tmp_path: Path, read: Read) -> None:
    assert read(write(tmp_path, page(ARTICLE))) == PARAGRAPHS


def test_only_articles(tmp_path: Path, read: Read) -> None:
    path = write(
        tmp_path,
        page("discussion", namespace=1),
        page("#REDIRECT [[Paris]]", extra='<redirect title="Paris" />'),
        page("body { color: red }", model="css"),
        page(""),
        page("kept"),
    )
    assert read(path) == ["kept"]


def test_the_last_revision_counts(tmp_path: Path, read: Read) -> None:
    first, second = page("old"), page("new")
    revision = second[second.index("<revision>") : second.index("</page>")]
    assert read(write(tmp_path, first.replace("</page>", revision + "</page>"))) == ["new"]


def test_links_of_other_kinds_stay(tmp_path: Path, read: Read) -> None:
    assert read(write(tmp_path, page("Voir [[:Cat\u00e9gorie:Ville|les villes]] et [[Dune: roman]].")))[0] == (
        "Voir les villes et Dune: roman."
    )


def test_pages_do_not_pile_up(tmp_path: Path, read: Read) -> None:
    """The tree of a dump is dropped page by page: elements in memory stay a handful."""
    from xml.etree.ElementTree import Element

    import mwxml.element_iterator

    from detente.corpus import wikipedia

    roots: list[Element] = []
    original = mwxml.element_iterator.ElementIterator.from_file

    def remember(stream: object) -> object:
        iterator = original(stream)
        roots.append(iterator.element)
        return iterator

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mwxml.element_iterator.ElementIterator, "from_file", remember)
        with write(tmp_path, *[page(f"text {number}") for number in range(500)]).open("rb") as stream:
            file = wikipedia.TextFile(tmp_path / "x.xml", "wikipedia")
            sizes = [len(roots[0]) for _ in wikipedia.read_wikipedia(stream, file)]
    assert len(sizes) == 500
    # Expat is fed 64 KiB at a time, some fifty of these pages.
    assert max(sizes) < 100


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<mediawiki><siteinfo></siteinfo><page>", "no element found"),
        ("<html><body>hello</body></html>", "its root is <html>, not <mediawiki>"),
        ("just text", "syntax error"),
        ("<mediawiki></mediawiki>", "siteinfo"),
        ("<mediawiki><siteinfo></siteinfo><other/></mediawiki>", "Unexpected tag"),
        ("<mediawiki><siteinfo></siteinfo><page><ns>zero</ns></page></mediawiki>", "invalid literal"),
    ],
)
def test_damaged(tmp_path: Path, read: Read, content: str, reason: str) -> None:
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(DataError, match=rf"a\.xml is not a sound MediaWiki dump \(.*{reason}.*pages-articles XML"):
        read(tmp_path / "a.xml")


def test_truncated(tmp_path: Path, read: Read) -> None:
    with pytest.raises(DataError, match="is not a sound MediaWiki dump"):
        read(write(tmp_path, page("kept"), end="  <page><title>cut o"))


def test_entities_do_not_explode(tmp_path: Path, read: Read) -> None:
    """Ten levels of ten make 10^10 characters of a few bytes; the parser refuses."""
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 11))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{levels}]><mediawiki><siteinfo><sitename>&e10;</sitename></siteinfo></mediawiki>'
    (tmp_path / "a.xml").write_text(bomb)
    with pytest.raises(DataError, match="is not a sound MediaWiki dump"):
        read(tmp_path / "a.xml")
