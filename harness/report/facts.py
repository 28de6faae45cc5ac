"""What a report must know of a suite beside its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.backbones.catalogue import backbone
from harness.data.catalogue import DataSet, data_set
from harness.errors import UserError
from harness.report.numbers import MISSING
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
        digest: of the resolved suite; empty where it is not known.
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
    digest: str = ""

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

    def search_kind(self, name: str) -> str:
        """How a method searches, in the words of the published tables; "—" where they have none for it."""
        from harness.method import GateMethod
        from harness.registry import methods

        registered = methods().get(name)
        return "gradient" if registered is not None and issubclass(registered, GateMethod) else MISSING

    def backbone_title(self, name: str) -> str:
        """What a table calls a backbone."""
        try:
            return backbone(name).title
        except UserError:
            return name

    @property
    def declared_data(self) -> DataSet | None:
        """What is declared of the data set; None if it is not known here."""
        try:
            return data_set(self.data.name)
        except UserError:
            return None

    @property
    def data_title(self) -> str:
        """What a table calls the data set."""
        if self.dataset_title:
            return self.dataset_title
        declared = self.declared_data
        return declared.title if declared is not None else self.data.name
