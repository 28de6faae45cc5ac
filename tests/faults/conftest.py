from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.processes import warm_server


@pytest.fixture(scope="package", autouse=True)
def _warm_server() -> Iterator[None]:
    """Drivers start in a tenth of a second; other tests find no server of this kind."""
    with warm_server():
        yield
