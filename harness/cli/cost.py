"""`harness cost`: what a network costs, and whether the counts are those of the published tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import JsonOption
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.plan.costs import NetworkCost

_MOST_LISTED = 24
"""Channel groups up to which each is listed without being asked for."""


def cost(
    backbone: Annotated[str | None, typer.Argument(metavar="[BACKBONE]", help="The network to count.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="The data set: it sets image size and classes.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Instead: the baselines of the published tables, ours beside printed.")
    ] = False,
    groups: Annotated[bool, typer.Option("--groups", help="List every channel group, however many there are.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of --published as Markdown.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Count a network: executed MACs and parameters, and the same by the paper's rule."""
    if published:
        if backbone is not None or dataset is not None:
            raise UserError("--published counts the networks of the published tables: leave out BACKBONE and --dataset")
        if groups or (markdown and as_json):
            raise UserError("--published goes with --json or --markdown, not both, and not with --groups")
        _published(markdown, as_json)
        return
    if backbone is None:
        raise UserError("which network? `cost BACKBONE --dataset NAME`, or `cost --published` for the published tables")
    if dataset is None:
        raise UserError(f"on which data set? `cost {backbone} --dataset NAME`: it sets image size and classes")
    if markdown:
        raise UserError("--markdown is for the table of --published")
    from harness.measure.cost import network_cost

    counted = network_cost(backbone, dataset)
    print(json.dumps(counted, indent=2) if as_json else _text(counted, groups))


def _counted(backbone: str, dataset: str) -> NetworkCost:
    """What a network costs, as remembered from an earlier count of the same code, or counted and remembered now."""
    from harness.data.catalogue import data_set
    from harness.plan.costs import NetworkCost, cache_place, remember

    place = cache_place(backbone, data_set(dataset))
    try:
        return NetworkCost(**json.loads(place.read_text()))
    except (OSError, ValueError, TypeError):
        # In this process: one import of torch for all networks, where a process for each would pay it every time.
        from harness.measure.cost import network_cost

        counted = network_cost(backbone, dataset)
        found = NetworkCost(**{field.name: int(counted[field.name]) for field in fields(NetworkCost)})
        remember(place, found)
        return found


def _published(markdown: bool, as_json: bool) -> None:
    """Prints the table; exit status 1 if a count is not the printed one."""
    from harness.report.baselines import PAPER, baseline_records, baselines, baselines_markdown, baselines_text

    found = baselines(_counted)
    agree = all(one.agrees for one in found)
    if as_json:
        print(json.dumps({"paper": PAPER, "agree": agree, "baselines": baseline_records(found)}, indent=2))
    elif markdown:
        print(baselines_markdown(found), end="")
    else:
        print(f"Baselines of {PAPER}, one image: our counts, and what the paper printed")
        print(baselines_text(found), end="")
        for one in found:
            if one.problem:
                print(f"{one.table}: {one.problem}")
    if not agree:
        raise typer.Exit(1)


def _text(counted: dict[str, Any], every_group: bool) -> str:
    groups = counted["groups"]
    lines = [f"{counted['backbone']} on {counted['dataset']}, one image"]
    for title, name, meaning in (
        ("executed MACs", "macs", "conv and linear layers only"),
        ("parameters", "params", "all of them"),
        ("paper_flops", "paper_flops", "MACs, plus one a channel of 2-d batch norm and one a bias"),
        ("paper_params", "paper_params", "without 1-d batch norm"),
    ):
        lines.append(f"  {title:<21}{counted[name]:>16,}   {meaning}")
    if any(group["kind"] in ("stream", "branch") for group in groups):
        lines += [
            "  By the paper's rule the projections of `resnet50` count with their weights alone. Of a cut network it",
            "  leaves out columns that read a cut channel though a shortcut still feeds them, and cuts no projection.",
        ]
    lines.append(f"  channel groups       {len(groups):>16,}")
    lines += _kinds(groups)
    if every_group or len(groups) <= _MOST_LISTED:
        width = max((len(group["name"]) for group in groups), default=0) + 2
        lines += [f"    {group['name']:<{width}}{group['kind']:<10}{group['size']:>6} channels" for group in groups]
    else:
        lines.append("    (--groups lists them)")
    return "\n".join(lines)


def _kinds(groups: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each kind of groups: how many, and their sizes."""
    sizes: dict[str, list[int]] = {}
    for group in groups:
        sizes.setdefault(group["kind"], []).append(group["size"])
    lines = []
    for kind, found in sizes.items():
        span = f"{min(found):,}" if min(found) == max(found) else f"{min(found):,} to {max(found):,}"
        noun = "group" if len(found) == 1 else "groups"
        lines.append(f"    {len(found):>4} {kind} {noun} of {span} channels, {sum(found):,} in all")
    return lines
