"""Settings that Ray reads when it is imported; `prepare` comes before that."""

from __future__ import annotations

import os
from pathlib import Path

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
