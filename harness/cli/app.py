"""Puts the verbs together, and turns what goes wrong into one line and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from harness.cli import (
    compare,
    cost,
    data,
    doctor,
    export,
    latency,
    listing,
    merge,
    new_method,
    pack,
    plan,
    report,
    reproduce,
    run,
)
from harness.errors import UserError
from harness.printable import printable

app = typer.Typer(
    name="harness",
    help="Benchmarks of methods that make convolutional networks smaller: a suite file in, tables and plots out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("report")(report.report)
app.command("reproduce")(reproduce.reproduce)
app.command("compare")(compare.compare)
app.command("list")(listing.listing)
app.command("cost")(cost.cost)
app.command("data")(data.data)
app.command("merge")(merge.merge)
app.command("latency")(latency.latency)
app.command("export")(export.export)
app.command("pack")(pack.pack)
app.command("doctor")(doctor.doctor)
app.command("new-method")(new_method.new_method)


def run_app(arguments: Sequence[str]) -> int:
    """The exit status: 0 done, 1 cells failed, 2 wrong command or suite, 3 stopped by the budget, 130 interrupted."""
    try:
        typer.main.get_command(app).main(list(arguments), prog_name="harness")
    except SystemExit as asked:
        return asked.code if isinstance(asked.code, int) else 0
    except UserError as error:
        told = printable(str(error))
        print(f"error: {told}" if "\n" not in told else told, file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
    return 0
