"""What a suite file may say at its top level, and the checks that need more than one key."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.backbones.catalogue import backbone, fitting, is_backbone, unknown_backbone
from harness.data.catalogue import data_set as look_up
from harness.data.catalogue import sketch
from harness.errors import UserError, unknown
from harness.suite.cell import Cell, DataChoice
from harness.suite.entries import outlines
from harness.suite.problems import Problems
from harness.suite.protocol import DEFAULT_TRACK, Track
from harness.suite.recipe import PHOTOGRAPH_OPTIONS, RECIPES, Recipe
from harness.suite.resolve import PROFILES, check_name, names
from harness.suite.source import Node, plain
from harness.suite.wording import shown, validated

MOST_CELLS = 20_000
"""Cells of one suite; more is taken for a slip in an axis."""


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetBlock(_Block):
    """Which images."""

    name: Annotated[str, Field(description="as `list datasets` prints it")]
    train_images: Annotated[int | None, Field(ge=1, description="the first so many training images only")] = None


class Resources(_Block):
    """What one running cell takes of a machine."""

    gpu: Annotated[float, Field(ge=0, description="GPUs of each rank; a fraction lets several cells share one")] = 0.0
    cpu: Annotated[int, Field(ge=1, le=4096, description="cores of each rank, which is also torch's threads")] = 1
    ranks: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="processes on one machine that share the micro-batches of a step (recipe.accumulate), each "
            "with cores and a GPU of its own",
            exclude_if=lambda ranks: ranks == 1,
        ),
    ] = 1
    sync_batch_norm: Annotated[
        bool,
        Field(
            description="GPUs only: the ranks share each micro-batch, and batch norm sees the whole of it",
            exclude_if=lambda wanted: wanted is False,
        ),
    ] = False

    @property
    def bundle(self) -> dict[str, float]:
        """What all ranks of a cell take together, in Ray's words."""
        return {"cpu": self.cpu * self.ranks, "gpu": self.gpu * self.ranks}


class ReportBlock(_Block):
    """What the report shows."""

    x: Annotated[
        tuple[Literal["macs", "params"], ...],
        Field(min_length=1, description="costs that accuracy is plotted against, one plot each"),
    ] = ("macs", "params")
    rows: Annotated[
        Literal["paper", "held_out"],
        Field(description="paper: by falling MACs; held_out: by falling accuracy on the held-out images"),
    ] = "paper"


Seed = Annotated[int, Field(ge=0, lt=2**31)]


class SuiteFile(_Block):
    """The top level of a suite file after profile and overrides; methods and recipe are checked on their own."""

    suite: Annotated[str, Field(description="its name, which also names the folder of its results")]
    title: Annotated[str | None, Field(description="heading of the table")] = None
    published: Annotated[str | None, Field(description="rows to show beside ours: PAPER / DATA SET / BACKBONE")] = None
    dataset: Annotated[DatasetBlock, Field(description="the images; a name alone is short for its mapping")]
    backbones: Annotated[list[str], Field(min_length=1, description="networks, as `list backbones` prints them")]
    seeds: Annotated[list[Seed], Field(min_length=1, description="each cell runs once with each")]
    recipe: Annotated[dict[str, Any], Field(description="how weights are trained; a name alone is short for `use`")]
    track: Annotated[
        Track | Annotated[tuple[Track, ...], Field(min_length=1)],
        Field(description="where the methods start from; a list is an axis of every entry that states none"),
    ] = DEFAULT_TRACK
    methods: Annotated[list[Any], Field(min_length=1, description="the rows of the table")]
    resources: Annotated[Resources, Field(description="what one running cell takes")] = Resources()
    report: Annotated[ReportBlock, Field(description="what the report shows")] = ReportBlock()


TOP_LEVEL = (*SuiteFile.model_fields, PROFILES)
"""The keys that a suite file may have."""


@dataclass(frozen=True)
class Declaration:
    """What a suite declares, checked, with the grid not yet written out.

    Attributes:
        file: the top level.
        data: the data set.
        recipe: resolved.
        recipe_name: the named recipe that it builds on.
        outlines: the grid without backbones and seeds: cells whose backbone is "" and whose seed is 0.
    """

    file: SuiteFile
    data: DataChoice
    recipe: Recipe
    recipe_name: str
    outlines: tuple[Cell, ...]


