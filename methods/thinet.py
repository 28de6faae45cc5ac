"""ThiNet: keep the channels from which the next layer's output is rebuilt best (Luo et al., ICCV 2017, TPAMI 2018).

For a sampled place i of a layer's output, X[i, c] is what input channel c adds to it: the product of its columns and
the patch below. All channels together give y = Σ_c X[:, c], the output without its bias. Channels are chosen so that
y is rebuilt from few of them; then least squares scales the columns of those that stay. All that is needed of the
samples is the Gram matrix G = XᵀX: Xᵀy are its row sums and yᵀy is the sum of all its entries.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.errors import StageFailure
from harness.method import Compressed, Paper, Params, Round, RoundsMethod, Task
from methods._contributions import grams
from methods._images import CHUNK, dense_macs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.channels.graph import ChannelGroup, KeptChannels


class ThinetParams(Params):
    """Parameters of `thinet`."""

    selection: Annotated[
        Literal["forward", "removal"],
        Field(description="forward: pick what explains most of the rest (TPAMI); removal: drop what adds least (ICCV)"),
    ] = "forward"
    images: Annotated[int, Field(ge=1, description="training images that a layer's samples come from")] = 5000
    places: Annotated[int, Field(ge=1, description="sampled places of the output, an image")] = 10
    repair: Annotated[bool, Field(description="scale the columns that stay by least squares")] = True
    epochs: Annotated[
        int | None, Field(ge=1, description="of all layers together; default: the recipe's search epochs")
    ] = None
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 5e-4


class Thinet(RoundsMethod):
    """Layer by layer from the front, channels that the next layer can do without go; each cut is trained off.

    Widths are those of the cell's allocation on the trained network. The search epochs are spread evenly over the
    layers; with fewer epochs than layers some are cut together. Residual streams and the ends of branches, where the
    suite has them cut (the paper leaves them whole), go first: a stream's channels by all layers that read it; a
    branch's, which are added to others before a layer reads them, by their own energy, which is what the same least
    squares comes to if the reader is an addition.
    """

    name = "thinet"
    title = "ThiNet"
    paper = Paper(
        "Luo, Wu, Lin", "ThiNet: A Filter Level Pruning Method for Deep Neural Network Compression", "ICCV", 2017
    )
    Params = ThinetParams

    @classmethod
    def search_epochs(cls, params: Any, recipe_epochs: int) -> int:
        """The recipe's search epochs, unless the parameters say otherwise."""
        return int(params.epochs or recipe_epochs)

    def rounds(self, task: Task) -> Generator[Round, None, Compressed]:
        """A round for streams and branches together, then one for each layer."""
        planned = task.allocate(self._explained(task))
        together = [group for group in task.groups if group.kind in ("stream", "branch")]
        layers = [group for group in task.groups if group not in together]
        epochs = self.search_epochs(task.params, task.epochs)
        kept: KeptChannels = {group.name: planned[group.name] for group in together}
        if together:
            found = self._grams(task, together)
            for group in together:
                self._repair(task, group, found[group.name], kept[group.name])
        if together or not layers:
            yield self._round(task, kept, 0 if layers else epochs)
        for group, share in zip(layers, shares_of(epochs, len(layers)), strict=True):
            width = len(planned[group.name])
            gram = self._grams(task, [group])[group.name]
            kept[group.name] = tuple(sorted(self._order(task, gram)[:width]))
            self._repair(task, group, gram, kept[group.name])
            yield self._round(task, {group.name: kept[group.name]}, share)
        return Compressed(kept=kept)

    def _round(self, task: Task, kept: KeptChannels, epochs: int) -> Round:
        params: ThinetParams = task.params
        return Round(
            dict(kept),
            epochs,
            learning_rate=params.learning_rate,
            momentum=params.momentum,
            weight_decay=params.weight_decay,
        )

    def _grams(self, task: Task, groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
        """G of each group on the network as it is now, from one forward pass over the sampled images; billed."""
        import torch

        params: ThinetParams = task.params
        left = params.images
        batches: list[Tensor] = []
        for images, _ in task.training_batches(augment=False):
            taken = images[:left]
            batches += torch.split(taken.to(task.device), CHUNK)
            left -= len(taken)
            if left <= 0:
                break
        task.bill(dense_macs(task.graph) * sum(map(len, batches)))
        return grams(task.network, task.graph, groups, batches, params.places, task.generator)

    def _order(self, task: Task, gram: Tensor) -> list[int]:
        return forward_order(gram) if task.params.selection == "forward" else removal_order(gram)

    def _explained(self, task: Task) -> dict[str, Tensor]:
        """{group: the share of the reader's output that each channel explains [channels]}, falling in its order.

        Only an allocation over several layers compares these; within a layer they say no more than the order.
        """
        import torch

        scores = {}
        for name, gram in self._grams(task, task.groups).items():
            order = self._order(task, gram)
            left = torch.tensor([1.0, *residuals(gram, order)], dtype=torch.float64)
            gains = (left[:-1] - left[1:]).clamp_min(0)
            falling = gains.flip(0).cummax(0).values.flip(0)
            scores[name] = torch.empty(len(order), dtype=torch.float64)
            # The last term keeps equal gains in their order.
            scores[name][order] = falling + torch.arange(len(order), 0, -1, dtype=torch.float64) * 1e-12
        return scores

    def _repair(self, task: Task, group: ChannelGroup, gram: Tensor, kept: Sequence[int]) -> None:
        """Scales the columns that read the channels that stay, so that the readers' outputs are nearest to before."""
        if task.params.repair and 0 < len(kept) < group.size and group.consumers:
            scale_columns(task.network, group, kept, refit(gram, kept))


def shares_of(epochs: int, layers: int) -> list[int]:
    """How many epochs follow each layer's cut: as even as whole numbers can be, all of them by the last layer."""
    return [(number + 1) * epochs // layers - number * epochs // layers for number in range(layers)]


def forward_order(gram: Tensor) -> list[int]:
    """Channels in the order in which forward selection picks them (TPAMI, section 3.3).

    Each pick is the channel along which the rest r = y - X_S·w is longest, w being refitted after each: orthogonal
    matching pursuit, by a Cholesky factor that grows a column a pick. Of equal ones the lowest index is picked; what
    depends linearly on those picked comes last, in the order of its length.

    Args:
        gram: XᵀX, float64 [channels, channels], with y = Σ_c X[:, c].
    """
    import torch

    size = len(gram)
    lengths = gram.diagonal()
    along = gram.sum(dim=1)  # x_c · r
    apart = lengths.clone()  # squared length of x_c outside the span of those picked
    basis = gram.new_zeros(size, size)
    free = torch.ones(size, dtype=torch.bool)
    order: list[int] = []
    while len(order) < size:
        able = free & (apart > 1e-10 * lengths)
        if not bool(able.any()):
            remaining = torch.nonzero(free).flatten()
            order += remaining[torch.sort(lengths[remaining], descending=True, stable=True).indices].tolist()
            break
        gains = torch.where(able, along.square() / lengths, -1.0)
        pick = int(torch.nonzero(gains == gains.max())[0])
        count = len(order)
        column = (gram[:, pick] - basis[:, :count] @ basis[pick, :count]) / apart[pick].sqrt()
        step = along[pick] / apart[pick].sqrt()
        basis[:, count] = column
        along = along - column * step
        apart = apart - column.square()
        free[pick] = False
        order.append(pick)
    return order


def removal_order(gram: Tensor) -> list[int]:
    """Channels from the one that greedy removal keeps longest (ICCV, algorithm 1).

    Each step removes the channel c for which ‖Σ X[:, removed and c]‖ is smallest; of equal ones the highest index.
    """
    import torch

    size = len(gram)
    free = torch.ones(size, dtype=torch.bool)
    shared = gram.new_zeros(size)  # x_c · Σ X[:, removed]
    removed: list[int] = []
    while len(removed) < size:
        growth = torch.where(free, 2 * shared + gram.diagonal(), float("inf"))
        pick = int(torch.nonzero(growth == growth.min())[-1])
        shared = shared + gram[:, pick]
        free[pick] = False
        removed.append(pick)
    return removed[::-1]


def residuals(gram: Tensor, order: Sequence[int]) -> list[float]:
    """After each channel of an order, how much of y those so far leave unexplained: ‖y - X_S·w‖² / ‖y‖², 0..1."""
    import torch

    target = gram.sum(dim=1)
    whole = float(gram.sum())
    index = list(order)
    # A small ridge keeps the factor of a singular matrix finite.
    ridge = 1e-10 * gram.diagonal().max() + torch.finfo(gram.dtype).tiny
    matrix = gram[index][:, index] + ridge * torch.eye(len(index), dtype=gram.dtype)
    factor = torch.linalg.cholesky(matrix)
    steps = torch.linalg.solve_triangular(factor, target[index].unsqueeze(1), upper=False).flatten()
    explained = steps.square().cumsum(0)
    return [min(1.0, max(0.0, 1 - float(each) / whole)) if whole > 0 else 0.0 for each in explained]


def refit(gram: Tensor, kept: Sequence[int]) -> Tensor:
    """w of the least ‖y - X_S·w‖, float64 [kept channels]; of several the one nearest to all ones.

    So columns that fewer samples than channels leave undecided stay as they are, and w = 1 if all channels stay.
    """
    import torch

    index = list(kept)
    matrix = gram[index][:, index]
    missing = gram[index].sum(dim=1) - matrix.sum(dim=1)  # X_Sᵀ(y - X_S·1)
    inverse: Tensor = torch.linalg.pinv(matrix, rtol=1e-10, hermitian=True)
    return 1 + inverse @ missing


def scale_columns(network: nn.Module, group: ChannelGroup, kept: Sequence[int], factors: Tensor) -> None:
    """Multiplies the columns of all readers of a group's kept channels, in place; factors [kept channels]."""
    import torch

    whole = torch.ones(group.size, dtype=factors.dtype)
    whole[list(kept)] = factors
    if not bool(torch.isfinite(whole).all()):
        raise StageFailure("diverged", f"the least squares of group {group.name!r} has no finite solution")
    with torch.no_grad():
        for part in group.consumers:
            weight = network.get_submodule(part.layer).weight
            assert isinstance(weight, torch.Tensor)
            columns = weight[:, part.start : part.start + group.size * part.repeat]
            shape = (1, -1, *[1] * (weight.dim() - 2))
            columns.mul_(whole.repeat_interleave(part.repeat).to(weight).view(shape))
