"""What each shipped method costs beyond plain fine-tuning, and how long its source is.

    python bench/method_costs.py > results/measured/methods.md

Training MACs and device time are of the recorded rows under `results/measured/`, at a budget of half the MACs, as
ratios to `l1_norm` in the same table: it only ranks channels, so that its cost is the shared dense training and plain
fine-tuning. Lines of code are those of the method's file that are neither blank, comment nor docstring.
"""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from pathlib import Path

from harness.registry import method, methods, methods_folder
from harness.report.recorded import RECORDED, read_recorded
from harness.store.rows import Row

ROOT = Path(__file__).resolve().parents[1]
TABLES = {"digits_all_methods": "digits, VGG", "cifar10_rivals.cpu": "CIFAR-10, ResNet20"}
"""{folder under results/measured: heading of its columns}."""

PLAIN = "l1_norm"
BUDGET = 0.5


def code_lines(path: Path) -> int:
    """Lines of a Python file that hold code."""
    text = path.read_text(encoding="utf-8")
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    held = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in silent
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            held -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(held)


def shared_files(name: str) -> list[Path]:
    """Files of `methods/` that the method's file imports, directly or through one another."""
    found: list[Path] = []
    waiting = [methods_folder() / f"{name}.py"]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("methods."):
                path = methods_folder() / f"{(node.module or '').removeprefix('methods.')}.py"
                if path not in found:
                    found.append(path)
                    waiting.append(path)
    return found


def ratios(rows: list[Row]) -> dict[str, tuple[float, float]]:
    """{method: (training MACs, device seconds)} at the budget, as ratios to plain fine-tuning; means over seeds."""
    own: dict[str, list[Row]] = {}
    for row in rows:
        cell = row.cell
        plain = cell.widths_of is None and cell.scratch is None and cell.tuned is None
        if row.state == "done" and plain and cell.budget is not None and cell.budget.value == BUDGET:
            own.setdefault(cell.method, []).append(row)
    costs = {
        name: (
            statistics.mean(row.training_macs or 0 for row in found),
            statistics.mean(row.device_seconds or 0 for row in found),
        )
        for name, found in own.items()
    }
    macs, seconds = costs[PLAIN]
    return {name: (cost[0] / macs, cost[1] / seconds) for name, cost in costs.items()}


def table() -> str:
    """The table as Markdown, one row a method that can cut."""
    found = {}
    for folder in TABLES:
        rows, _ = read_recorded(ROOT / "results" / "measured" / folder / RECORDED)
        found[folder] = ratios(rows)
    titles = [f"{kind}, {heading}" for heading in TABLES.values() for kind in ("training MACs", "device time")]
    lines = [
        "# What methods cost",
        "",
        "What `python bench/method_costs.py` prints. Ratios are to `l1_norm` in the same table at half the MACs: dense",
        "training and plain fine-tuning, for the same total of epochs. A method that learns gates is billed for the",
        "searches of all its candidates. Tested invariants are in [the reference](../../docs/reference_methods.md).",
        "",
        "| method | lines of code | shared with others | " + " | ".join(titles) + " |",
        "|---|---:|---:|" + "---:|" * len(titles),
    ]
    for name in sorted(methods()):
        if method(name).takes_budget == "refused":
            continue
        shared = sum(code_lines(path) for path in shared_files(name))
        own = code_lines(methods_folder() / f"{name}.py")
        cells = [f"`{name}`", str(own), str(shared or "–")]
        for folder in TABLES:
            pair = found[folder].get(name)
            cells += [f"{value:.2f}×" for value in pair] if pair else ["–", "–"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
