"""Links resolve, the commands that pages name exist, and what is stated twice is the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{page.name} links to {target}"
        if anchor and goal.suffix == ".md":
            assert anchor in anchors(goal), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_is_ascii(page: Path) -> None:
    if page.parent.name == "results":
        pytest.skip("holds tables as the report prints them")
    assert page.read_bytes().isascii()


def test_every_page_is_reached_from_the_index() -> None:
    index = read("docs/index.md")

    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index


def test_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(
            r"(?:`|^    (?:\S+=\S+ )?)make ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    }
    assert {"demo", "test", "fast", "check", "docs"} <= targets

    assert {"demo", "test"} <= set(re.findall(r"make ([a-z]+)", read("README.md")))
    assert named <= targets


def test_citation_says_what_the_package_says() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    project = tomllib.loads(read("pyproject.toml"))["project"]

    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"] == "Apache-2.0"
    assert [author["family-names"] for author in citation["references"][0]["authors"]] == ["Wang", "Lipton", "Tsvetkov"]
    assert citation["references"][0]["title"].startswith("On Negative Interference in Multilingual Models")
    assert "Apache License" in read("LICENSE")


def test_every_dependency_is_pinned_for_ci() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    wanted = [
        *project["dependencies"],
        *(d for extra in ("parquet", "test", "check") for d in project["optional-dependencies"][extra]),
    ]
    names = {re.split(r"[\[>=<]", dependency)[0].lower() for dependency in wanted} - {"detente"}
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", read("constraints.txt"), flags=re.MULTILINE))

    assert names <= {name.lower() for name in pinned}
    assert pinned["torch"] == "2.13.0"
