"""Importing what an exporter needs."""

import importlib
from typing import Any

from roomcast.errors import MissingDependencyError

__all__ = ["require"]


def require(module: str, package: str, extra: str) -> Any:
    """Import a module.

    Args:
        module: The module.
        package: What it is in, by its name in the registry.
        extra: The extra that brings it.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f'this needs {package}: pip install "roomcast[{extra}]"'
        ) from error
