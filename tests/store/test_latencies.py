"""Which of a network's latencies a report compares with others'."""

from __future__ import annotations

from dataclasses import replace

from harness.store.latencies import Latency, Settings, of_most

ONE = Settings(1, "cpu", "A processor", 1, channels_last=True, compiled=False)
MANY = replace(ONE, batch=64)


def timed(of: str, settings: Settings) -> Latency:
    return Latency(of, settings, 0.01, (0.01, 0.01), 9, 1.0, None)


def test_all_latencies_that_are_compared_were_taken_under_the_settings_of_most() -> None:
    found = {"a": (timed("a", ONE), timed("a", MANY)), "b": (timed("b", MANY),), "c": (timed("c", ONE),)}
    found |= {"d": (timed("d", MANY),)}
    assert of_most(found) == {"a": timed("a", MANY), "b": timed("b", MANY), "d": timed("d", MANY)}


def test_nothing_timed_is_nothing_to_compare() -> None:
    assert of_most({}) == {}
