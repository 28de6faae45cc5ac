"""Where feature maps are looked at."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.channels.graph import ChannelGraph
from methods._maps import mean_over_images
from tests.channels.networks import images
from tests.methods.scoring import small


def means(network: nn.Module, graph: ChannelGraph, pictures: Tensor) -> dict[str, Tensor]:
    """The mean of all pixels of each channel's maps."""
    groups = list(graph.groups.values())
    return mean_over_images(network, groups, pictures.split(2), lambda maps: maps.mean(dim=(2, 3)))


def close(found: Tensor, maps: Tensor) -> None:
    torch.testing.assert_close(found, maps.flatten(2).mean(dim=(0, 2)))


class Deep(nn.Module):
    """A stem with max-pooling as in ResNets for photographs, a block whose activations work in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.conv1 = nn.Conv2d(6, 5, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(5)
        self.conv2 = nn.Conv2d(5, 6, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        stream = self.pool(self.relu(self.stem_bn(self.stem(x))))
        out = self.relu(self.bn1(self.conv1(stream)))
        out = self.bn2(self.conv2(out))
        out += stream
        return self.linear(self.relu(out).mean((2, 3)))


def test_inner_channels_are_seen_behind_batch_norm_and_activation_and_before_pooling() -> None:
    network, graph = small("Chain")
    pictures = images(4)
    found = means(network, graph, pictures)
    first = network.bn1(network.conv1(pictures)).relu()  # type: ignore[operator]
    close(found["conv1"], first)
    second = network.bn2(network.conv2(functional.max_pool2d(first, 2))).relu()  # type: ignore[operator]
    close(found["conv2"], second)
    third = network.conv3(second).relu()  # type: ignore[operator]
    close(found["conv3"], third)
    hidden = network.bn(network.linear1(third.flatten(1))).relu()  # type: ignore[operator]
    close(found["linear1"], hidden[:, :, None])


def test_a_branch_is_seen_behind_the_sum_and_its_activation_and_a_stream_where_it_is_written() -> None:
    network, graph = small("Residual")
    pictures = images(4)
    found = means(network, graph, pictures)
    stem = network.stem_bn(network.stem(pictures)).relu()  # type: ignore[operator]
    inner = network.bn1(network.conv1(stem)).relu()  # type: ignore[operator]
    block = (stem + network.bn2(network.conv2(inner))).relu()  # type: ignore[operator]
    close(found["stem"], stem)
    close(found["conv1"], inner)
    close(found["conv2"], block)
    close(found["stream:stem"], (stem + block) / 2)
    inside = network.bn3(network.conv3(block)).relu()  # type: ignore[operator]
    branch = network.bn4(network.conv4(inside))  # type: ignore[operator]
    last = (branch + network.projection_bn(network.projection(block))).relu()  # type: ignore[operator]
    close(found["conv4"], last)
    (second,) = [name for name, group in graph.groups.items() if "projection" in group.producers]
    close(found[second], last)


def test_a_branch_without_activation_behind_the_sum_is_seen_behind_its_batch_norm() -> None:
    network, graph = small("Depthwise")
    pictures = images(4)
    found = means(network, graph, pictures)
    stem = functional.relu6(network.stem_bn(network.stem(pictures)))  # type: ignore[operator]
    wide = functional.relu6(network.expand_bn(network.expand(stem)))  # type: ignore[operator]
    filtered = functional.relu6(network.filter_bn(network.filter(wide)))  # type: ignore[operator]
    factor = network.excite(network.squeeze(filtered.mean((2, 3), keepdim=True)).relu()).sigmoid()  # type: ignore[operator]
    close(found["expand"], filtered)
    close(found["project"], network.project_bn(network.project(filtered * factor)))  # type: ignore[operator]


def test_a_stem_with_max_pooling_is_seen_behind_it_and_activations_may_work_in_place() -> None:
    torch.manual_seed(0)
    network = Deep().double().eval()
    graph = ChannelGraph.trace(network, torch.zeros(1, 2, 8, 8))
    pictures = images(4)
    found = means(network, graph, pictures)
    stem = network.pool(network.stem_bn(network.stem(pictures)).relu())
    inner = network.bn1(network.conv1(stem)).relu()
    close(found["stem"], stem)
    close(found["conv1"], inner)
    close(found["conv2"], (network.bn2(network.conv2(inner)) + stem).relu())


def test_layers_behind_a_concatenation_are_seen_in_their_own_places() -> None:
    network, graph = small("Concatenated")
    pictures = images(4)
    found = means(network, graph, pictures)
    both = network.bn(torch.cat([network.left(pictures), network.right(pictures)], 1)).relu()  # type: ignore[operator]
    close(found["left"], both[:, :4])
    close(found["right"], both[:, 4:])


def test_the_mean_over_batches_is_that_over_their_union() -> None:
    network, graph = small("OptionA")
    pictures = images(5)
    groups = list(graph.groups.values())
    parts, whole = (
        mean_over_images(network, groups, batches, lambda maps: maps.amax(dim=(2, 3)))
        for batches in (pictures.split([1, 3, 1]), [pictures])
    )
    for group in graph.groups:
        torch.testing.assert_close(parts[group], whole[group])
