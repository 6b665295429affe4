"""Replaces constants of modules as soon as these are imported: see `tests/deadlines.py`."""

import json
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class _Patcher(MetaPathFinder):
    """Finds the modules that have constants to replace, and wraps their loaders."""

    def __init__(self, constants: dict[str, float]) -> None:
        self._constants: dict[str, dict[str, float]] = {}
        for path, value in constants.items():
            module, _, name = path.rpartition(".")
            self._constants.setdefault(module, {})[name] = value

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname in self._constants else None
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_patch(module: ModuleType) -> None:
            execute(module)
            for name, value in self._constants[fullname].items():
                if not hasattr(module, name):
                    raise AttributeError(f"{fullname} has no constant {name}")
                setattr(module, name, value)

        loader.exec_module = execute_and_patch
        return spec


sys.meta_path.insert(0, _Patcher(json.loads(os.environ["TASKPORT_TEST_CONSTANTS"])))
