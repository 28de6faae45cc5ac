"""Settings that Ray reads when it is imported, for which `prepare` comes before that, or when it is started."""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from harness.errors import UserError

_SETTINGS = {
    # plain text and no loggers: the ledger and the progress display say what is to be said
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # the stop sign ends a run cleanly; Tune's own handler would cut workers off
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune's state is never read back
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # a trial that failed has no accuracy to report
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def prepare() -> None:
    """Sets what the user has not set."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if (Path.home() / ".ray" / "auth_token").exists():
        # a cluster made by `ray start` asks for this token where there is one; a driver sends it only if told to
        os.environ.setdefault("RAY_AUTH_MODE", "token")


@contextmanager
def on_loopback() -> Iterator[None]:
    """Within it `ray.init` starts a Ray whose servers no other machine reaches and no other user may talk to.

    Ray takes the machine's outward address where clusters are supported and the loopback address elsewhere, whatever
    address it is given; it binds its servers to the address that it takes. The token that its servers ask for would
    be written to the user's home, where other users may read it: this process makes one of its own. Neither is done
    where the environment says how Ray is to authenticate.
    """
    from ray._private import ray_constants

    supported = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    # Where no mode is set, Ray sets it as it starts; it would not take note of one that is set after its import.
    if os.environ.get("RAY_AUTH_MODE", "token").lower() == "token" and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", _token())
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = supported


def check_loopback() -> None:
    """Ends a Ray that took an outward address all the same; a UserError then."""
    import ray

    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    if not ipaddress.ip_address(address).is_loopback:
        ray.shutdown()
        raise UserError(
            f"Ray {ray.__version__} serves {address}, which other machines may reach, and not this machine alone: "
            "use the version that the harness was tested with, or --executor inline"
        )


@cache
def _token() -> str:
    """Ray keeps the first token that a process reads."""
    return secrets.token_hex(32)
