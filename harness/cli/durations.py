"""Durations as users write them."""

from __future__ import annotations

import re

from harness.errors import UserError


def seconds_of(duration: str, option: str, least: float = 0.0) -> float:
    """`90s`, `9m`, `1h30m` in seconds.

    Raises:
        UserError: it reads otherwise, or is less than `least` seconds; names the option.
    """
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", duration.strip())
    if parts is None or not any(parts.groups()):
        raise UserError(f"{option} {duration}: a duration reads 90s, 9m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    total = 3600 * hours + 60 * minutes + seconds
    if total < least:
        raise UserError(f"{option} {duration}: it must be {least:g} s at least")
    return total
