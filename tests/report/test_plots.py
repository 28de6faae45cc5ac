"""Pictures: what is drawn where, and that nothing hides anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from harness.report.curves_plot import curves
from harness.report.facts import SuiteFacts
from harness.report.figure import rendered, round_numbers, settings
from harness.report.pareto_plot import pareto
from harness.report.plots import figures
from harness.report.style import styles
from harness.report.table import Table, tables
from harness.report.widths_plot import widths
from harness.store.rows import Row

from .made_up import SHORT, budgeted, cell, done, facts, grid
from .made_up_networks import mobilenetv2, network_rows, resnet56, supernet

VGG = "dnal_2022 / CIFAR-10 / VGG16"
MAKERS: dict[str, Callable[[Table, SuiteFacts], Figure | None]] = {
    "pareto_macs": lambda table, suite: pareto(table, "macs", suite),
    "pareto_params": lambda table, suite: pareto(table, "params", suite),
    "widths": lambda table, suite: widths(table),
    "curves": lambda table, suite: curves(table),
}
SEVEN = (1e-5, 5e-5, 1e-4, 2e-4, 3e-4, 4e-4, 5e-4)


@pytest.fixture(autouse=True)
def _report_settings() -> Iterator[None]:
    with settings():
        yield


def drawn(rows: list[Row], **changes: object) -> dict[str, Figure]:
    suite = facts(**changes)
    return figures(tables(rows, suite)[0], suite)


def picture(name: str, rows: list[Row], **changes: object) -> Figure:
    suite = facts(**changes)
    made = MAKERS[name](tables(rows, suite)[0], suite)
    assert made is not None
    return made


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_method_has_one_look_that_others_do_not_share() -> None:
    looks = styles(["dense", "dnal", "l1_norm", "random", "uniform", "fpgm", "hrank", "chip", "nisp"])
    assert len({look.colour for look in looks.values()}) == len(looks)
    assert len({look.marker for look in looks.values()}) == len(looks)


def test_a_shipped_method_looks_the_same_in_every_picture() -> None:
    assert styles(["dnal", "random"])["dnal"] == styles(["chip", "dnal", "zeta"])["dnal"]


def test_all_four_pictures_come_from_a_whole_suite() -> None:
    assert set(drawn(grid())) == {"pareto_macs", "pareto_params", "widths", "curves"}


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
    assert not picture("pareto_macs", grid(seeds=(0,))).axes[0].containers
    assert picture("pareto_macs", grid(seeds=(0, 1))).axes[0].containers


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
