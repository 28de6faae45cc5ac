"""A study: trials of ordinary stages, judged on held-out images alone, kept in the ledger and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StageFailure
from harness.execute.board import Board
from harness.execute.inline_study import run_studies
from harness.execute.place import Place
from harness.execute.propose import propose
from harness.execute.study import LOST_WORKERS, Desk
from harness.execute.trial import Told
from harness.plan.stages import chain_of
from harness.plan.studies import study_key, trial_key, trial_stages, trials_key
from harness.store.ledger import Ledger
from harness.store.states import LedgerResults
from harness.suite.study import Domain, Stopping, Study
from harness.train.watch import Watch
from tests.cells import Finished, run
from tests.execute.small import events, with_made_up_methods
from tests.execute.tuning import IMAGES, study, tuned

pytestmark = pytest.mark.usefixtures("made_up_methods")

HALVED = {"stopping": Stopping(1, 2), "trials": 6, "parallel": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """A study of six trials under early stopping, and the cells of two seeds that rest on it."""
    with pytest.MonkeyPatch.context() as patch:
        found = with_made_up_methods()
        patch.setattr("harness.registry._found", lambda: found)
        of = study(**HALVED)
        yield run([tuned(of, seed=0), tuned(of, seed=1)], tmp_path_factory.mktemp("study"))


def only_study(of: Study, results: Path, watch: Watch | None = None) -> Ledger:
    """Runs a study and none of the cells that rest on it."""
    ledger = Ledger(results)
    place = Place(results, results / "no-data", watch=watch or Watch())
    run_studies(Board([tuned(of)], ledger, results), place, ledger)
    return ledger


def told(of: Study, ledger: Ledger) -> dict[str, Any]:
    """What the study chose and tried."""
    result = ledger.result(study_key(of))
    assert result is not None
    return result


def test_the_best_configuration_runs_with_every_seed(finished: Finished) -> None:
    result = told(study(**HALVED), finished.ledger)
    (best,) = result["best"]
    complete = [trial for trial in result["trials"] if trial["state"] == "complete"]
    assert result["trials"][best]["top1"] == max(trial["top1"] for trial in complete)
    for row in finished.rows:
        assert row.state == "done", row.reason
        assert row.cell.params == result["trials"][best]["params"]


def test_trials_that_fall_behind_are_stopped_early_and_billed_for_what_they_ran(finished: Finished) -> None:
    of = study(**HALVED)
    trials = [finished.ledger.result(trial_key(trials_key(of), number)) for number in range(of.trials)]
    states = Counter(trial["state"] for trial in trials if trial is not None)
    assert states["stopped"] >= 1
    assert states["complete"] >= 1
    for trial in trials:
        assert trial is not None
        finetune = next(bill for bill in trial["stages"].values() if bill["kind"] == "finetune")
        assert finetune["epochs"] == len(trial["curve"])
        assert finetune["training_macs"] == 3 * trial["macs"] * IMAGES * len(trial["curve"])
        assert finetune["seconds"] > 0
        if trial["state"] == "stopped":
            assert len(trial["curve"]) < 4
        else:
            assert len(trial["curve"]) == 4  # of three epochs, and the one that the method does not search


def test_a_stopped_trial_leaves_no_checkpoint(finished: Finished) -> None:
    assert not list((finished.results / "checkpoints").rglob("*.safetensors"))


def test_a_tuned_row_has_the_study_on_its_bill(finished: Finished) -> None:
    result = told(study(**HALVED), finished.ledger)
    for row, chain in zip(finished.rows, finished.chains, strict=True):
        own = {stage.key: finished.ledger.result(stage.key) or {} for stage in chain.stages}
        study_macs = {key: bill["training_macs"] for key, bill in result["stages"].items() if key not in own}
        assert row.training_macs == sum(facts.get("training_macs", 0) for facts in own.values()) + sum(
            study_macs.values()
        )
        assert row.device_seconds is not None
        assert row.device_seconds > sum(facts["seconds"] for facts in own.values())


def test_a_trial_is_the_very_stages_of_an_ordinary_cell(finished: Finished) -> None:
    row, chain = finished.rows[0], finished.chains[0]
    assert row.study is not None
    assert {stage.key for stage in chain.stages if stage.kind != "measure"} <= set(row.study.stages)
    assert set(events(finished.results, "done").values()) == {1}


def test_a_study_is_done_without_a_look_at_the_test_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(self: Place, data: str) -> None:
        raise StageFailure("crashed", "the test split was read")

    monkeypatch.setattr(Place, "test_loader", poisoned)
    of = study(trials=2)
    ledger = only_study(of, tmp_path)
    assert [trial["state"] for trial in told(of, ledger)["trials"]] == ["complete"] * 2
    # the poison works: the row that is made of the best reads the test split
    assert run([tuned(of)], tmp_path).rows[0].reason == "crashed: the test split was read"


def test_no_stage_of_a_trial_measures_or_trains_on_held_out_images() -> None:
    stages = trial_stages(study(), {"share": 0.5})
    assert [stage.kind for stage in stages] == ["dense", "compress", "finetune"]
    assert not any(stage.config["all_train"] for stage in stages)


def test_trials_with_equal_parameters_are_run_once(tmp_path: Path) -> None:
    of = study(space=(("share", Domain("choice", (0.4, 0.8))),), trials=6)
    ledger = only_study(of, tmp_path)
    shares = {trial["params"]["share"] for trial in told(of, ledger)["trials"]}
    done = events(tmp_path, "done")
    kinds = Counter(event.kind for event in Ledger(tmp_path).refresh() if event.event == "done")
    assert set(done.values()) == {1}
    assert (kinds["dense"], kinds["compress"], kinds["finetune"], kinds["trial"]) == (1, len(shares), len(shares), 6)


class Impatient:
    """Asks to stop after so many questions, which come between two steps."""

    def __init__(self, most: int) -> None:
        self.asked, self.most = 0, most

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > self.most


@pytest.mark.parametrize("changes", [{}, HALVED], ids=["to the end", "stopped early"])
def test_a_study_that_is_broken_off_again_and_again_ends_as_if_it_never_was(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    of = study(**changes)
    whole = told(of, only_study(of, tmp_path / "whole"))
    breaks = 0
    while Ledger(tmp_path / "broken").state(study_key(of)) != "done":
        only_study(of, tmp_path / "broken", Watch(should_stop=Impatient(40), checkpoint_seconds=0))
        breaks += 1
        assert breaks < 30
    assert breaks > 2
    broken = told(of, Ledger(tmp_path / "broken"))
    assert broken["trials"] == whole["trials"]
    assert broken["best"] == whole["best"]
    assert set(events(tmp_path / "broken", "done").values()) == {1}


def test_more_trials_go_on_after_those_that_are_there(tmp_path: Path) -> None:
    first = study(trials=2)
    ledger = only_study(first, tmp_path)
    before = told(first, ledger)["trials"]
    after = told(study(trials=4), only_study(study(trials=4), tmp_path))["trials"]
    assert after[:2] == before
    assert len(after) == 4


def test_two_objectives_give_the_front_and_cells_that_it_has_no_point_for_are_left_out(tmp_path: Path) -> None:
    of = study(objectives=("top1", "macs"), best=4, trials=4)
    done = run([tuned(of, rank) for rank in range(4)], tmp_path)
    result = told(of, done.ledger)
    assert 1 <= len(result["best"]) == len(done.rows)
    shares = [row.cell.params["share"] for row in done.rows]
    assert shares == [result["trials"][number]["params"]["share"] for number in result["best"]]


def test_a_trial_that_fails_is_an_outcome_and_the_study_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.execute.small import Dial

    sound = Dial.compress

    def picky(self: Dial, task: Any) -> Any:
        if task.params.share > 0.6:
            raise ValueError("too much is kept")
        return sound(self, task)

    monkeypatch.setattr(Dial, "compress", picky)
    of = study(trials=5)
    trials = told(of, only_study(of, tmp_path))["trials"]
    assert {trial["state"] for trial in trials} == {"complete", "failed"}
    for trial in trials:
        assert (trial["state"] == "failed") == (trial["params"]["share"] > 0.6)
        if trial["state"] == "failed":
            assert trial["reason"] == "crashed: ValueError: too much is kept"


def test_a_study_without_a_complete_trial_fails_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.execute.small import Dial

    def failing(self: Dial, task: Any) -> Any:
        raise ValueError("never")

    monkeypatch.setattr(Dial, "compress", failing)
    (row,) = run([tuned(study(trials=1))], tmp_path).rows
    assert (row.state, row.reason) == ("failed", "invalid study: none of its 1 trials was completed")


def desk(of: Study, results: Path) -> Desk:
    return Desk(of, Place(results, results), Ledger(results), propose)


def test_a_desk_hands_out_as_many_trials_at_once_as_the_study_says(tmp_path: Path) -> None:
    waiting = desk(study(parallel=2), tmp_path)
    first, second = waiting.next(), waiting.next()
    assert first is not None
    assert second is not None
    assert (first.number, second.number) == (0, 1)
    assert waiting.next() is None
    waiting.ended(1, Told("failed", message="crashed: so"))
    assert waiting.next() is None  # trial 2 waits for trial 0, whichever of the two ends first
    waiting.ended(0, Told("failed", message="crashed: so"))
    third = waiting.next()
    assert third is not None
    assert third.number == 2


def test_a_trial_whose_worker_dies_is_handed_out_again_a_few_times_and_then_fails(tmp_path: Path) -> None:
    of = study(trials=1)
    waiting = desk(of, tmp_path)
    for _ in range(LOST_WORKERS):
        job = waiting.next()
        assert job is not None
        waiting.lost(job.number)
    assert waiting.complete
    (trial,) = told(of, Ledger(tmp_path))["trials"]
    assert (trial["state"], trial["reason"]) == ("failed", f"worker lost: the worker died {LOST_WORKERS} times")


def test_a_cell_waits_for_its_study(tmp_path: Path) -> None:
    from harness.store.states import cell_state

    ledger = Ledger(tmp_path)
    chain = chain_of(tuned(study()), LedgerResults(ledger))
    state = cell_state(chain, ledger)
    assert (state.state, state.reason) == ("waiting", "waits for the study 'tuned' of dial")
