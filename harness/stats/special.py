"""Student's t from scipy, imported without what scipy reads first and nothing here needs."""

from __future__ import annotations

from functools import cache
from types import ModuleType

from harness.stats.lazily import lazily


@cache
def special() -> ModuleType:
    """`scipy.special`, whose functions those of scipy.stats call; importing scipy.stats takes more than a second."""
    with lazily("numpy.f2py", "numpy.testing"):
        import scipy.special

    module: ModuleType = scipy.special
    return module
