"""What all tests share."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect what a test leaves on purpose, such as tasks whose exception nobody asked for.

    Such a task prints its traceback when it is collected, which parses source; where that falls into another parse, as of the
    next test module, CPython 3.11 fails with "AST constructor recursion depth mismatch".
    """
    yield
    gc.collect()
