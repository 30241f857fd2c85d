"""What all tests share."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let goldens be written anew, to be read in the diff."""
    parser.addoption("--update-golden", action="store_true", help="write the goldens anew; read the diff")
