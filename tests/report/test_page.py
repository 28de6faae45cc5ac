"""The HTML page as text: what it says, and that nothing in it can act."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.report import page as room
from harness.report.facts import SuiteFacts
from harness.report.page import page
from harness.report.page_cells import cell_pages
from harness.report.page_data import COSTS
from harness.report.page_table import sort_key
from harness.report.table import tables
from harness.report.write import write_report
from harness.store.rows import CurvePoint, Row

from .made_up import SHORT, budgeted, cell, done, facts, failed, grid, waiting
from .made_up_networks import network_rows, supernet

VGG = "dnal_2022 / CIFAR-10 / VGG16"
HOSTILE = "</script><script>document.title='bad'</script><img src=x onerror=\"document.title='bad'\">'\"&{{7*7}}"


class Parsed(HTMLParser):
    """Elements with their attributes, the text that a reader sees, and what scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def of(self, tag: str, kind: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of a class."""
        return [own for name, own in self.elements if name == tag and kind in (own.get("class") or "").split()]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def data(self) -> dict[str, object]:
        return dict(json.loads(self.scripts[0]))


@pytest.fixture(autouse=True)
def _short_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five megabytes of script are parsed in the browser's tests only."""
    monkeypatch.setattr(room, "plotly_script", lambda: "/* plotly */")


def made(rows: list[Row], command: tuple[str, ...] = (), **changes: object) -> Parsed:
    suite: SuiteFacts = facts(**changes)
    return Parsed(page(rows, tables(rows, suite), suite, command))


def test_every_cell_has_a_section_with_its_name_and_its_command() -> None:
    rows = grid(strengths=(1e-4,), seeds=(0,))
    found = made(rows, command=("python", "-m", "harness", "run", "my suite.yaml", "--set", "seeds=[0]"))
    assert len(found.of("details", "cell")) == len(rows)
    for row in rows:
        assert row.cell.label in found.text
    assert (
        "python -m harness run 'my suite.yaml' --set 'seeds=[0]' --only 'vgg16/cifar10/dnal[lambda_a=0.0001]/seed=0'"
        in found.text
    )


def test_a_failed_cell_is_a_row_with_its_reason() -> None:
    rows = [done(cell("dense"), 0.9), failed(budgeted("random", 0.1), "diverged: the loss is not a number")]
    found = made(rows)
    assert len(found.of("tr", "failed")) == 2  # a printed line and a cell
    assert found.text.count("diverged: the loss is not a number") >= 2
    assert "1 failed" in found.text


def test_published_lines_are_marked_as_such() -> None:
    found = made(grid(), published=VGG)
    lines = found.of("tr", "published")
    assert len(lines) == 11
    assert all(attributes["data-method"] == "published" for attributes in lines)
    assert len(found.data["tables"][0]["published"]) == 11  # type: ignore[index]


def test_published_points_that_are_not_comparable_are_not_drawn() -> None:
    found = made(grid(recipe=SHORT), recipe=SHORT, published=VGG)
    assert found.data["tables"][0]["published"] == []  # type: ignore[index]
    assert "Published (not comparable" in found.text


def test_nothing_refers_to_anything_outside_the_page() -> None:
    for tag, attributes in made(grid(), published=VGG).elements:
        for name in ("src", "href", "srcset", "action", "poster"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:,")), (tag, name, target)


def test_the_policy_allows_no_request_and_only_the_pages_own_scripts() -> None:
    found = made([done(cell("dense"), 0.9)])
    (policy,) = [a["content"] or "" for tag, a in found.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    script_sources = policy.split("script-src ")[1].split(";")[0]
    assert len(script_sources.split()) == 2
    assert "unsafe" not in script_sources


def test_names_from_a_suite_are_text_and_never_markup() -> None:
    of = cell("random", backbone=HOSTILE, params={"p": HOSTILE})
    row = done(of, 0.9, notes=(HOSTILE,), provenance={"processor": HOSTILE}, widths={HOSTILE: (1, 2)})
    rows = [row, failed(cell("dense", backbone=HOSTILE), HOSTILE)]
    changes = {"title": HOSTILE, "name": HOSTILE, "backbones": (HOSTILE,), "titles": {"random": HOSTILE}}
    found = made(rows, command=("run", HOSTILE), **changes)
    assert len(found.scripts) == 3
    assert not any(tag == "img" for tag, _ in found.elements)
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert HOSTILE in found.text
    assert "{{7*7}}" in found.text
    assert HOSTILE in json.dumps(found.data, ensure_ascii=False).replace('\\"', '"')


def test_a_point_tells_its_figures_and_where_they_come_from() -> None:
    found = made(grid(strengths=(1e-4,), seeds=(0, 1)))
    series = {one["label"]: one for one in found.data["tables"][0]["series"]}  # type: ignore[index]
    (point,) = series["DNAL"]["points"]
    assert point["hover"][0] == "DNAL (λ = 1e-4)"
    assert point["hover"][-1] == "commit 0123456789ab, A processor"
    assert any("fewer" in line for line in point["hover"])
    names = [f"vgg16/cifar10/dnal[lambda_a=0.0001]/seed={number}" for number in (0, 1)]
    assert [seed["hover"][0] for seed in point["seeds"]] == names

    assert {"macs", "params", "training_macs", "device_seconds"} <= set(point["costs"]) <= set(COSTS)


def test_a_click_on_a_seed_leads_to_the_section_of_its_cell() -> None:
    rows = grid(strengths=(1e-4,), seeds=(0, 1))
    found = made(rows)
    sections = {one.identifier: one.label for one in cell_pages(rows, facts())}
    for series in found.data["tables"][0]["series"]:  # type: ignore[index]
        for point in series["points"]:
            for seed in point["seeds"]:
                assert sections[seed["cell"]] == seed["hover"][0]


def test_methods_come_with_words_a_citation_and_what_the_suite_states() -> None:
    text = made(grid(strengths=(1e-4, 5e-4), seeds=(0,))).text
    assert (
        "Differentiable Neural Architecture Learning for Efficient Neural Networks. Pattern Recognition 126, 2022."
        in text
    )
    assert "The gate of a channel is sigmoid(δ·s)" in text
    assert "lambda_a 1e-4, 5e-4" in text


def test_the_protocol_follows_the_recipe() -> None:
    assert "5,000 of the 50,000 training images are held out" in made(grid(recipe=SHORT, seeds=(0,)), recipe=SHORT).text
    assert "trained on all 50,000 training images" in made(grid(seeds=(0,))).text


def test_places_of_measurement_are_told_apart_but_not_by_their_load() -> None:
    def on(name: str, load: float, seed: int) -> Row:
        return done(cell("dense", seed), 0.9, provenance={"processor": name, "load_average": [load]})

    text = made([on("one", 0.1, 0), on("one", 0.7, 1), on("other", 0.1, 2)]).text
    assert "2 cells measured here: processor one" in text
    assert "1 cell measured here: processor other" in text


def test_a_loss_that_is_not_finite_is_left_out_of_the_charts() -> None:
    found = made([done(cell("random"), 0.1, curve=(CurvePoint("dense", 0, float("nan"), 0.1, None),))])
    assert found.data["cells"]["cell-0"]["curve"]["loss"] == [None]  # type: ignore[index]


NOTHING = {"none": [], "waiting": [waiting(cell("dense"))], "failed": [failed(cell("dense"))]}


@pytest.mark.parametrize("rows", NOTHING.values(), ids=NOTHING)
def test_a_suite_without_figures_has_a_page(rows: list[Row]) -> None:
    assert "Methods and protocol" in made(rows).text


def test_a_supernet_has_its_choices_on_the_page() -> None:
    rows = network_rows(supernet(), seeds=(0,), strengths=(1e-4,), backbone="proxylessnas")
    assert "What is left of the supernet" in made(rows, backbones=("proxylessnas",)).text


def test_the_same_rows_give_the_same_page() -> None:
    rows = grid(strengths=(1e-4,), seeds=(0,))
    first, second = (page(rows, tables(rows, facts()), facts()) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("93.75 ± 0.21", "93.75"),
        ("−1.20 ± 0.40", "-1.20"),
        ("+0.31", "0.31"),
        ("100+20+120", "240"),
        ("100+140 (+14)", "240"),
        ("45,000", "45000"),
        ("126.37 (2.48×)", "126.37"),
        ("—", ""),
    ],
)
def test_figures_are_sorted_by_their_number(text: str, key: str) -> None:
    assert sort_key(text, words=False) == key


def test_words_are_sorted_without_regard_to_case() -> None:
    assert sort_key("DNAL", words=True) == "dnal"


def test_the_page_is_written_only_when_asked_for(tmp_path: Path) -> None:
    rows = [done(cell("dense"), 0.9)]
    assert "report.html" not in [path.name for path in write_report(rows, facts(), tmp_path / "a", ["md"])]
    assert [path.name for path in write_report(rows, facts(), tmp_path / "b", ["html"])] == ["report.html"]


def test_without_plotly_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=re.escape("pip install plotly")):
        room.plotly_script()
