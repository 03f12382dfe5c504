"""Wikipedia dumps (pages-articles XML): one record a paragraph of running text, page after page.

Kept: articles (namespace 0) that are no redirects, in their last revision; paragraphs, list items, link texts.
Left out: templates, tables, references, files, categories, interlanguage links, headings, formulas, galleries, comments.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError

from detente.corpus.files import TextFile
from detente.errors import DataError

# What mwxml runs into where an element that it relies on is missing or another.
_UNFORESEEN = (TypeError, AttributeError, AssertionError, LookupError, RecursionError)
_FILE_NAMESPACE, _CATEGORY_NAMESPACE = 6, 14
_HIDDEN_TAGS = {
    "categorytree", "ce", "chem", "gallery", "graph", "hiero", "imagemap", "inputbox", "mapframe", "maplink", "math",
    "ref", "references", "score", "section", "source", "syntaxhighlight", "table", "templatedata", "templatestyles",
    "timeline",
}  # fmt: skip
_INTERLANGUAGE = re.compile(r"(?:[a-z]{2,3}(?:-[a-z-]+)?|simple):")
_MAGIC_WORD = re.compile(r"__[A-Z]+__")
# A template in brackets leaves them with a comma or two: "Paris (, ) is".
_EMPTIED_BRACKETS = re.compile(r" ?\([\s,;:]*\)")
# What a page with unbalanced markup leaves over.
_BROKEN_MARKUP = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{\||\|\}|^\s*[|!{}]")


def read_wikipedia(stream: BinaryIO, file: TextFile) -> Iterator[str]:
    """The paragraphs of every article.

    Raises:
        DataError: the XML is damaged, truncated or no MediaWiki dump.
    """
    from mwxml.errors import MalformedXML

    try:
        hidden, pages = _open_dump(stream)
        for page in pages:
            yield from _paragraphs(page, hidden)
    except (ParseError, MalformedXML, ValueError, *_UNFORESEEN) as error:
        raise DataError(
            f"{file.path} is not a sound MediaWiki dump ({' '.join(str(error).split())}). "
            "It must be pages-articles XML: copy or download it again."
        ) from None


def _open_dump(stream: BinaryIO) -> tuple[frozenset[str], Iterator[Any]]:
    """Names of the namespaces whose links are not shown, and the pages."""
    from mwxml import Dump
    from mwxml.element_iterator import ElementIterator

    root = ElementIterator.from_file(stream)
    if root.tag != "mediawiki":
        raise ValueError(f"its root is <{root.tag}>, not <mediawiki>")
    dump = Dump.from_element(root)
    return _hidden_namespaces(dump.site_info), _released_pages(dump, root)


def _released_pages(dump: Any, root: Any) -> Iterator[Any]:
    for page in dump.pages:
        yield page
        # The root remembers every page, emptied: gigabytes over a large dump.
        del root.element[:]


def _hidden_namespaces(site_info: Any) -> frozenset[str]:
    local = [n.name for n in site_info.namespaces or () if n.id in (_FILE_NAMESPACE, _CATEGORY_NAMESPACE)]
    return frozenset(name.lower() for name in ("File", "Image", "Category", *local))


def _paragraphs(page: Any, hidden: frozenset[str]) -> Iterator[str]:
    import mwparserfromhell

    last = deque(page, maxlen=1)
    content = last[0].slots.contents.get("main") if last else None
    if page.namespace != 0 or page.redirect or content is None or content.model not in (None, "wikitext"):
        return
    for paragraph in _shown(mwparserfromhell.parse(content.text or ""), hidden).split("\n"):
        text = _EMPTIED_BRACKETS.sub("", _MAGIC_WORD.sub("", paragraph)).strip()
        if text and not _BROKEN_MARKUP.search(text):
            yield text


def _shown(code: Any, hidden: frozenset[str]) -> str:
    return "".join(_shown_node(node, hidden) for node in code.nodes) if code is not None else ""


def _shown_node(node: Any, hidden: frozenset[str]) -> str:
    from mwparserfromhell import nodes

    match node:
        case nodes.Text():
            return str(node.value)
        case nodes.HTMLEntity():
            return str(node.normalize())
        case nodes.Wikilink():
            return "" if _is_hidden(str(node.title), hidden) else _shown(node.text or node.title, hidden)
        case nodes.ExternalLink():
            return _shown(node.title, hidden)
        case nodes.Tag():
            return _shown_tag(node, hidden)
    return ""


def _shown_tag(node: Any, hidden: frozenset[str]) -> str:
    tag = str(node.tag).strip().lower()
    if tag == "br":
        return "\n"
    return "" if tag in _HIDDEN_TAGS else _shown(node.contents, hidden)


def _is_hidden(title: str, hidden: frozenset[str]) -> bool:
    prefix, colon, _ = title.strip().partition(":")
    return bool(colon) and (prefix.strip().lower() in hidden or _INTERLANGUAGE.match(title.strip()) is not None)
