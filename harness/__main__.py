"""`python -m harness`: the command line."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and exits with its status."""
    from harness.cli.app import run_app

    sys.exit(run_app(sys.argv[1:]))


if __name__ == "__main__":
    main()
