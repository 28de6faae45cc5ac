from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.store import artifacts
from harness.store.ledger import Ledger
from harness.store.merge import Merged, merge
from tests.store.processes import names

KEY = "0f" * 32
OTHER = "1e" * 32


def finish(results: Path, key: str, content: bytes) -> None:
    artifacts.write_artifact(results, key, {"weights": content})
    ledger = Ledger(results)
    ledger.append("started", key, "dense", {})
    ledger.append("done", key, "dense", {"content": content.decode()})
    ledger.close()


def content(results: Path, key: str) -> bytes:
    return artifacts.read_artifact(results, key, "weights")


def weights(results: Path, key: str) -> Path:
    return artifacts.artifact_folder(results, key) / "weights"


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Path, Path]:
    one, two = tmp_path / "one", tmp_path / "two"
    finish(one, KEY, b"first")
    finish(two, OTHER, b"second")
    return one, two


def test_the_joint_folder_knows_what_each_machine_knew(tmp_path: Path, machines: tuple[Path, Path]) -> None:
    into = tmp_path / "into"
    assert merge(machines, into) == Merged(events=4, artifacts=2)
    joint = Ledger(into)
    assert [joint.state(key) for key in (KEY, OTHER)] == ["done", "done"]
    assert joint.result(OTHER) == {"content": "second"}
    assert (content(into, KEY), content(into, OTHER)) == (b"first", b"second")


def test_merging_again_adds_nothing(tmp_path: Path, machines: tuple[Path, Path]) -> None:
    merge(machines, tmp_path / "into")
    assert merge([*machines, *machines], tmp_path / "into") == Merged(0, 0)
    assert merge([tmp_path / "into"], machines[0]) == Merged(2, 1)
    assert merge([tmp_path / "into"], machines[1]) == Merged(2, 1)
    assert sorted(e.digest for e in Ledger(machines[0]).refresh()) == sorted(
        e.digest for e in Ledger(machines[1]).refresh()
    )


def test_a_source_may_be_the_target(machines: tuple[Path, Path]) -> None:
    one, two = machines
    assert merge([one, two], one) == Merged(2, 1)
    assert Ledger(one).state(OTHER) == "done"


def test_sources_are_only_read(tmp_path: Path, machines: tuple[Path, Path]) -> None:
    before = [names(machine / "ledger") for machine in machines]
    merge(machines, tmp_path / "into")
    assert [names(machine / "ledger") for machine in machines] == before


@pytest.mark.parametrize("reverse", [False, True])
def test_of_two_artifacts_of_one_stage_the_one_that_the_joint_result_tells_of_is_taken(
    tmp_path: Path, reverse: bool
) -> None:
    machines = [tmp_path / "one", tmp_path / "two"]
    finish(machines[0], KEY, b"earlier")
    finish(machines[1], KEY, b"later")
    if reverse:
        machines.reverse()
    into = machines[1]
    merge(machines, into)
    assert content(into, KEY) == b"later"
    assert Ledger(into).result(KEY) == {"content": "later"}


def test_a_damaged_artifact_is_made_good_by_a_sound_one(tmp_path: Path) -> None:
    one, two, into = (tmp_path / name for name in ("one", "two", "into"))
    for results in (one, two, into):
        finish(results, KEY, b"same")
    os.truncate(weights(one, KEY), 1)
    os.truncate(weights(into, KEY), 1)
    merge([one, two], into)
    assert content(into, KEY) == b"same"


def test_an_artifact_that_is_damaged_everywhere_is_refused_by_name_and_nothing_is_promised(
    tmp_path: Path, machines: tuple[Path, Path]
) -> None:
    os.truncate(weights(machines[1], OTHER), 1)
    with pytest.raises(UserError, match=r"cannot merge: .*two/artifacts/1e/.*/weights is damaged: .*; remove "):
        merge(machines, tmp_path / "into")
    assert Ledger(tmp_path / "into").keys() == []


def test_a_loss_on_one_machine_does_not_revoke_what_another_did(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    finish(one, KEY, b"first")
    finish(two, KEY, b"second")
    artifacts.remove_artifact(one, KEY)
    Ledger(one).append("lost", KEY, "dense", {})
    assert Ledger(one).state(KEY) == "waiting"
    merge([one, two], tmp_path / "into")
    assert Ledger(tmp_path / "into").state(KEY) == "done"
    assert content(tmp_path / "into", KEY) == b"second"


def test_a_source_that_is_not_there_is_refused(tmp_path: Path, machines: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        merge([*machines, tmp_path / "nowhere"], tmp_path / "into")
    assert not (tmp_path / "into").exists()
