"""Searches: every proposal meets the budget, kills change nothing, and what was tried is on the bill."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import StageFailure, SuiteError
from harness.method import SearchParams
from harness.registry import method, methods
from harness.store.artifacts import read_artifact
from harness.suite.cell import Cell, DataChoice
from harness.suite.load import load_suite
from harness.train.watch import Watch
from methods.netadapt import NetAdapt, NetAdaptParams, cuts, proposals
from methods.optuna_width import OptunaWidth, OptunaWidthParams, TrialParams
from methods.random_search import RandomSearch
from tests.cells import Finished, run
from tests.execute.small import RECIPE, small
from tests.execute.test_stop import After
from tests.methods.searching import Handed, MadeUp, chain_space

SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "tpe": ("optuna_width", {"sampler": "tpe", "trials": 7}),
    "cmaes": ("optuna_width", {"sampler": "cmaes", "trials": 12, "recalibrate": 1}),
    "nsga2": ("optuna_width", {"sampler": "nsga2", "trials": 9, "recalibrate": 1}),
    "random": ("random_search", {"trials": 5, "epochs": 0.5}),
    "netadapt": ("netadapt", {"iterations": 2, "epochs": 0.5}),
}
each = pytest.mark.parametrize("search", SEARCHES)


def cell_of(search: str, **changes: Any) -> Cell:
    """A cell of that search on 128 of the digits, one epoch of everything."""
    name, params = SEARCHES[search]
    return small(name, budget=0.4, params={**params, **changes})


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    return {search: run([cell_of(search)], tmp_path_factory.mktemp(search)) for search in SEARCHES}


def numbers(finished: Finished) -> list[object]:
    """All figures of the one cell but times, and all that was tried."""
    [row] = finished.rows
    assert row.state == "done", row.reason
    bill = replace(row.search, seconds=0.0)
    tried = read_artifact(finished.results, finished.chains[0].deciding or "", "evaluations.json")
    return [row.top1, row.macs, row.widths, row.curve, row.epochs, row.training_macs, row.notes, bill, tried]


@each
def test_a_search_killed_again_and_again_ends_in_the_same_numbers(
    search: str, unbroken: dict[str, Finished], tmp_path: Path
) -> None:
    runs = 0
    while True:
        watch = Watch(should_stop=After(12), checkpoint_seconds=0)
        finished = run([cell_of(search)], tmp_path, watch)
        runs += 1
        if finished.rows[0].state == "done":
            break
        assert runs < 40
    assert runs > 2
    assert numbers(finished) == numbers(unbroken[search])


@each
def test_evaluations_are_billed_beside_the_epochs_of_the_table(search: str, unbroken: dict[str, Finished]) -> None:
    [row] = unbroken[search].rows
    deciding = unbroken[search].chains[0].deciding or ""
    tried = json.loads(read_artifact(unbroken[search].results, deciding, "evaluations.json"))
    assert sum(row.epochs.values()) == RECIPE.epochs.total
    assert row.epochs["compress"] == 0
    assert len(row.curve) == RECIPE.epochs.total
    assert row.search.evaluations == len(tried) > 1
    assert row.search.epochs == pytest.approx(sum(entry["epochs"] for entry in tried))
    assert (row.search.epochs > 0) == (method(row.cell.method).Params(**row.cell.params).epochs > 0)  # type: ignore[attr-defined]
    assert row.search.macs == sum(entry["macs"] for entry in tried) > 0
    assert row.search.seconds > 0
    assert row.device_seconds is not None
    assert row.device_seconds >= row.search.seconds
    assert f"{len(tried)} networks tried" in " ".join(row.notes)
    trained = [unbroken[search].ledger.result(stage.key) for stage in unbroken[search].chains[0].stages]
    others = sum(
        facts["training_macs"] for facts in trained if facts is not None and "search" not in facts and "epochs" in facts
    )
    assert row.training_macs == others + row.search.macs


@each
def test_what_wins_is_the_most_accurate_of_what_was_tried_and_meets_the_budget(
    search: str, unbroken: dict[str, Finished]
) -> None:
    [row] = unbroken[search].rows
    deciding = unbroken[search].chains[0].deciding or ""
    tried = json.loads(read_artifact(unbroken[search].results, deciding, "evaluations.json"))
    assert row.macs == pytest.approx(row.target, rel=0.02)
    if search != "netadapt":
        best = max(tried, key=lambda entry: entry["accuracy"])
        assert {name: best["widths"][name] for name in row.widths} == {
            name: kept for name, (kept, _) in row.widths.items()
        }


def test_a_search_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    for search in ("tpe", "cmaes", "nsga2"):
        run([cell_of(search)], tmp_path / search)
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn if "optuna" in str(warning.filename)] == []


def test_another_seed_tries_other_widths(unbroken: dict[str, Finished], tmp_path: Path) -> None:
    other = run([replace(cell_of("random"), seed=1)], tmp_path)
    assert other.rows[0].widths != unbroken["random"].rows[0].widths


def worth(widths: Mapping[str, int]) -> float:
    """Best where the second layer is wide."""
    return widths["layer1"] / 32 - 0.01 * widths["layer3"] / 32


def trials(author: type[OptunaWidth] | type[RandomSearch], params: Any, seed: int = 0, value: Any = worth) -> MadeUp:
    evaluate = MadeUp(value)
    author().search(Handed(params, seed), evaluate, chain_space())  # type: ignore[arg-type]
    return evaluate


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2", "random"])
def test_every_trial_meets_the_budget_and_the_first_is_even(sampler: str) -> None:
    space = chain_space()
    asked = trials(OptunaWidth, OptunaWidthParams(sampler=sampler, trials=12)).asked  # type: ignore[arg-type]
    assert len(asked) == 12
    assert max(asked[0].values()) - min(asked[0].values()) <= 2
    for widths in asked:
        assert space.cost(widths) == pytest.approx(space.target, rel=0.01)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "nsga2"])
def test_a_sampler_learns_from_the_accuracies_before(sampler: str) -> None:
    params = OptunaWidthParams(sampler=sampler, trials=30)  # type: ignore[arg-type]
    asked, other = (trials(OptunaWidth, params, value=value).asked for value in (worth, lambda widths: -worth(widths)))
    assert asked != other
    late = [sum(worth(widths) for widths in tried[-10:]) for tried in (asked, other)]
    assert late[0] > late[1]


def test_the_control_learns_nothing() -> None:
    asked, other = (
        trials(RandomSearch, TrialParams(trials=12), value=value).asked
        for value in (worth, lambda widths: -worth(widths))
    )
    assert asked == other


def test_the_control_is_the_random_sampler_at_as_many_trials_under_a_title_of_its_own() -> None:
    mine = trials(RandomSearch, TrialParams(trials=9)).asked
    assert mine == trials(OptunaWidth, OptunaWidthParams(sampler="random", trials=9)).asked
    assert RandomSearch.title != OptunaWidth.title
    assert RandomSearch.Params().trials == OptunaWidth.Params().trials  # type: ignore[attr-defined]


def test_trials_before_do_not_depend_on_how_many_follow() -> None:
    few, many = (trials(OptunaWidth, OptunaWidthParams(trials=n)).asked for n in (30, 40))
    assert many[:30] == few


@given(st.integers(1, 10**9), st.integers(1, 50), st.floats(0.5, 1.0))
def test_netadapts_cuts_shrink_by_the_decay_and_sum_up_to_what_is_above_the_budget(
    whole: int, iterations: int, decay: float
) -> None:
    steps = list(cuts(whole, iterations, decay))
    assert (len(steps), sum(steps)) == (iterations, whole)
    assert all(step >= 0 for step in steps)
    for before, after in itertools.pairwise(steps):
        assert math.isclose(after, decay * before, abs_tol=2)


@pytest.mark.parametrize("iterations", [3, 8])
def test_netadapt_cuts_one_layer_an_iteration_until_the_budget_is_met(iterations: int) -> None:
    space, evaluate = chain_space(), MadeUp(worth)
    widths = NetAdapt().search(Handed(NetAdaptParams(iterations=iterations)), evaluate, space)  # type: ignore[arg-type]
    current = space.sizes
    assert 1 <= len(evaluate.rounds) <= iterations
    for tried, adopted in evaluate.rounds:
        assert adopted in tried
        assert worth(adopted) == max(map(worth, tried))
        for proposal in tried:
            [changed] = [name for name in current if proposal[name] != current[name]]
            assert proposal[changed] < current[changed]
        assert space.cost(adopted) < space.cost(current)
        current = adopted
    assert space.cost(current) <= space.target
    assert all(widths[name] >= current[name] - 2 for name in current)
    assert space.cost(widths) == pytest.approx(space.target, rel=0.01)


def test_netadapt_proposes_every_layer_that_can_give_the_cost_alone() -> None:
    space = chain_space()
    whole = space.cost(space.sizes)
    for step, able in ((round(0.05 * whole), 5), (round(0.35 * whole), 3)):  # the first and the last layer cost less
        found = proposals(space, space.sizes, whole, step)
        assert len(found) == able
        assert all(whole - space.cost(proposal) >= step for proposal in found)


def test_netadapt_asks_for_less_where_no_layer_has_so_much_to_give() -> None:
    space = replace(chain_space(), target=1)
    whole = space.cost(space.sizes)
    found = proposals(space, space.sizes, whole, whole // 2)
    assert found
    assert all(whole // 4 <= whole - space.cost(proposal) for proposal in found)


def test_netadapt_says_so_when_no_layer_can_be_narrowed() -> None:
    space = replace(chain_space(), target=1)
    narrowest = dict.fromkeys(space.sizes, 1)
    with pytest.raises(StageFailure, match="out of reach: no layer alone can be narrowed"):
        proposals(space, narrowest, space.cost(narrowest), 100)


@pytest.mark.parametrize("name", sorted(name for name, author in methods().items() if author.chooses_widths))
@pytest.mark.parametrize("allocate", ["global", "{from: dnal}"])
def test_a_suite_must_not_tell_a_search_how_wide_its_layers_are(name: str, allocate: str, tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "suite: s\ndataset: digits\nbackbones: [vgg_digits]\nseeds: [0]\nrecipe: short_digits\nmethods:\n"
        f"  - dnal\n  - {name}: {{budget: {{macs: 0.5}}, allocate: {allocate}}}\n"
    )
    with pytest.raises(SuiteError, match=rf"suite.yaml:8:\d+: {name} takes no 'allocate': it searches the widths"):
        load_suite(str(suite))


def test_a_search_trains_on_no_held_out_image_even_where_the_recipe_trains_on_all(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"all_train": True})
    finished = run([small("random_search", budget=0.5, recipe=recipe, params={"trials": 2})], tmp_path)
    [row] = finished.rows
    assert row.state == "done"
    assert row.train_images == 128
    assert all(point.held_out_top1 is not None for point in row.curve)


def test_widths_of_a_search_can_be_multiples(tmp_path: Path) -> None:
    cell = replace(
        small("random_search", budget=0.5, params={"trials": 3, "multiple": 4}), data=DataChoice("digits", 128)
    )
    [row] = run([cell], tmp_path).rows
    assert all(kept % 4 == 0 for kept, _ in row.widths.values())


@pytest.mark.parametrize("name", ["optuna_width", "random_search", "netadapt"])
def test_the_reference_names_every_parameter_with_its_default(name: str) -> None:
    author = method(name)
    page = (Path(__file__).parents[2] / "docs" / "reference_methods.md").read_text("utf-8")
    page = page.partition("## Methods that search widths")[2].partition("\n## ")[0]
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{name}` | {author.title} |")]
    own = {key: field.default for key, field in author.Params.model_fields.items()}
    common = {key: field.default for key, field in SearchParams.model_fields.items()}
    for key, default in own.items():
        if key not in common or default != common[key]:
            assert f"`{key}`: {default}" in row
    for key, default in common.items():
        [meaning] = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
        assert f"default {default:g}" in meaning
