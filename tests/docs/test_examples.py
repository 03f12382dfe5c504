"""Every YAML file of the repository, and every snippet of YAML in the documentation, is a study that loads."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from detente.settings import StudySettings, load_study, study_from_mapping

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOLDERS_WITH_STUDIES = ("examples", "docs", "benchmarks", "src", "tests")
TREATMENTS = ("none", "ffn", "attention", "adapter", "shared-adapter", "meta-adapter")

# What a snippet that shows one group only is laid over.
TWO_LANGUAGES = {"languages": {"en": {"paths": "en.txt"}, "sw": {"paths": "sw.txt"}}}


def yaml_files() -> list[Path]:
    return sorted(path for folder in FOLDERS_WITH_STUDIES for path in (ROOT / folder).rglob("*.y*ml"))


def snippets(language: str) -> list[Any]:
    """(page and line, text) of the fenced blocks in `language`."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 1
            found.append(pytest.param(match.group(1), id=f"{page.relative_to(ROOT)}:{line}"))
    return found


@pytest.mark.parametrize("path", yaml_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_file_loads(path: Path) -> None:
    assert isinstance(load_study(path), StudySettings)


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/**/*.yaml")), ids=lambda path: path.stem)
def test_example_is_a_short_commented_grid(path: Path) -> None:
    study = load_study(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    schema = re.fullmatch(r"# yaml-language-server: \$schema=(.+)", lines[0])

    assert len(lines) <= 22 or path.stem == "grid"
    assert schema and (path.parent / schema.group(1)).is_file()
    assert lines[1].startswith("# ")
    assert study.treatments == TREATMENTS
    assert len(study.seeds) >= 3
    if path.parent.name != "examples":
        assert study.preset == path.parent.name
        assert study.name == f"{path.stem}-{study.preset}"


def test_paper_and_mini_have_the_same_studies() -> None:
    paper, mini = (sorted(path.name for path in (ROOT / "examples" / name).iterdir()) for name in ("paper", "mini"))

    assert paper == mini
    assert {f"en-{code}.yaml" for code in ("ar", "fr", "ru", "hi", "sw", "te")} <= set(paper)


@pytest.mark.parametrize("text", snippets("yaml"))
def test_snippet_of_yaml_loads(text: str) -> None:
    values = yaml.safe_load(text)
    assert values

    study_from_mapping(values if "languages" in values else TWO_LANGUAGES | values)


def test_python_is_shown_where_it_is_run() -> None:
    """Each of these pages has a test that runs it."""
    pages = {"docs/python-api.md", "docs/hugging-face.md", "docs/tasks.md", "docs/diagnosis.md", "docs/report.md"}
    assert {snippet.id.split(":")[0] for snippet in snippets("python")} == pages


def test_overrides_in_the_documentation_are_settings() -> None:
    overrides = {
        override
        for page in PAGES
        for override in re.findall(r"--set ([a-z_.]+=[^\s`,;]+)", page.read_text(encoding="utf-8"))
        if override != "name=value"
    }
    assert "training.steps=4000" in overrides

    study_from_mapping(TWO_LANGUAGES, overrides)


def test_every_example_fits_the_json_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs" / "study.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in ROOT.glob("examples/**/*.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)

    with pytest.raises(jsonschema.ValidationError, match="trainign"):
        jsonschema.validate(TWO_LANGUAGES | {"trainign": {}}, schema)
