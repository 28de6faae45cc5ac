"""`harness list`: what there is."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from harness.cli.options import JsonOption


class What(StrEnum):
    """What can be listed."""

    methods = "methods"
    backbones = "backbones"
    datasets = "datasets"
    suites = "suites"
    recipes = "recipes"


def listing(
    what: Annotated[What, typer.Argument(metavar="WHAT", help="methods, backbones, datasets, suites or recipes.")],
    as_json: JsonOption = False,
) -> None:
    """List methods, backbones, datasets, suites or recipes."""
    rows = {
        What.methods: _methods,
        What.backbones: _backbones,
        What.datasets: _datasets,
        What.suites: _suites,
        What.recipes: _recipes,
    }[what]()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if what is What.backbones:
        rows = _shortened(rows)
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        print(f"{row['name']:<{width}}  {row['about']}")


def _methods() -> list[dict[str, Any]]:
    from harness.registry import broken_methods, methods

    rows = []
    for name, found in sorted(methods().items()):
        paper = f" ({found.paper.authors}, {found.paper.venue} {found.paper.year})" if found.paper else ""
        first = (found.__doc__ or "").strip().splitlines()
        rows.append({"name": name, "about": f"{found.title}{paper}: {first[0] if first else ''}", "usable": True})
    for name, broken in sorted(broken_methods().items()):
        rows.append({"name": name, "about": f"not usable: {broken.error}", "usable": False})
    return rows


def _backbones() -> list[dict[str, Any]]:
    from harness.backbones.catalogue import backbone, backbone_names
    from harness.backbones.installed import broken
    from harness.data.catalogue import DATA_SETS

    rows = []
    for name in backbone_names():
        entry = backbone(name)
        fits = [known for known, declared in DATA_SETS.items() if entry.fits(declared)]
        about = f"{entry.title}, for {entry.images.title} ({', '.join(fits)})"
        rows.append({"name": name, "about": about, "data_sets": fits})
    rows += [{"name": name, "about": f"not usable: {why}", "data_sets": []} for name, why in broken().items()]
    return rows


def _shortened(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The backbones with those of torchvision on one line, for people."""
    from harness.backbones.torchvision_names import PREFIX

    own = [row for row in rows if not row["name"].startswith(PREFIX)]
    about = f"{len(rows) - len(own)} networks of torchvision, for images of 3 channels; --json names them all"
    return [*own, {"name": f"{PREFIX}NAME", "about": about}]


def _datasets() -> list[dict[str, Any]]:
    from harness.data.catalogue import DATA_SETS

    rows = []
    for name, entry in DATA_SETS.items():
        kept = entry.train_images - entry.held_out_images
        about = (
            f"{entry.title}: {kept:,} training, {entry.held_out_images:,} held-out, {entry.test_images:,} test images"
        )
        rows.append({"name": name, "about": about + (", embedded" if entry.embedded else "")})
    lies = "photographs in NAME/{train,val}/CLASS/ under the data folder; one tenth of the training images is held out"
    rows.append({"name": "folder/NAME", "about": lies})
    rows.append({"name": "…@PIXELS", "about": "the same photographs at another size: imagenet@64, folder/NAME@64"})
    return rows


def _suites() -> list[dict[str, Any]]:
    from harness.errors import UserError
    from harness.paths import shipped_suites
    from harness.suite.load import load_suite

    rows = []
    for path in sorted(shipped_suites().glob("*.yaml")):
        try:
            about = load_suite(str(path), None, []).title
        except UserError as error:
            about = f"not usable: {str(error).splitlines()[0]}"
        rows.append({"name": path.stem, "about": about})
    return rows


def _recipes() -> list[dict[str, Any]]:
    from harness.suite.recipe import RECIPES

    rows = []
    for name, recipe in RECIPES.items():
        epochs = recipe.epochs
        about = (
            f"{epochs.dense}+{epochs.search}+{epochs.finetune} epochs, batch {recipe.batch}, lr {recipe.lr:g}, "
            f"weight decay {recipe.weight_decay:g}, {recipe.schedule} schedule"
        )
        rows.append({"name": name, "about": about + ("" if recipe.calibrated else ", uncalibrated")})
    return rows
