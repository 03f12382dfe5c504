"""No file that a user brings can run code: what would let it is nowhere in the package."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import detente

SOURCES = sorted(Path(detente.__file__).parent.rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.hub.load"}
UNSAFE_YAML = {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all", "Loader", "UnsafeLoader", "FullLoader"}  # fmt: skip
# Arrays of objects are pickles, archives may name files outside of their folder.
UNSAFE_ATTRIBUTES = {"extractall", "unpack_archive", "read_pickle"}
TRUE_ONLY, FALSE_ONLY = {"weights_only"}, {"trust_remote_code", "allow_pickle", "shell"}


def unsafe(code: str) -> list[str]:
    """Each with its line."""
    return [f"line {node.lineno}: {what}" for node in ast.walk(ast.parse(code)) for what in _unsafe_in(node)]


def _unsafe_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        yield from (name for name in names if name.split(".")[0] in MODULES)
    elif isinstance(node, ast.Attribute):
        name = ast.unparse(node)
        if node.attr in UNSAFE_ATTRIBUTES or name in {f"yaml.{attribute}" for attribute in UNSAFE_YAML}:
            yield name
    elif isinstance(node, ast.Call):
        yield from _unsafe_call(node)


def _unsafe_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if name in CALLS:
        yield name
    if name in ("torch.load", "load") and given.get("weights_only") != "True":
        yield f"{name} without weights_only=True"
    yield from (f"{key} is not True" for key in TRUE_ONLY & given.keys() if given[key] != "True")
    yield from (f"{key} is not False" for key in FALSE_ONLY & given.keys() if given[key] != "False")


def test_no_code_of_others_is_run() -> None:
    found = {str(path): problems for path in SOURCES if (problems := unsafe(path.read_text(encoding="utf-8")))}
    assert found == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from dill import loads",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "yaml.unsafe_load(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=wanted)",
        "numpy.load(path, allow_pickle=True)",
        "eval(text)",
        "tarfile.open(path).extractall(folder)",
        "subprocess.run(command, shell=True)",
    ],
)
def test_it_would_be_found(code: str) -> None:
    assert len(unsafe(code)) >= 1


def test_what_is_safe_is_not_taken_for_it() -> None:
    code = "model.eval()\ntorch.load(path, weights_only=True)\nyaml.safe_load(text)\nre.compile(pattern)\nf(trust_remote_code=False)"
    assert unsafe(code) == []


def test_models_of_others_are_loaded_by_functions_that_were_told_not_to_trust() -> None:
    """`from_pretrained` asks the user when it is told nothing; every call says no."""
    calls = [
        node
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("from_pretrained")
    ]
    assert calls
    for call in calls:
        assert "trust_remote_code" in {keyword.arg for keyword in call.keywords}, ast.unparse(call)


def test_the_page_escapes_by_default() -> None:
    from detente.report.page import _environment

    assert _environment().autoescape is True
    template = _environment().from_string("{{ text }}")
    assert template.render(text="<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;"
