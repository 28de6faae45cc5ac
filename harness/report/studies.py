"""What studies tried: a block of trials for each, and the phrase that a tuned line carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from harness.plan.stages import training_images
from harness.report import numbers
from harness.report.blocks import Block, Letters, Line
from harness.report.facts import SuiteFacts
from harness.report.numbers import MISSING
from harness.store.rows import Row
from harness.store.studies import StudyRecord, TrialRecord
from harness.suite.study import Study

_OBJECTIVES = {"top1": "held-out top-1", "macs": "executed MACs", "params": "parameters"}


def studies(rows: Iterable[Row]) -> list[StudyRecord]:
    """The different studies that rows rest on, in the order of the rows."""
    found: dict[str, StudyRecord] = {}
    for row in rows:
        if row.study is not None:
            found.setdefault(row.study.key, row.study)
    return list(found.values())


def tuned_note(row: Row) -> str:
    """What a tuned row must say: where its parameters come from, and what that cost."""
    assert row.study is not None
    assert row.cell.tuned is not None
    study, bill = row.study.study, row.study.bill()
    macs = numbers.unit_for([bill.training_macs])
    number = row.study.best[row.cell.tuned.rank]
    return (
        f"parameters of trial {number} of the study {study.name!r} ({study.trials} trials on seed {study.trial.seed}), "
        f"whose {bill.epochs} epochs, {numbers.count(bill.training_macs, macs)} {macs.symbol}".rstrip()
        + f" training MACs and {_duration(bill.seconds)} are in its cost"
    )


def study_blocks(rows: Sequence[Row], facts: SuiteFacts) -> tuple[Block, ...]:
    """One block a study: all its trials, and the total bill."""
    return tuple(_block(record, facts) for record in studies(rows))


def _block(record: StudyRecord, facts: SuiteFacts) -> Block:
    study = record.study
    names = [name for name, _ in study.space]
    letters = Letters()
    macs = numbers.unit_for([trial.macs for trial in record.trials])
    params = numbers.unit_for([trial.params_count for trial in record.trials])
    lines = []
    for trial in record.trials:
        marks = (letters.letter(" ".join(trial.reason.split())),) if trial.reason else ()
        stated = (short(trial.params[name]) for name in names)
        figures = (
            numbers.percent(trial.top1) if trial.top1 is not None else MISSING,
            numbers.count(trial.macs, macs) if trial.macs is not None else MISSING,
            numbers.count(trial.params_count, params) if trial.params_count is not None else MISSING,
            str(trial.epochs),
        )
        lines.append(Line((str(trial.number), _state(trial, record), *stated, *figures), marks))
    header = ("Trial", "State", *names, "Held-out top-1 (%)", macs.named("MACs"), params.named("Params"), "Epochs")
    return Block(
        heading=f"Study {study.name!r}: {study.trials} trials of {facts.method_title(study.trial.method)}",
        header=header,
        lines=tuple(lines),
        notes=tuple(_notes(record)),
        text_columns=2 + len(names),
        footnotes=letters.texts,
    )


def _state(trial: TrialRecord, record: StudyRecord) -> str:
    if trial.number not in record.best:
        return trial.state
    return f"chosen ({record.best.index(trial.number) + 1})" if len(record.best) > 1 else "chosen"


def _notes(record: StudyRecord) -> list[str]:
    study = record.study
    space = "; ".join(f"{name} in {domain}" for name, domain in study.space)
    images = training_images(study.trial.data, False)
    told = [
        f"Space: {space}. Trials ran on seed {study.trial.seed}, trained on {images:,} images and are judged by the "
        "held-out images alone; the test split is read only by the rows that were made of the chosen ones.",
        _aim(study),
        "Suggested by Optuna's TPE"
        + (f", each without the {study.parallel - 1} trials before it" if study.parallel > 1 else "")
        + ("." if study.stopping is None else f"; {_stopping(study)}"),
    ]
    if study.trial.budget is not None:
        told.append(f"Every trial has the budget {study.trial.budget}.")
    bill = record.bill()
    dense = sum(facts["epochs"] for facts in record.stages.values() if facts["kind"] == "dense")
    macs = numbers.unit_for([bill.training_macs])
    told.append(
        f"Total bill: {bill.epochs} epochs ({dense} of dense training), "
        f"{numbers.count(bill.training_macs, macs)} {macs.symbol} training MACs, {_duration(bill.seconds)} of device "
        "time; a stage that trials share is counted once. It is in the cost of every row that the study gave."
    )
    return told


def _aim(study: Study) -> str:
    if len(study.objectives) == 1:
        return "Chosen: " + ("the largest held-out top-1." if study.best == 1 else "by falling held-out top-1.")
    named = " and ".join(_OBJECTIVES[name] for name in study.objectives)
    return (
        f"Chosen: the Pareto front of complete trials by {named}, at most {study.best} points of it, "
        "spread along its length."
    )


def _stopping(study: Study) -> str:
    assert study.stopping is not None
    grace, reduction = study.stopping.grace, study.stopping.reduction
    alone = ", by accuracy alone, which is hard on small networks" if len(study.objectives) > 1 else ""
    after = f"{grace} epoch{'s' if grace > 1 else ''}"
    return (
        f"stopped early by ASHA (first after {after} of fine-tuning, one in {reduction} goes on{alone}), and "
        "then told with what it had reached."
    )


def short(value: Any) -> str:
    """A value that was drawn, in three digits."""
    return numbers.plain(float(f"{value:.3g}")) if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    unit, size = numbers.time_unit([seconds])
    return f"{seconds / size:.1f} {unit}"
