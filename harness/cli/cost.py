"""`harness cost`: what a network costs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from harness.cli.options import JsonOption


def cost(
    backbone: Annotated[str, typer.Argument(metavar="BACKBONE")],
    dataset: Annotated[str, typer.Option("--dataset", help="The data set: it sets image size and classes.")],
    as_json: JsonOption = False,
) -> None:
    """Count a network: executed MACs and parameters, and the same by the paper's rule."""
    from harness.measure.cost import network_cost

    counted = network_cost(backbone, dataset)
    if as_json:
        print(json.dumps(counted, indent=2))
        return
    print(f"{backbone} on {dataset}, one image")
    print(f"  executed MACs        {counted['macs']:>16,}   conv and linear layers only")
    print(f"  parameters           {counted['params']:>16,}   all of them")
    print(f"  paper_flops          {counted['paper_flops']:>16,}   MACs, plus one a BN channel and one a bias")
    print(f"  paper_params         {counted['paper_params']:>16,}   without 1-d batch norm")
    print(f"  channel groups       {len(counted['groups']):>16,}")
    for group in counted["groups"]:
        print(f"    {group['name']:<24}{group['kind']:<10}{group['size']:>6} channels")
