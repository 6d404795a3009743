"""What long simulations do without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.observability import logger


@pytest.fixture
def quiet() -> Iterator[None]:
    """Write no log: half of a simulation's time would go into its lines."""
    level = logger.log_level
    logger.setLevel("WARNING")
    yield
    logger.setLevel(level)
