"""Tracks and controls as a suite states them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SuiteError
from harness.suite.protocol import SCRATCH_CAP, in_track, scratch_epochs
from harness.suite.recipe import RECIPES, Epochs, Recipe
from tests.suite.conftest import HEAD, Load


def variants(load: Load, methods: str, head: str = "") -> list[str]:
    return [cell.variant for cell in load(f"{HEAD}{head}methods:\n{methods}\n").cells]


def refusal(load: Load, methods: str, head: str = "") -> str:
    with pytest.raises(SuiteError) as caught:
        load(f"{HEAD}{head}methods:\n{methods}\n")
    return str(caught.value).partition("tiny.yaml:")[2]


def test_without_a_track_all_methods_have_the_shared_start_and_names_do_not_say_so(load: Load) -> None:
    (cell,) = load(methods="  - dnal").cells
    assert (cell.track, cell.variant) == ("shared_start", "dnal")


def test_a_track_at_the_top_is_that_of_every_entry_that_states_none(load: Load) -> None:
    methods = "  - dense\n  - l1_norm: {budget: {macs: 0.5}, track: shared_start}"
    assert variants(load, methods, "track: converged\n") == ["dense[track=converged]", "l1_norm[macs=0.5]"]


def test_several_tracks_at_the_top_are_an_axis_of_every_entry(load: Load) -> None:
    assert variants(load, "  - dense\n  - dnal", "track: [shared_start, converged]\n") == [
        "dense",
        "dense[track=converged]",
        "dnal",
        "dnal[track=converged]",
    ]


def test_a_list_under_an_entry_is_an_axis(load: Load) -> None:
    assert variants(load, "  - dnal: {track: [converged, shared_start]}") == ["dnal[track=converged]", "dnal"]


def test_partners_are_of_one_track(load: Load) -> None:
    methods = "  - dnal\n  - {each: [l1_norm, random], budget: {match: dnal}}"
    cells = load(f"{HEAD}track: [shared_start, converged]\nmethods:\n{methods}\n").cells
    assert [(cell.track, cell.match.track) for cell in cells if cell.match] == [
        ("shared_start", "shared_start"),
        ("converged", "converged"),
    ] * 2


def test_candidates_are_of_the_cells_own_track(load: Load) -> None:
    methods = "  - dnal: {lambda_a: [1e-4, 2e-4], track: [shared_start, converged], budget: {macs: 0.5}}"
    for cell in load(methods=methods).cells:
        assert [candidate.track for candidate in cell.candidates] == [cell.track] * 2


def test_a_partner_that_is_in_another_track_only_is_no_partner(load: Load) -> None:
    methods = "  - dnal\n  - l1_norm: {track: converged, budget: {match: dnal}}"
    assert refusal(load, methods).strip() == (
        "8:49: l1_norm in track converged is to match 'dnal', which this suite has in track shared_start only; "
        "partners are of one track"
    )


@pytest.mark.parametrize(
    ("methods", "head", "expected"),
    [
        ("  - dnal: {track: convergd}", "", "7:19: unknown track 'convergd'; did you mean 'converged'?"),
        ("  - dnal: {track: 3}", "", "7:19: 'track' must be shared_start or converged, not 3"),
        ("  - dnal: {track: [converged, converged]}", "", "7:31: track 'converged' is stated twice"),
        (
            "  - dnal: {track: shared_start}",
            "track: [converged, converged]\n",
            "6:20: track 'converged' is stated twice",
        ),
        ("  - dnal: {scratch: epoch}", "", "7:21: unknown scratch 'epoch'; did you mean 'epochs'?"),
        ("  - dense: {scratch: macs}", "", "7:13: dense takes no 'scratch': nothing is cut that could be trained anew"),
    ],
)
def test_a_slip_is_refused_with_its_place(methods: str, head: str, expected: str, load: Load) -> None:
    assert refusal(load, methods, head).strip() == expected


def test_a_slip_at_the_top_says_what_there_is(load: Load) -> None:
    assert "'track' must be shared_start or converged" in refusal(load, "  - dnal", "track: late\n")


def test_choosing_a_learning_rate_on_images_that_are_trained_on_is_refused(load: Load) -> None:
    text = HEAD.replace("recipe: short_digits", "recipe: {use: paper_cifar, finetune_lr: choose}")
    with pytest.raises(SuiteError, match="finetune_lr: choose decides on held-out images, which all_train trains on"):
        load(f"{text}methods:\n  - dnal\n")


def test_scratch_adds_controls_beside_each_cell(load: Load) -> None:
    methods = "  - l1_norm: {budget: {macs: [0.5, 0.25]}, scratch: [macs, epochs]}"
    cells = load(methods=methods).cells
    assert [cell.variant for cell in cells] == [
        "l1_norm[macs=0.5]",
        "l1_norm[macs=0.5,scratch=epochs]",
        "l1_norm[macs=0.5,scratch=macs]",
        "l1_norm[macs=0.25]",
        "l1_norm[macs=0.25,scratch=epochs]",
        "l1_norm[macs=0.25,scratch=macs]",
    ]
    assert [cell.scratch_of for cell in cells] == [None, cells[0], cells[0], None, cells[3], cells[3]]


def test_controls_are_nobodys_partner(load: Load) -> None:
    cells = load(methods="  - dnal: {scratch: epochs}\n  - l1_norm: {budget: {match: dnal}}").cells
    assert [cell.variant for cell in cells] == ["dnal", "dnal[scratch=epochs]", "l1_norm[match=dnal]"]
    assert cells[2].match is cells[0]


RECIPE_LENGTHS = st.builds(
    lambda dense, search, finetune, more: Epochs(
        dense=dense, search=search, finetune=finetune, baseline=max(dense, finetune) + more
    ),
    st.integers(1, 50),
    st.integers(1, 20),
    st.integers(0, 50),
    st.integers(0, 80),
)


@given(RECIPE_LENGTHS)
def test_the_converged_dense_stage_is_the_whole_schedule(epochs: Epochs) -> None:
    converged = in_track(Recipe(epochs=epochs), "converged")
    assert converged.epochs.dense == converged.epochs.schedule == epochs.schedule
    assert converged.epochs.total == epochs.schedule + epochs.search + epochs.finetune
    assert in_track(converged, "converged") == converged


def test_the_converged_dense_stage_does_not_begin_a_longer_schedule() -> None:
    assert in_track(RECIPES["imagenet_mobilenetv2"], "converged").dense_horizon is None


@given(
    total=st.integers(1, 400),
    training_macs=st.integers(1, 10**15),
    per_epoch=st.integers(1, 10**12),
)
def test_no_other_length_within_the_cap_comes_nearer_to_equal_macs(
    total: int, training_macs: int, per_epoch: int
) -> None:
    length = scratch_epochs("macs", total, training_macs, per_epoch)
    assert 1 <= length <= SCRATCH_CAP * total
    gap = abs(length * per_epoch - training_macs)
    for other in (length - 1, length + 1):
        if 1 <= other <= SCRATCH_CAP * total:
            assert abs(other * per_epoch - training_macs) >= gap


def test_equal_epochs_are_the_total() -> None:
    assert scratch_epochs("epochs", 24, 10**15, 1) == 24


def test_trials_of_a_study_have_the_track_of_their_entry_and_choose_no_learning_rate(load: Load) -> None:
    head = HEAD.replace("recipe: short_digits", "recipe: {use: short_digits, finetune_lr: choose}")
    tune = "  - tune: {method: dnal, track: converged, trials: 2, space: {lambda_a: {loguniform: [1e-4, 1e-2]}}}"
    (cell,) = load(f"{head}methods:\n{tune}\n").cells
    assert cell.tuned is not None
    trial = cell.tuned.study.trial
    assert (cell.track, trial.track) == ("converged", "converged")
    assert (cell.recipe.finetune_lr, trial.recipe.finetune_lr) == ("choose", "base")
    assert trial.recipe.epochs.dense == cell.recipe.epochs.dense == 16
