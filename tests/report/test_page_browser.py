"""The HTML page in a browser: sorting, filters, hover, keyboard, phones, and that nothing leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.report.write import write_report

from .browser import Browser, BrowserError, chromium
from .made_up import budgeted, cell, done, facts, failed, grid

PROGRAM = chromium()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on this machine")

HOSTILE = (
    "</script><script>document.title='bad'</script><img src=x onerror=\"document.title='bad'\">"
    "<a href='http://x.test'>'\"%{x}"
)
LINES = "[...document.querySelectorAll('section.table table')[0].tBodies[0].rows]"
SHOWN = f"{LINES}.filter(row => !row.hidden)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert PROGRAM is not None
    try:
        found = Browser(PROGRAM, tmp_path_factory.mktemp("profile"))
    except BrowserError as error:
        pytest.skip(f"{PROGRAM} does not start: {error}")
    yield found
    found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite with published rows, a failed cell and gates."""
    rows = [*grid(strengths=(1e-4, 5e-4), seeds=(0, 1)), failed(budgeted("random", 0.1), "diverged here")]
    suite, ran = facts(published="dnal_2022 / CIFAR-10 / VGG16"), ("python", "-m", "harness", "run", "suite.yaml")
    (path,) = write_report(rows, suite, tmp_path_factory.mktemp("page"), ["html"], ran)
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite in which every name is markup."""
    of = cell("random", backbone=HOSTILE, params={"p": HOSTILE})
    told = {"notes": (HOSTILE,), "provenance": {"processor": HOSTILE}, "widths": {HOSTILE: (1, 2)}}
    rows = [
        done(of, 0.9, curve=grid(seeds=(0,))[0].curve, **told),
        failed(cell("dense", backbone=HOSTILE), HOSTILE),
    ]
    suite = facts(title=HOSTILE, name=HOSTILE, backbones=(HOSTILE,), titles={"random": HOSTILE})
    (path,) = write_report(rows, suite, tmp_path_factory.mktemp("hostile"), ["html"], (HOSTILE,))
    return path


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that shows five rows of each table before it is asked for the rest."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.report.page.MOST_ROWS", 5)
        (path,) = write_report(grid(seeds=(0, 1)), facts(), tmp_path_factory.mktemp("long"), ["html"])
    return path


def column(browser: Browser, heading: str) -> list[str]:
    """The sort keys of a column of the first table, in the order shown."""
    return list(
        browser.run(
            "(() => { const table = document.querySelector('section.table table');"
            f"const at = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === '{heading}');"
            "return [...table.tBodies[0].rows].map(row => row.cells[at].dataset.key); })()"
        )
    )


def click_heading(browser: Browser, heading: str) -> None:
    browser.run(f"[...document.querySelectorAll('th button')].find(each => each.textContent === '{heading}').click()")


def choose(browser: Browser, identifier: str, value: str) -> None:
    browser.run(
        f"(() => {{ const control = document.getElementById('{identifier}'); control.value = '{value}';"
        "control.dispatchEvent(new Event('input')); })()"
    )


def drawn(browser: Browser) -> list[int]:
    """How many points each trace of the first chart has."""
    marked = "document.querySelector('.pareto').data.filter(trace => trace.mode === 'markers')"
    return list(browser.run(f"{marked}.map(trace => trace.x.length)"))


def test_a_heading_sorts_by_number_up_and_down_with_missing_figures_last(browser: Browser, report: Path) -> None:
    browser.open(report)
    click_heading(browser, "Top-1 (%)")
    rising = column(browser, "Top-1 (%)")
    figures = [float(key) for key in rising if key]
    assert figures == sorted(figures)
    assert rising[-1] == ""
    click_heading(browser, "Top-1 (%)")
    falling = column(browser, "Top-1 (%)")
    assert [float(key) for key in falling if key] == figures[::-1]
    assert falling[-1] == ""
    assert browser.run("document.querySelectorAll('th[aria-sort=descending]').length") == 1


def test_filters_hide_lines_and_their_points(browser: Browser, report: Path) -> None:
    browser.open(report)
    whole = browser.run(f"{SHOWN}.length")
    assert sum(drawn(browser)) > 2
    choose(browser, "method-0", "dnal")
    assert browser.run(f"{SHOWN}.every(row => row.dataset.method === 'dnal') && {SHOWN}.length") == 2
    assert sum(drawn(browser)) == 2
    choose(browser, "method-0", "")
    choose(browser, "find-0", "DIVERGED")
    assert browser.run(f"{SHOWN}.length") == 1
    choose(browser, "find-0", "")
    assert browser.run(f"{SHOWN}.length") == whole
    choose(browser, "state-cells", "failed")
    assert browser.run("document.querySelector('#cells output').textContent") == "1 of 27 rows"


LAID_OUT = f"{LINES}.filter(row => row.getClientRects().length)"
MORE = "document.querySelector('section.table .more')"


def test_a_long_table_shows_its_first_rows_and_all_of_them_when_asked(browser: Browser, long: Path) -> None:
    browser.open(long)
    whole = browser.run(f"{LINES}.length")
    assert browser.run(f"{LAID_OUT}.length") == 5 < whole
    assert browser.run(f"{MORE}.textContent") == f"Show all {whole} rows"
    assert sum(drawn(browser)) == whole  # points stand for rows that are not laid out, too
    browser.run(f"{MORE}.click()")
    assert browser.run(f"{LAID_OUT}.length") == whole
    assert browser.run(f"{MORE}.hidden && document.activeElement === {LINES}[5]")


def test_the_first_rows_of_a_long_table_are_those_of_the_order_and_the_filter(browser: Browser, long: Path) -> None:
    browser.open(long)
    click_heading(browser, "Top-1 (%)")
    click_heading(browser, "Top-1 (%)")
    best = sorted(map(float, filter(None, column(browser, "Top-1 (%)"))))[-1]
    at = "row.cells[[...row.closest('table').tHead.rows[0].cells].findIndex(one => one.textContent === 'Top-1 (%)')]"
    assert browser.run(f"{LAID_OUT}.map(row => Number({at}.dataset.key))[0]") == best
    choose(browser, "method-0", "dnal")
    fitting = browser.run(f"{SHOWN}.length")
    assert browser.run(f"{LAID_OUT}.length") == min(fitting, 5)
    assert browser.run(f"{MORE}.hidden") == (fitting <= 5)


def test_a_short_table_has_nothing_to_ask_for(browser: Browser, report: Path) -> None:
    browser.open(report)
    assert browser.run("[...document.querySelectorAll('.more')].every(button => button.hidden)")
    assert browser.run("document.querySelectorAll('tr.later').length") == 0


def test_published_points_stand_on_the_papers_axes_only(browser: Browser, report: Path) -> None:
    browser.open(report)
    names = "document.querySelector('.pareto').data.map(trace => trace.name || '').filter(name => name.includes('‡'))"
    assert browser.run(f"{names}.length") == 0
    choose(browser, "axis-0", "paper_flops")
    assert browser.run(f"{names}.length") == 5


def test_a_hover_names_the_cell_and_its_provenance_and_a_click_opens_it(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run("document.querySelector('.pareto').scrollIntoView({block: 'center'})")
    x, y = browser.run(
        "(() => { const box = document.querySelector('.pareto .scatterlayer .point').getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    browser.move(x - 40, y + 40)
    browser.move(x, y)
    told = browser.wait("document.querySelector('.pareto .hoverlayer .hovertext')?.textContent")
    assert "Dense" in told
    assert "commit 0123456789ab" in told
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    opened = browser.wait("document.querySelector('details.cell[open] summary')?.textContent")
    assert opened.strip().endswith("dense/seed=0")


def test_a_cell_opens_from_a_link_and_draws_its_curves_widths_and_gates(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run("[...document.querySelectorAll('#cell-table a')].find(a => a.textContent.includes('/dnal[')).click()")
    for chart in ("curve", "widths", "gates"):
        assert browser.wait(f"document.querySelector('details.cell[open] .chart.{chart} .main-svg') !== null")
    assert browser.run("document.activeElement.closest('details.cell').open")
    assert browser.complaints == []


def test_the_keyboard_reaches_and_works_a_heading(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run("document.getElementById('method-0').focus()")
    for _ in range(3):
        browser.press("Tab", 9)
        if browser.run("document.activeElement.matches('th button')"):
            break
    assert browser.run("document.activeElement.textContent") == "Model"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    browser.press("Enter", 13, "\r")
    assert browser.wait("document.querySelector('th[aria-sort]')?.textContent") == "Model"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_shows_all_legibly_and_nothing_leaves_the_page(browser: Browser, report: Path, dark: bool) -> None:
    browser.open(report, width=360, dark=dark)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert browser.run(CONTRASTS) == []
    assert browser.run("document.querySelectorAll('#cost .main-svg').length") > 0
    assert browser.complaints == []
    assert browser.requests == []


CONTRASTS = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3).map((each) => each / 255)
    .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour) && colour !== "transparent") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const weak = [];
  for (const element of document.querySelectorAll("h1, p, li, td, button, small, a, .tag, dt, dd, figcaption")) {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => x - y);
    if ((b + 0.05) / (a + 0.05) < 4.5) weak.push(element.outerHTML.slice(0, 80));
  }
  for (const element of document.querySelectorAll(".pareto text")) {
    const [a, b] = [light(getComputedStyle(element).fill), light(behind(document.body))].sort((x, y) => x - y);
    if ((b + 0.05) / (a + 0.05) < 4.5) weak.push(element.textContent);
  }
  return weak;
})()"""
"""Texts whose contrast with what is behind them is less than 4.5 to 1."""


def test_names_that_are_markup_are_inert(browser: Browser, hostile: Path) -> None:
    browser.open(hostile)
    browser.run("document.querySelectorAll('details.cell').forEach(cell => { cell.open = true; })")
    browser.wait("document.querySelector('details.cell .chart.widths .main-svg') !== null")
    choose(browser, "axis-0", "params")
    assert browser.run("document.title").startswith("</script><script>")
    assert browser.run("document.querySelectorAll('img, main script, main a[href^=http], svg a').length") == 0
    assert browser.run("document.querySelector('.pareto .legendtext').textContent").startswith("</script><script>")
    assert browser.complaints == []
    assert browser.requests == []
