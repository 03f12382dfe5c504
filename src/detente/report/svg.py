"""From a figure's SVG file to SVG inside the page: described, with unique ids, in the page's own colours and type."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from detente.report.palette import GRID, HATCH, INK, LOOKS, MONO, MUTED, OTHER, UNIGRAM, VARIANTS

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

SERIES = (MONO, UNIGRAM, OTHER, *LOOKS.values(), *VARIANTS)
COLORS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    "#ffffff": "transparent",
    HATCH: "var(--ground)",
    **{look.color: f"var(--series-{look.name})" for look in SERIES},
}


def for_page(source: str, key: str, title: str, description: str, tips: Sequence[str] = ()) -> str:
    """An `svg` element to put into HTML; `key` keeps its ids apart from those of other figures.

    The source is a file that matplotlib wrote; whatever text it holds stays text.
    """
    root = ElementTree.fromstring(source)
    _drop(root, "metadata")
    for defs in root.iter(f"{{{SVG}}}defs"):
        # matplotlib's rule is for `*`: inside a page that is everything.
        _drop(defs, "style")
    _add_tips(root, tips)
    for element in root.iter():
        _adapt(element, key)
    _describe(root, key, title, description)
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _drop(parent: ElementTree.Element, tag: str) -> None:
    for child in parent.findall(f"{{{SVG}}}{tag}"):
        parent.remove(child)


def _add_tips(root: ElementTree.Element, tips: Sequence[str]) -> None:
    """Browsers show the title of what is pointed at."""
    marks = {element.get("id"): element for element in root.iter(f"{{{SVG}}}g")}
    for number, tip in enumerate(tips):
        title = ElementTree.Element(f"{{{SVG}}}title")
        title.text = tip
        marks[f"tip-{number}"].insert(0, title)


def _adapt(element: ElementTree.Element, key: str) -> None:
    for name, value in list(element.attrib.items()):
        if name == "id":
            element.set(name, f"{key}-{value}")
        elif name == f"{{{XLINK}}}href":
            element.set(name, f"#{key}-{value.removeprefix('#')}")
        elif name == "clip-path":
            element.set(name, value.replace("url(#", f"url(#{key}-"))
        elif name == "style":
            element.set(name, _themed(value).replace("url(#", f"url(#{key}-"))
        elif name == "fill":
            # Of a hatch's ground. An attribute cannot name a variable of the style sheet; a style can.
            element.attrib.pop(name)
            element.set("style", f"fill: {_themed(value)}")


def _themed(style: str) -> str:
    style = re.sub(r"font-family: [^;]*;? ?", "", style)
    return re.sub(r"#[0-9a-f]{6}\b", lambda match: COLORS.get(match[0], match[0]), style)


def _describe(root: ElementTree.Element, key: str, title: str, description: str) -> None:
    for name in ("width", "height"):
        del root.attrib[name]
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title {key}-description")
    for place, (tag, part, text) in enumerate((("title", "title", title), ("desc", "description", description))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{key}-{part}"})
        element.text = text
        root.insert(place, element)
