"""`python -m harness`: the command line."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Runs the command line and exits with its status."""
    from harness.cli.uncollected import uncollected

    with uncollected():
        from harness.cli.app import run_app

    status = run_app(sys.argv[1:])
    if "torch" not in sys.modules:  # whose libraries complain at the end of what was not collected
        gc.freeze()  # what is left goes with the process: looking through it for cycles takes a fifth of a second
    sys.exit(status)


if __name__ == "__main__":
    main()