def declared(root: Node, problems: Problems) -> Declaration | None:
    """What a resolved document declares, or None after noting every problem."""
    file = validated(SuiteFile, root, problems, also_known=(PROFILES,))
    assert isinstance(root.value, dict)
    top = {key: node for key, node in root.value.items() if node.value is not None}
    for name, node in names([top[key] for key in ("suite",) if key in top]):
        check_name(name, "suite", node.at, problems)
    if "published" in top:
        _check_published(top["published"], problems)
    if "resources" in top:
        _check_resources(top["resources"], problems)
    data_set = _checked_data_set(top.get("dataset"), problems)
    if "backbones" in top:
        _check_backbones(top["backbones"], data_set, problems)
    for key, kind in (("seeds", "seed"), ("track", "track")):
        if key in top:
            _check_repeats(top[key], kind, problems)
    recipe = _checked_recipe(top.get("recipe"), problems)
    if recipe is not None and file is not None and "resources" in top:
        _check_ranks(top["resources"], file.resources, recipe[1], problems)
    if recipe is not None and "dataset" in top:
        _check_train_images(top["dataset"], data_set, recipe[1], problems)
    if data_set is not None and not sketch(data_set).photographs:
        _check_photograph_options(top.get("recipe"), data_set, problems)
    # Methods are checked whatever else is wrong, with stand-ins for what is, so that all is said at once.
    data = DataChoice(file.dataset.name, file.dataset.train_images) if file is not None else DataChoice("")
    name, resolved_recipe = recipe or next(iter(RECIPES.items()))
    entries = top["methods"].value if "methods" in top else []
    stated = file.track if file is not None else DEFAULT_TRACK
    tracks = (stated,) if isinstance(stated, str) else stated
    cells = outlines(entries, data, resolved_recipe, problems, MOST_CELLS, tracks) if isinstance(entries, list) else ()
    if file is None or recipe is None:
        return None
    count = len(cells) * len(file.backbones) * len(file.seeds)
    if count > MOST_CELLS:
        problems.add(top["methods"].name_at, f"the grid has {count} cells; a suite may have {MOST_CELLS}")
    return Declaration(file, data, resolved_recipe, name, tuple(cells))


def _entry(node: Node | None, key: str) -> Node | None:
    return node.value.get(key) if node is not None and isinstance(node.value, dict) else None


def _check_published(node: Node, problems: Problems) -> None:
    if isinstance(node.value, str):
        parts = node.value.split("/")
        if len(parts) != 3 or not all(part.strip() for part in parts):
            problems.add(node.at, f"'published' must read PAPER / DATA SET / BACKBONE, not {shown(node.value)}")


def _check_resources(node: Node, problems: Problems) -> None:
    gpu = _entry(node, "gpu")
    if gpu is None or isinstance(gpu.value, bool) or not isinstance(gpu.value, int | float):
        return
    if 0 < gpu.value < 1:
        share = max(1, round(1 / max(gpu.value, 1e-6)))
        if share * gpu.value > 1 + 1e-9 or abs(1 / gpu.value - share) > 0.01:
            problems.add(gpu.at, f"'gpu' must divide one GPU evenly (0.5, 0.3333, 0.25, 0.2, …), not {gpu.value:g}")
    elif gpu.value > 1 and gpu.value != gpu.value // 1:
        problems.add(gpu.at, f"'gpu' above 1 must be a whole number of GPUs, not {gpu.value:g}")


