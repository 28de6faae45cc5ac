"""What a report must know of a suite beside its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.backbones.catalogue import BACKBONES
from harness.data.catalogue import DATA_SETS
from harness.suite.cell import DataChoice
from harness.suite.recipe import Recipe

Axis = Literal["macs", "params"]


@dataclass(frozen=True)
class SuiteFacts:
    """A suite as a report shows it.

    Attributes:
        name: of the suite.
        title: of the report.
        recipe: how weights were trained.
        data: which data set, or which part of it.
        backbones: names, in the suite's order.
        seeds: that the suite declares.
        published: a table of a paper, such as "dnal_2022 / CIFAR-10 / VGG16", or None.
        x: the costs over which accuracy is drawn.
        profile: the profile that was run, or None.
        rows: the table's order: "paper" by falling MACs, "held_out" by falling accuracy on the held-out images.
        titles: {method: title}, where they differ from those of the registered methods.
        dataset_title: what a table calls the data set; empty: as the catalogue does.
    """

    name: str
    title: str
    recipe: Recipe
    data: DataChoice
    backbones: tuple[str, ...]
    seeds: tuple[int, ...]
    published: str | None = None
    x: tuple[Axis, ...] = ("macs", "params")
    profile: str | None = None
    rows: Literal["paper", "held_out"] = "paper"
    titles: Mapping[str, str] = field(default_factory=dict)
    dataset_title: str = ""

    def method_title(self, name: str) -> str:
        """What a table calls a method; its name if it is not registered here."""
        from harness.registry import methods

        if name in self.titles:
            return self.titles[name]
        registered = methods().get(name)
        return registered.title if registered is not None else name

    def widths_title(self, name: str) -> str:
        """What a table calls a method that takes another method's widths."""
        from harness.registry import methods

        registered = methods().get(name)
        own = registered.title_with_widths if registered is not None else None
        return own or self.method_title(name)

    def backbone_title(self, name: str) -> str:
        """What a table calls a backbone."""
        return BACKBONES[name].title if name in BACKBONES else name

    @property
    def data_title(self) -> str:
        """What a table calls the data set."""
        if self.dataset_title:
            return self.dataset_title
        return DATA_SETS[self.data.name].title if self.data.name in DATA_SETS else self.data.name
