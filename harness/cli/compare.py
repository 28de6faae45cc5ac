"""`harness compare`: two methods of a suite against each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import JsonOption, ProfileOption, ResultsOption, SetOption


def compare(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE", help="A suite, or a folder with recorded rows (results/measured/…).")
    ],
    a: Annotated[str, typer.Argument(metavar="A", help="A method, or a variant such as 'l1_norm[match=*]'.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The method that it is compared with.")],
    results: ResultsOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two methods at each budget they share: paired differences, p-values, networks, whole curves."""
    from harness.cli.report import of_recorded, of_suite
    from harness.report.compare import compare as compared
    from harness.report.compare_words import compare_records, compare_text
    from harness.report.hits import hits_in
    from harness.report.recorded import RECORDED

    if (Path(suite) / RECORDED).is_file():
        rows, facts, folder = of_recorded(Path(suite))
    else:
        rows, facts, report = of_suite(suite, profile, set_, results)
        folder = report.parent
    found = compared(rows, facts, a, b, hits_in(folder))
    if as_json:
        print(
            json.dumps({"suite": facts.name, "profile": facts.profile, "comparisons": compare_records(found)}, indent=2)
        )
        return
    print("\n\n".join(compare_text(one) for one in found))
