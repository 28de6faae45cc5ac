"""The report as one HTML page that needs nothing but itself: no network, no other file.

Everything written is text of the page, escaped by the template; scripts only sort, filter and draw. A policy in the
page's head forbids all requests, and every script but the two that it names by their checksums.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from harness.errors import UserError
from harness.report.facts import SuiteFacts
from harness.report.page_cells import CellPage, cell_pages
from harness.report.page_data import charts
from harness.report.page_table import page_tables
from harness.report.page_words import environments, method_words, protocol, summary
from harness.report.table import Table
from harness.store.rows import Row

MOST_ROWS = 300
"""Of a table, that the page shows before it is asked for the rest."""
_TEMPLATES = Path(__file__).parent / "templates"


def page(rows: Sequence[Row], tables: Sequence[Table], facts: SuiteFacts, command: Sequence[str] = ()) -> str:
    """The whole page; the same rows give the same page.

    Args:
        rows: one a cell, in the suite's order.
        tables: made of them, one a backbone.
        facts: of the suite.
        command: the words of what runs the suite; empty where it is not known.

    Raises:
        UserError: plotly, whose script draws the page's charts, is not installed.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from jinja2.utils import htmlsafe_json_dumps

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plotly, script = plotly_script(), _asset("page.js")
    cells = cell_pages(rows, facts, command)
    identifiers = {id(cell.row): cell.identifier for cell in cells}
    return environment.get_template("page.html").render(
        facts=facts,
        most=MOST_ROWS,
        policy=_policy([plotly, script]),
        style=_asset("page.css"),
        plotly=plotly,
        script=script,
        data=htmlsafe_json_dumps(charts(tables, cells, identifiers, facts), allow_nan=False, separators=(",", ":")),
        summary=summary(rows, tables, facts),
        tables=page_tables(tables, identifiers, facts),
        cells=cells,
        methods_of_cells=_methods(cells),
        states=list(dict.fromkeys(cell.row.state for cell in cells)),
        methods=method_words(rows, facts),
        protocol=protocol(rows, facts),
        environments=environments(rows),
    )


def plotly_script() -> str:
    """Plotly's script, minified, of the installed package; the package itself is not imported."""
    found = find_spec("plotly")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        script = Path(folder) / "package_data" / "plotly.min.js"
        if script.is_file():
            return script.read_text(encoding="utf-8")
    raise UserError("the HTML page needs plotly, which is not installed: pip install plotly")


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy under which nothing is fetched and only these scripts run."""
    sums = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in sums)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _methods(cells: Sequence[CellPage]) -> dict[str, str]:
    """{name: title} of the methods that have cells."""
    return {cell.row.cell.method: cell.method for cell in cells}