def _check_ranks(node: Node, resources: Resources, recipe: Recipe, problems: Problems) -> None:
    ranks, synchronised = _entry(node, "ranks"), _entry(node, "sync_batch_norm")
    if resources.sync_batch_norm:
        if synchronised is not None and not resources.gpu:
            problems.add(synchronised.at, "'sync_batch_norm' works on GPUs alone, and 'gpu' is 0")
        parts, least = recipe.accumulate * resources.ranks, 2 * recipe.accumulate * resources.ranks
        if ranks is not None and recipe.batch < least:
            problems.add(ranks.at, f"'ranks' cuts a batch of {recipe.batch} into {parts} parts of less than two images")
    elif ranks is not None and recipe.accumulate % resources.ranks:
        problems.add(
            ranks.at,
            f"'ranks' must divide the micro-batches of a step, and recipe.accumulate is {recipe.accumulate}; "
            f"state accumulate: {resources.ranks}, with which batch norm sees {recipe.batch // resources.ranks} images",
        )
    if ranks is not None and resources.ranks > 1 and resources.gpu > 1:
        problems.add(ranks.at, f"'gpu' is what each rank takes, and a rank trains on one, not {resources.gpu:g}")


def _checked_data_set(node: Node | None, problems: Problems) -> str | None:
    """The data set's name if there can be such a data set; whether its photographs are there is not asked."""
    name = _entry(node, "name")
    if name is None or not isinstance(name.value, str):
        return None
    try:
        return sketch(name.value).name
    except UserError as error:
        problems.add(name.at, str(error))
        return None


def _check_train_images(node: Node, data_set: str | None, recipe: Recipe, problems: Problems) -> None:
    images = _entry(node, "train_images")
    if images is None or isinstance(images.value, bool) or not isinstance(images.value, int) or images.value < 1:
        return
    most = math.inf
    with suppress(UserError):  # of photographs that are absent: said when they are needed
        known = look_up(data_set) if data_set is not None else None
        if known is not None:
            most = known.train_images - (0 if recipe.all_train else known.held_out_images)
    if images.value > most:
        problems.add(images.at, f"'train_images' must be at most {most}, all that {data_set} has, not {images.value}")
    elif images.value < recipe.batch:
        problems.add(images.at, f"'train_images' must be at least a batch ({recipe.batch}), not {images.value}")


def _check_photograph_options(recipe: Node | None, data_set: str, problems: Problems) -> None:
    for option in sorted(PHOTOGRAPH_OPTIONS):
        stated = _entry(recipe, option)
        if stated is not None:
            problems.add(stated.name_at, f"{option!r} is for photographs, and {data_set} has small images of one size")


def _check_backbones(node: Node, data_set: str | None, problems: Problems) -> None:
    for name, entry in names(node.value if isinstance(node.value, list) else []):
        if not is_backbone(name):
            problems.add(entry.at, unknown_backbone(name))
        elif data_set is not None and not backbone(name).fits(sketch(data_set)):
            fits = ", ".join(fitting(sketch(data_set))) or "none"
            problems.add(entry.at, f"backbone {name!r} does not fit data set {data_set!r}; these do: {fits}")
    _check_repeats(node, "backbone", problems)


def _check_repeats(node: Node, kind: str, problems: Problems) -> None:
    seen = set()
    for entry in node.value if isinstance(node.value, list) else []:
        if isinstance(entry.value, int | str) and not isinstance(entry.value, bool):
            if entry.value in seen:
                problems.add(entry.at, f"{kind} {shown(entry.value)} is stated twice")
            seen.add(entry.value)


def _checked_recipe(node: Node | None, problems: Problems) -> tuple[str, Recipe] | None:
    if node is None or not isinstance(node.value, dict):
        return None
    use = node.value.get("use")
    if use is None or use.value is None:
        there = ", ".join(RECIPES)
        problems.add(node.name_at, f"'use' is missing: a recipe builds on one that has a name ({there})")
        return None
    if not isinstance(use.value, str) or use.value not in RECIPES:
        name = use.value if isinstance(use.value, str) else shown(plain(use))
        problems.add(use.at, unknown("recipe", name, RECIPES))
        return None
    changes = Node({key: entry for key, entry in node.value.items() if key != "use"}, node.at, node.key_at)
    merged = _deep(RECIPES[use.value].model_dump(mode="json"), plain(changes))
    recipe = validated(Recipe, changes, problems, subject="recipe", also_known=("use",), over=merged)
    return None if recipe is None else (use.value, recipe)


def _deep(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = _deep(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
