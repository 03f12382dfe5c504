"""Every module says what it is, and imports point down the data path."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src" / "detente").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_module_has_a_docstring(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    assert docstring and docstring.splitlines()[0][-1] in ".:;", f"{path} does not say what it is"


def test_no_module_is_a_drawer() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "common", "helpers", "misc"}


def test_contracts_name_every_module_that_exists() -> None:
    """`exhaustive` does so too, but says nothing about parentheses that are no longer needed."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = [layer.strip() for line in contracts[0]["layers"] for layer in line.split("|")]
    there = {path.stem for path in (ROOT / "src" / "detente").iterdir() if path.stem != "__init__"} - {
        "py",
        "__pycache__",
    }
    needed = {layer for layer in layers if not layer.startswith("(")}

    assert needed <= there, "put parentheses around a layer that is not written yet"
    assert not there & {layer.strip("()") for layer in layers if layer.startswith("(")}, "take the parentheses away"


def test_import_contracts_hold() -> None:
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("import-linter is not installed (`make check` installs it)")
    result = subprocess.run([command, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_settings_records_and_report_leave_torch_out() -> None:
    modules = ["detente", "detente.settings", "detente.results"]
    if (ROOT / "src" / "detente" / "report" / "__init__.py").exists():
        modules.append("detente.report")
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
