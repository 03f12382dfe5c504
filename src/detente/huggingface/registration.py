"""Tells transformers' Auto classes of our models, whichever of the two packages is imported first. Imports neither here.

The root package calls `install`. A finder then waits for the modules of transformers that hold the Auto classes; where they are
loaded already, registration is at once.
"""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# What is waited for -> whose `register` is called then. Configurations come alone: they need no torch.
REGISTRARS = {
    "transformers.models.auto.configuration_auto": "detente.huggingface.config",
    "transformers.models.auto.modeling_auto": "detente.huggingface.heads",
}


def install() -> None:
    """Register now, or as soon as the Auto classes are loaded."""
    for name in REGISTRARS:
        if name in sys.modules:
            _register(name)
    if not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())


class _AfterImport:
    """Finds the awaited modules as Python does; what is new is only what follows their execution, also on reload."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in REGISTRARS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            _register(name)

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def _register(name: str) -> None:
    """Whatever goes wrong is no reason for transformers not to work."""
    try:
        importlib.import_module(REGISTRARS[name]).register()
    except Exception as error:
        warnings.warn(
            f"detente's models are not known to transformers' Auto classes ({type(error).__name__}: {error})",
            stacklevel=2,
        )
