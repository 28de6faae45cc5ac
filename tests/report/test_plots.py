"""Pictures: what is drawn where, and that nothing hides anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from harness import registry
from harness.report.cost_plot import cost
from harness.report.curves_plot import curves
from harness.report.facts import SuiteFacts
from harness.report.figure import rendered, round_numbers, settings
from harness.report.gates_plot import gates, spreads
from harness.report.pareto_plot import pareto
from harness.report.plots import figures
from harness.report.style import styles
from harness.report.table import Table, tables
from harness.report.widths_plot import widths
from harness.store.latencies import Latency, Settings
from harness.store.rows import CurvePoint, GateHistogram, Row

from .made_up import DENSE_MACS, PAPER, SHORT, budgeted, cell, done, facts, grid
from .made_up_networks import mobilenetv2, network_rows, resnet56, supernet

VGG = "dnal_2022 / CIFAR-10 / VGG16"
MAKERS: dict[str, Callable[[Table, SuiteFacts], Figure | None]] = {
    "pareto_macs": lambda table, suite: pareto(table, "macs", suite),
    "pareto_params": lambda table, suite: pareto(table, "params", suite),
    "widths": lambda table, suite: widths(table),
    "gates": lambda table, suite: gates(table),
    "curves": lambda table, suite: curves(table),
    "cost": cost,
}
SEVEN = (1e-5, 5e-5, 1e-4, 2e-4, 3e-4, 4e-4, 5e-4)


@pytest.fixture(autouse=True)
def _report_settings() -> Iterator[None]:
    with settings():
        yield


def drawn(rows: list[Row], **changes: object) -> dict[str, Figure]:
    suite = facts(**changes)
    found = {name: draw() for name, draw in figures(tables(rows, suite)[0], suite).items()}
    return {name: figure for name, figure in found.items() if figure is not None}


def picture(name: str, rows: list[Row], **changes: object) -> Figure:
    suite = facts(**changes)
    made = MAKERS[name](tables(rows, suite)[0], suite)
    assert made is not None
    return made


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_method_has_one_look_that_others_do_not_share() -> None:
    looks = styles(["dense", "dnal", "l1_norm", "random", "uniform", "fpgm", "hrank", "chip", "nisp"])
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(looks)


def test_a_registered_method_looks_the_same_in_every_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "methods", lambda: dict.fromkeys(["dnal", *(f"method_{n}" for n in range(20))]))
    for name in ("dnal", "method_3", "method_17"):
        assert styles([name])[name] == styles(["chip", "dnal", "random", "zeta", "method_1", name])[name]


def test_no_two_of_thirty_methods_look_alike_even_in_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["dense", "dnal", "l1_norm", "random", "uniform", *(f"method_{number}" for number in range(30))]
    monkeypatch.setattr(registry, "methods", lambda: dict.fromkeys(names))
    looks = list(styles(names).values())
    for number, one in enumerate(looks):
        for other in looks[:number]:
            assert one.marker != other.marker or abs(lightness(one.colour) - lightness(other.colour)) > 7


def lightness(colour: str) -> float:
    """CIELAB L*, 0..100: how light a colour is in a grey print."""
    shares = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def test_all_pictures_come_from_a_whole_suite() -> None:
    assert set(drawn(grid())) == {"pareto_macs", "pareto_params", "widths", "gates", "curves", "cost"}


def test_a_level_bar_joins_the_cheapest_and_the_dearest_seed() -> None:
    rows = [done(cell("dnal", seed), 0.9, macs) for seed, macs in enumerate((100_000_000, 140_000_000))]
    assert [bar for bar in bars(picture("pareto_macs", rows).axes[0]) if bar[0][0] != bar[1][0]] == [
        [[100.0, 90.0], [140.0, 90.0]]
    ]
    same = [done(cell("dnal", seed), 0.9, 100_000_000) for seed in (0, 1)]
    assert all(start[0] == end[0] for start, end in bars(picture("pareto_macs", same).axes[0]))


def bars(axes: Axes) -> list[list[list[float]]]:
    """[start, end] of every bar: pieces of lines that are broken where a number is none."""
    found = []
    for line in axes.lines:
        points = np.asarray(line.get_xydata())
        if np.isnan(points).any():
            found += [points[at : at + 2].tolist() for at in range(0, len(points), 3)]
    return found


def test_pictures_that_nothing_fills_are_not_made() -> None:
    assert set(drawn([done(cell("dense"), 0.9)])) == {"pareto_macs", "pareto_params"}
    assert drawn([]) == {}


def test_published_points_are_drawn_only_where_they_are_comparable() -> None:
    assert "HRank ‡" in legend(picture("pareto_macs", grid(), published=VGG))
    apart = picture("pareto_macs", grid(recipe=SHORT), recipe=SHORT, published=VGG)
    assert not any("‡" in label for label in legend(apart))


def test_published_points_are_hollow() -> None:
    figure = picture("pareto_macs", grid(seeds=(0,)), published=VGG)
    hollow = [line for line in figure.axes[0].lines if line.get_fillstyle() == "none"]
    assert len(hollow) == len([label for label in legend(figure) if "‡" in label]) == 5


def test_beside_published_points_costs_follow_the_papers_rule() -> None:
    assert "by the paper's rule" in picture("pareto_macs", grid(), published=VGG).axes[0].get_xlabel()
    assert "Executed MACs" in picture("pareto_macs", grid()).axes[0].get_xlabel()


def test_the_front_joins_the_best_means() -> None:
    rows = [
        done(budgeted("random", share), top1, round(3e8 * share))
        for share, top1 in ((0.1, 0.8), (0.2, 0.7), (0.5, 0.9))
    ]
    front = picture("pareto_macs", rows).axes[0].lines[-1]
    assert np.allclose(np.asarray(front.get_xydata()), [[30.0, 80.0], [150.0, 90.0]])


def test_intervals_are_drawn_from_two_seeds_on() -> None:
    assert not bars(picture("pareto_macs", grid(seeds=(0,))).axes[0])
    assert bars(picture("pareto_macs", grid(seeds=(0, 1))).axes[0])


def test_an_upright_bar_is_the_interval_and_has_two_ends() -> None:
    rows = [done(cell("dnal", seed), top1, 100_000_000) for seed, top1 in enumerate((0.90, 0.91, 0.92))]
    axes = picture("pareto_macs", rows).axes[0]
    [[[_, low], [_, high]]] = bars(axes)
    half_width = 100 * 0.01 / np.sqrt(3) * 4.302652729911275  # Student's t of two degrees of freedom
    assert [low, high] == pytest.approx([91 - half_width, 91 + half_width])
    [ends] = [line for line in axes.lines if line.get_marker() == "_"]
    assert np.asarray(ends.get_xydata())[:, 1].tolist() == [low, high]


@pytest.mark.parametrize(
    "rows",
    [
        grid(),
        grid(SEVEN),
        grid(seeds=(0, 1), scale=0.002, recipe=SHORT, factor=19.9),
        [done(budgeted(f"method_{number}", 0.5), 0.9, 150_000_000) for number in range(12)],
        [done(cell("dense"), 0.9)],
    ],
    ids=["paper", "seven", "small", "twelve", "one"],
)
def test_no_text_of_a_picture_overlaps_the_legend_or_leaves_the_page(rows: list[Row]) -> None:
    _check_texts(drawn(rows, published=VGG))


def _check_texts(pictures: dict[str, Figure]) -> None:
    for name, figure in pictures.items():
        figure.canvas.draw()
        page = figure.bbox
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        axes = [box for one in figure.axes if (box := one.get_tightbbox(renderer)) is not None]
        for box in axes:
            assert box.x0 >= -1, name
            assert box.x1 <= page.x1 + 1, name
            assert box.y1 <= page.y1 + 1, name
        for box in (one.get_window_extent(renderer) for one in figure.legends):
            assert box.x0 >= 0, name
            assert box.x1 <= page.x1, name
            assert box.y0 >= -1, name
            assert not any(box.overlaps(other) for other in axes), name
        words = [text for one in figure.axes for text in (*one.texts, *_tick_labels(one))] + figure.texts
        boxes = [text.get_window_extent(renderer) for text in words if text.get_visible() and text.get_text()]
        for number, box in enumerate(boxes):
            assert box.x1 <= page.x1 + 1, name
            assert not any(box.overlaps(other) for other in boxes[:number]), (name, words[number])


def _tick_labels(axes: Axes) -> list[Text]:
    """Those that are drawn: matplotlib keeps some beyond the ends of an axis."""
    low, high = axes.get_xlim()
    return [text for text in axes.get_xticklabels() if low <= text.get_position()[0] <= high]


def test_every_mean_lies_inside_the_axes() -> None:
    axes = picture("pareto_params", grid(SEVEN, seeds=(0, 1))).axes[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for line in axes.lines:
        points = np.asarray(line.get_xydata())
        if line.get_marker() not in ("None", "", None, "_", "|"):
            assert ((points[:, 0] > left) & (points[:, 0] < right)).all()
            assert ((points[:, 1] > low) & (points[:, 1] < high)).all()


def test_learned_widths_have_one_panel_for_each_strength() -> None:
    assert len(picture("widths", grid(SEVEN)).axes) == 7


def test_bars_are_the_mean_share_kept() -> None:
    rows = [done(cell("dnal", seed), 0.9, 10, widths={"a": (kept, 16), "b": (8, 8)}) for seed, kept in ((0, 4), (1, 8))]
    assert [bar.get_height() for bar in picture("widths", rows).axes[0].patches] == [37.5, 100.0]  # type: ignore[attr-defined]


RESNET = "dnal_2022 / CIFAR-10 / ResNet56"
MANY = {"resnet56": resnet56(), "mobilenetv2": mobilenetv2(), "proxylessnas": supernet()}


@pytest.mark.parametrize("name", MANY)
def test_pictures_of_large_networks_keep_their_texts_apart(name: str) -> None:
    rows = network_rows(MANY[name], backbone=name)
    _check_texts(drawn(rows, backbones=(name,), published=RESNET))


def test_a_layer_of_which_nothing_is_kept_has_a_cross() -> None:
    widths = {"a": (4, 16), "b": (0, 8), "c": (8, 8)}
    axes = picture("widths", [done(cell("dnal"), 0.9, 10, widths=widths)]).axes[0]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[2.0]]  # type: ignore[arg-type]


def test_a_cross_is_explained_where_there_is_one() -> None:
    widths = {"a": (4, 16), "b": (0, 8)}
    assert "×: none kept" in texts(picture("widths", [done(cell("dnal"), 0.9, 10, widths=widths)]))
    assert "×: none kept" not in texts(picture("widths", grid(seeds=(0,))))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_streams_and_hidden_linear_layers_stand_apart() -> None:
    widths = {"conv1": (4, 16), "stream:layer1.0.conv2": (8, 16), "classifier.linear1": (9, 32), "conv2": (8, 16)}
    of = cell("dnal", cuts=("inner", "stream", "fc"))
    axes = picture("widths", [done(of, 0.9, 10, widths=widths)]).axes[0]
    bars = [round(100 * bar.get_height()) for bar in axes.patches]  # type: ignore[attr-defined]
    assert bars == [2500, 5000, 5000, 2812]
    assert [text.get_text() for text in axes.texts if not text.get_text().isdigit()] == [
        "Layer, in the network's order",
        "Streams",
        "Linear",
    ]


def test_hundreds_of_layers_are_steps_with_candidates_outputs_apart() -> None:
    figure = picture("widths", network_rows(supernet(), backbone="proxylessnas"), backbones=("proxylessnas",))
    axes = figure.axes[2]
    assert not axes.patches
    assert len(axes.collections) == 4
    assert axes.texts[1].get_text() == "Outputs of candidates"


def test_points_that_differ_in_cuts_have_looks_of_their_own() -> None:
    rows = [
        done(budgeted("random", 0.5, cuts=cuts), 0.9, 150_000_000 + number)
        for number, cuts in enumerate((("inner", "branch"), ("inner",), ("stream",)))
    ]
    figure = picture("pareto_macs", rows)
    assert legend(figure)[:3] == ["Random (inner, branch)", "Random (inner)", "Random (stream)"]
    assert len({line.get_marker() for line in figure.axes[0].lines[:3]}) == 3


def test_a_published_table_without_flops_leaves_the_axis_to_what_is_executed() -> None:
    rows = network_rows(supernet(), seeds=(0,), backbone="proxylessnas")
    table = "dnal_2022 / ImageNet-1K / ProxylessNAS"
    suite = {"backbones": ("proxylessnas",), "published": table, "dataset_title": "ImageNet"}
    assert "Executed MACs" in picture("pareto_macs", rows, **suite).axes[0].get_xlabel()


def test_curves_are_of_held_out_images_where_there_are_any() -> None:
    assert picture("curves", grid(recipe=SHORT)).axes[0].get_ylabel() == "Held-out top-1 (%)"
    assert picture("curves", grid()).axes[0].get_ylabel() == "Training top-1 (%)"


def test_stages_are_named_and_their_borders_drawn() -> None:
    figure = picture("curves", grid(strengths=(1e-4,)))
    upper = figure.axes[1]
    assert [text.get_text() for text in upper.texts] == ["dense", "search", "fine-tuning"]
    borders = [line.get_xdata()[0] for line in upper.lines if len(line.get_xdata()) == 2]  # type: ignore[index,arg-type]
    assert borders == [100.5, 120.5]


def test_at_most_eight_curves_are_drawn() -> None:
    assert len(legend(picture("curves", grid(tuple(1e-5 * number for number in range(1, 15)), seeds=(0,))))) == 8


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_the_same_rows_give_the_same_bytes(kind: str) -> None:
    first, second = (rendered(picture("pareto_macs", grid(seeds=(0,))), kind) for _ in range(2))  # type: ignore[arg-type]
    assert first == second


def test_dollar_signs_in_titles_are_not_mathematics() -> None:
    figure = picture("pareto_macs", [done(cell("dense"), 0.9)], titles={"dense": "$\\frac{$ <b>\nx"})
    assert rendered(figure, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize(("low", "high"), [(0.01, 400), (16, 320), (90, 110), (299, 301), (0.003, 0.004)])
def test_an_axis_has_a_few_round_numbers(low: float, high: float) -> None:
    found = round_numbers(low, high)
    assert 2 <= len(found) <= 8
    assert all(low <= number <= high for number in found)


def test_gates_are_drawn_epoch_by_epoch_as_shares_of_all() -> None:
    figure = picture("gates", grid(strengths=(1e-4,)))
    (image,) = figure.axes[0].images
    shares = np.asarray(image.get_array())
    assert shares.shape == (40, PAPER.epochs.search)
    assert shares.sum(axis=0) == pytest.approx(np.ones(PAPER.epochs.search))
    assert shares[0, -1] + shares[-1, -1] == pytest.approx(1.0)
    assert shares[10:30, 0].sum() > 0.5


def test_gates_of_several_seeds_are_counted_together_whatever_their_range() -> None:
    def row(seed: int, spread: GateHistogram) -> Row:
        return done(cell("dnal", seed), 0.9, 10, curve=(CurvePoint("compress", 0, 1.0, 0.5, None, spread),))

    rows = [row(0, GateHistogram(0.0, 1.0, (3, 1))), row(1, GateHistogram(0.0, 4.0, (5, 7)))]
    (found,) = spreads(tables(rows, facts())[0].entries[0])
    assert (found.low, found.high, sum(found.counts)) == (0.0, 4.0, 16)
    middles = {place: count for place, count in enumerate(found.counts) if count}
    assert middles == {2: 3, 7: 1, 10: 5, 30: 7}  # 0.25, 0.75, 1 and 3 of 4


def test_costs_are_stacked_by_stage() -> None:
    rows = [
        done(cell("dnal", seed), 0.9, stage_macs={"dense": macs, "compress": 2 * macs}, stage_seconds={"dense": 90.0})
        for seed, macs in enumerate((10**12, 3 * 10**12))
    ]
    left, right = picture("cost", rows).axes
    bars = [(bar.get_x(), bar.get_width()) for bar in left.patches]  # type: ignore[attr-defined]
    assert bars == [(0.0, 2.0), (2.0, 4.0)]
    assert left.get_xlabel() == "Training MACs (T)"
    assert [bar.get_width() for bar in right.patches if bar.get_width()] == [90.0]  # type: ignore[attr-defined]


def test_a_stage_that_the_report_does_not_know_has_a_fill_of_its_own() -> None:
    row = done(cell("dnal"), 0.9, stage_macs={"dense": 1, "networks": 1, "other": 1, "finetune": 1})
    figure = picture("cost", [row])
    assert legend(figure) == ["dense", "other", "networks tried", "fine-tuning"]
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in figure.axes[0].patches}) == 4


def test_accuracy_is_drawn_over_latency_once_networks_are_timed() -> None:
    settings = Settings(16, "cpu", "A processor", 1, channels_last=True, compiled=False)
    rows = [
        done(cell(name), top1, macs, latency=Latency("0" * 64, settings, seconds, (seconds, seconds), 9, 1.0, None))
        for name, top1, macs, seconds in (("dense", 0.9, DENSE_MACS, 0.050), ("random", 0.8, 10**8, 0.020))
    ]
    axes = drawn(rows)["pareto_latency"].axes[0]
    assert axes.get_xlabel() == "Latency (ms), batch 16, log scale"
    points = [line.get_xydata() for line in axes.lines if line.get_marker() not in ("None", "", None)]
    assert np.asarray(points)[:, 0].tolist() == [[50.0, 90.0], [20.0, 80.0]]
    assert "pareto_latency" not in drawn(grid(seeds=(0,)))
