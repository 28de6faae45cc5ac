"""Rows that others printed, and whether they may stand beside ours."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError, unknown
from harness.paths import published_rows as published_folder
from harness.report.facts import SuiteFacts

_SAME_DATA = {"ImageNet-1K": "ImageNet"}
"""Other names of data sets of the catalogue: {name in a published table: our title}."""


@dataclass(frozen=True)
class PublishedRow:
    """One row of a paper's table.

    Attributes:
        method: as the table calls it.
        flops: multiply-adds, or None where the table has none (likewise all that follow).
        flops_printed: digits and unit as printed, such as "313.47 M"; empty where there are none.
        flops_ratio: reduction against the table's baseline, as printed, such as "1.48".
        params: a count.
        params_printed: digits and unit as printed.
        params_ratio: as printed.
        top1: per cent, as printed.
        top5: per cent, as printed.
        epochs: cost of training, such as "100+20+120".
        search: how a searched network was found, such as "gradient"; empty where the table does not say.
        note: what a reader must know of the quotation; mostly empty.
    """

    method: str
    flops: int | None
    flops_printed: str
    flops_ratio: str
    params: int | None
    params_printed: str
    params_ratio: str
    top1: str
    top5: str
    epochs: str
    search: str = ""
    note: str = ""

    @property
    def family(self) -> str:
        """The method without its parameters: "DNAL" of "DNAL (λ = 1e-4)"."""
        return self.method.split(" (")[0]


@dataclass(frozen=True)
class Reference:
    """A table of a paper: `paper / dataset / backbone`."""

    paper: str
    dataset: str
    backbone: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Reads "dnal_2022 / CIFAR-10 / VGG16".

        Raises:
            UserError: the text has not three parts.
        """
        parts = [part.strip() for part in text.split("/")]
        if len(parts) != 3 or not all(parts):
            raise UserError(
                f"published table {text!r} has not the form 'paper / dataset / backbone', "
                "such as 'dnal_2022 / CIFAR-10 / VGG16'"
            )
        return cls(*parts)


def published_rows(reference: str, folder: Path | None = None) -> list[PublishedRow]:
    """The rows of a published table, in the paper's order.

    Args:
        reference: "paper / dataset / backbone"; the paper is a CSV file of `folder`.
        folder: default: the rows that ship with the harness.

    Raises:
        UserError: there is no such paper or no such table; the line says what was probably meant.
    """
    wanted = Reference.parse(reference)
    papers = published_papers(folder)
    if wanted.paper not in papers:
        raise UserError(unknown("published paper", wanted.paper, papers))
    tables = published_tables(papers[wanted.paper])
    table = f"{wanted.dataset} / {wanted.backbone}"
    named = {f"{dataset} / {backbone}": rows for (dataset, backbone), rows in tables.items()}
    if table not in named:
        raise UserError(unknown(f"table of {wanted.paper}", table, named))
    return named[table]


def data_title(printed: str) -> str:
    """What our tables call the data set that a published table names."""
    return _SAME_DATA.get(printed, printed)


def published_papers(folder: Path | None = None) -> dict[str, Path]:
    """{name of a paper: its file}, by name; of the rows that ship with the harness unless a folder is given."""
    return {path.stem: path for path in sorted((folder or published_folder()).glob("*.csv"))}


def published_tables(paper: Path) -> dict[tuple[str, str], list[PublishedRow]]:
    """{(data set, backbone): rows} of a paper's file, tables and rows in its order."""
    with paper.open(encoding="utf-8", newline="") as file:
        tables: dict[tuple[str, str], list[PublishedRow]] = {}
        for line in csv.DictReader(file):
            tables.setdefault((line["dataset"], line["backbone"]), []).append(_row(line))
    return tables


def not_comparable(facts: SuiteFacts, backbone: str, rows: list[PublishedRow]) -> tuple[str, ...]:
    """Why the published rows may not stand beside ours; empty if backbone, data and epochs are the paper's.

    Args:
        facts: of the suite; its `published` is not None.
        backbone: name of the network of our rows.
        rows: the published rows.
    """
    wanted = Reference.parse(facts.published or "")
    reasons = []
    title = facts.backbone_title(backbone)
    if title != wanted.backbone:
        reasons.append(f"our network is {title}, the paper's {wanted.backbone}")
    if facts.data_title != data_title(wanted.dataset):
        reasons.append(f"our data set is {facts.data_title}, the paper's {data_title(wanted.dataset)}")
    elif facts.data.train_images is not None:
        reasons.append(f"we train on {facts.data.train_images:,} images of {facts.data_title}, the paper on all")
    epochs = facts.recipe.epochs
    ours = (f"{epochs.dense}+{epochs.search}+{epochs.finetune}", str(epochs.schedule))
    theirs = _protocol(wanted.paper, rows)
    if ours != theirs:
        reasons.append(f"our epochs are {ours[0]} (baseline {ours[1]}), the paper's {theirs[0]} (baseline {theirs[1]})")
    return tuple(reasons)


def comparable(facts: SuiteFacts, backbone: str | None = None) -> bool:
    """Whether the suite's published rows may stand beside ours (of `backbone`, by default the suite's first)."""
    if facts.published is None:
        return False
    return not not_comparable(facts, backbone or facts.backbones[0], published_rows(facts.published))


def _protocol(paper: str, rows: list[PublishedRow]) -> tuple[str, str]:
    """Epochs of the paper's own method and of its baseline; "not stated" where the table has none."""
    own = paper.partition("_")[0].casefold()
    method = [row.epochs for row in rows if row.method.casefold().startswith(own) and row.epochs]
    baseline = [row.epochs for row in rows if row.method == "Baseline" and row.epochs]
    return (method or ["not stated"])[0], (baseline or ["not stated"])[0]


def _row(line: dict[str, str]) -> PublishedRow:
    return PublishedRow(
        method=line["method"],
        flops=int(line["flops"]) if line["flops"] else None,
        flops_printed=line["flops_printed"],
        flops_ratio=line["flops_ratio"],
        params=int(line["params"]) if line["params"] else None,
        params_printed=line["params_printed"],
        params_ratio=line["params_ratio"],
        top1=line["top1"],
        top5=line["top5"],
        epochs=line["epochs"],
        search=line.get("search") or "",
        note=line.get("note") or "",
    )
