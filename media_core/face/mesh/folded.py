"""The mesh and the detector once more, folded for speed: the same numbers to float rounding in a third of the time.

Most of the time of these small networks is spent between their layers. Here images lie in memory as [B, H, W, C], so that a 1 x 1
convolution is a matrix product; the biases of two layers with nothing between them are one; a kernel at stride 2 has a row and a
column of zeros in front, so that nothing need be padded; and networks of one shape (three regions, five branches) run side by
side as one, their channels one after the other.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import layout
from .attention import CELLS, CUT, FINER, SIZE, AttentionMesh, Branch, Region, box_matrix, moved
from .blazeface import BlazeFace
from .blocks import Block, SameConv, Squeeze

_NEAR = 2  # blocks of the trunk that keep the features' size
_BRANCH_OF = (0, 1, 1, 2, 2)  # the region of each branch: lips; left contour, iris; right contour, iris


class Held(nn.Module):
    """Holds tensors that move with the module and are not saved."""

    def hold(self, **tensors: Tensor) -> None:
        for name, value in tensors.items():
            self.register_buffer(name, value.detach().clone(), persistent=False)


class Folded(Held):
    """Blocks of one shape side by side: [B, H, W, G * inner] -> [B, H / stride, W / stride, G * outer]."""

    kernel: Tensor  # [G * inner, 1, k, k]
    matrix: Tensor  # [G, inner, outer]
    bias: Tensor    # [G * outer]
    slope: Tensor   # [G * outer] of the PReLU; zeros are a ReLU

    def __init__(self, *blocks: Block):
        super().__init__()
        self.stride, self.inner, self.groups = blocks[0].stride, blocks[0].depthwise.in_channels, len(blocks)
        self.hold(kernel=unpadded(torch.cat([block.depthwise.weight for block in blocks]), self.stride),
                  matrix=_matrices([block.pointwise for block in blocks]), bias=torch.cat([_bias(block) for block in blocks]),
                  slope=torch.cat([_slope(block.act, block.pointwise.out_channels) for block in blocks]))

    def forward(self, x: Tensor) -> Tensor:
        deep = convolved(x, self.kernel, None, self.stride, self.groups * self.inner)
        b, h, w, _ = deep.shape
        y = _product(deep.reshape(b * h * w, -1), self.matrix, self.bias)
        if self.stride == 2:
            x = _pooled(x)
        y.view(b * h * w, self.groups, -1)[..., :self.inner] += x.reshape(b * h * w, self.groups, -1)
        return F.prelu(y, self.slope).view(b, h, w, -1)


class Narrowed(Held):
    """`Squeeze`s side by side: [B, H, W, G * inner] -> [B, H, W, G * 32]."""

    matrix: Tensor  # [G, inner, 32]
    bias: Tensor    # [G * 32]
    slope: Tensor   # [G * 32]

    def __init__(self, *squeezes: Squeeze):
        super().__init__()
        narrow, acts, blocks = zip(*(squeeze.layers for squeeze in squeezes))
        self.block = Folded(*blocks)
        self.hold(matrix=_matrices(narrow), bias=torch.cat([conv.bias for conv in narrow]),
                  slope=torch.cat([act.weight for act in acts]))

    def forward(self, x: Tensor) -> Tensor:
        y = _product(x.reshape(-1, x.shape[-1]), self.matrix, self.bias)
        return self.block(F.prelu(y, self.slope).view(*x.shape[:3], -1))


class FoldedMesh(Held):
    """Crops float32 [B, 3, 192, 192] RGB 0..1 -> points [B, 478, 3] in px of the crop, logits of "this is a face" [B]."""

    kernel: Tensor  # [16, 3, 4, 4] of the first layer
    bias: Tensor    # [16]
    slope: Tensor   # [16]
    mesh: Tensor    # [288, 1405] the trunk's last layer; the logit is its last column
    shift: Tensor   # [1405]
    ends: Tensor    # [5, 128, 160] the branches' last layers
    ends_shift: Tensor  # [5, 1, 160]
    boxes: Tensor   # [240] points of the three regions' boxes
    ways: Tensor    # [2, 3] what each lies along
    regions: Tensor  # [5] of the branches
    order: Tensor   # [478] of the points among the mesh's and the branches'
    lids: Tensor    # [2, 16] points whose mean depth an iris has

    def __init__(self, net: AttentionMesh):
        super().__init__()
        first, act, *blocks = net.stem
        assert isinstance(first, SameConv) and isinstance(act, nn.PReLU)
        self.stem, self.near, self.body = _chain([blocks]), _chain([net.body[:_NEAR]]), _chain([net.body[_NEAR:]])
        parts: tuple[Region, ...] = net.lips, net.left_eye, net.right_eye
        branches = [branch for part in parts for branch in part.branches if isinstance(branch, Branch)]
        self.trunk, self.branch = _chain([part.trunk for part in parts]), _chain([branch.body for branch in branches])
        self.hold(kernel=unpadded(first.weight, 2), bias=some(first.bias), slope=act.weight,
                  mesh=torch.cat([as_matrix(net.mesh), as_matrix(net.flag)], 1),
                  shift=torch.cat([some(net.mesh.bias), some(net.flag.bias)]),
                  ends=torch.stack([_widened(as_matrix(branch.out)) for branch in branches]),
                  ends_shift=torch.stack([_widened(some(branch.out.bias)[None]) for branch in branches]), **_numbers())

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        crops = crops.permute(0, 2, 3, 1)
        single = crops.device.type == "cpu"  # large maps one by one: they stay in the processor's cache
        parts = [self._features(part) for part in crops.split(1 if single else len(crops))]
        features = torch.cat(parts)
        deep = self.body(torch.cat([self.near(part) for part in parts]))
        deep = torch.addmm(self.shift, deep.reshape(len(crops), -1), self.mesh)
        mesh, flag = deep[:, :-1].reshape(-1, layout.SKIN, 3), deep[:, -1]
        refined = self._refined(features, mesh[..., :2] * (CELLS / SIZE))
        xy = torch.cat([mesh[..., :2], refined], 1)[:, self.order]
        z = torch.cat([mesh[..., 2], mesh[:, self.lids, 2].mean(2).repeat_interleave(5, 1)], 1)
        return torch.cat([xy, z[..., None]], 2), flag

    def _features(self, crops: Tensor) -> Tensor:  # [B, 192, 192, 3] -> [B, 48, 48, 32]
        x = convolved(crops, self.kernel, self.bias, 2)
        return self.stem(F.prelu(x.reshape(-1, x.shape[-1]), self.slope).view(x.shape))

    def _refined(self, features: Tensor, mesh: Tensor) -> Tensor:
        """[B, 48, 48, 32], points [B, 468, 2] in cells of it -> the five branches' points [B, 5 * 80, 2] in px of the crop."""
        count = len(features)
        ways = mesh[:, self.ways[1]] - mesh[:, self.ways[0]]
        matrix = box_matrix(mesh[:, self.boxes].reshape(count * 3, -1, 2), ways.reshape(-1, 2))
        x = self.trunk(_cut(features, matrix))  # [B, 4, 4, 3 * 128]
        x = x.view(*x.shape[:3], 3, -1)[..., self.regions, :].flatten(3)
        x = self.branch(x).view(count, -1, len(self.regions), 32)  # [B, 4, 5, 32]
        ends = torch.baddbmm(self.ends_shift, x.permute(2, 0, 1, 3).reshape(len(self.regions), count, -1), self.ends)
        finer = (matrix * matrix.new_tensor([1.0, 1.0, FINER])).view(count, 3, 2, 3)[:, self.regions]
        points = moved(finer.reshape(-1, 2, 3), ends.view(len(self.regions), count, -1, 2).transpose(0, 1).reshape(
            len(self.regions) * count, -1, 2))
        return points.reshape(count, -1, 2)


class FoldedDetector(Held):
    """Images float32 [B, 3, 128, 128] RGB -1..1 -> boxes [B, 896, 16] (px of the image from their anchor), logits [B, 896]."""

    kernel: Tensor  # [24, 3, 6, 6] of the first layer
    bias: Tensor    # [24]

    def __init__(self, net: BlazeFace):
        super().__init__()
        first, _, *fine = net.fine
        assert isinstance(first, SameConv)
        self.fine, self.coarse = _chain([fine]), _chain([net.coarse])
        self.hold(kernel=unpadded(first.weight, 2), bias=some(first.bias))
        for number, (box, score) in enumerate(zip(net.box, net.score)):
            assert isinstance(box, nn.Conv2d) and isinstance(score, nn.Conv2d)
            self.hold(**{f"matrix{number}": torch.cat([as_matrix(box), as_matrix(score)], 1),
                         f"bias{number}": torch.cat([some(box.bias), some(score.bias)])})

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(convolved(images.permute(0, 2, 3, 1), self.kernel, self.bias, 2, pad=2).relu_())
        boxes, logits = [], []
        for number, x in enumerate((fine, self.coarse(fine))):
            y = torch.addmm(self.get_buffer(f"bias{number}"), x.reshape(-1, x.shape[-1]), self.get_buffer(f"matrix{number}"))
            each = y.shape[-1] // 17  # boxes per cell, 16 numbers and a score each
            boxes.append(y[:, :16 * each].reshape(len(x), -1, 16))
            logits.append(y[:, 16 * each:].reshape(len(x), -1))
        return torch.cat(boxes, 1), torch.cat(logits, 1)


def _chain(series: Sequence[Iterable[nn.Module] | nn.Module]) -> nn.Sequential:
    """Series of blocks of the same shapes, side by side."""
    out: list[nn.Module] = []
    rows = [one.children() if isinstance(one, nn.Module) else one for one in series]
    for row in zip(*rows):
        blocks, squeezes = [m for m in row if isinstance(m, Block)], [m for m in row if isinstance(m, Squeeze)]
        out.append(Folded(*blocks) if blocks else Narrowed(*squeezes))
    return nn.Sequential(*out)


def unpadded(kernel: Tensor, stride: int) -> Tensor:  # [C, c, k, k] -> [C, c, k', k']
    """A kernel for even sizes and torch's even padding (k // 2 each side): at stride 2 TFLite pads one pixel less in front."""
    kernel = F.pad(kernel, (1, 0, 1, 0)) if stride == 2 else kernel
    return kernel.contiguous(memory_format=torch.channels_last)


def _matrices(convs: Sequence[nn.Conv2d]) -> Tensor:  # of 1 x 1 convolutions: [G, inner, outer]
    return torch.stack([as_matrix(conv) for conv in convs])


def as_matrix(conv: nn.Conv2d) -> Tensor:
    """A convolution that covers its whole input, as a matrix: [h * w * inner, outer]."""
    return conv.weight.permute(2, 3, 1, 0).reshape(-1, conv.out_channels)


def _bias(block: Block) -> Tensor:  # [outer]
    """The one bias of a depthwise and a pointwise layer."""
    deep, flat = some(block.depthwise.bias).double(), as_matrix(block.pointwise).double()
    return (deep @ flat + some(block.pointwise.bias)).float()


def _slope(act: nn.Module, channels: int) -> Tensor:  # [channels]
    return act.weight if isinstance(act, nn.PReLU) else torch.zeros(channels)


def some(bias: Tensor | None) -> Tensor:
    assert bias is not None
    return bias


def _widened(x: Tensor) -> Tensor:  # [n, 2 m] -> [n, 160]
    """Zeros up to the widest branch's columns."""
    return F.pad(x, (0, 2 * len(layout.LIPS) - x.shape[1]))


def _numbers() -> dict[str, Tensor]:
    """The point numbers that `FoldedMesh` picks by."""
    widest = len(layout.LIPS)
    boxes = [[*box, *[box[0]] * (widest - len(box))] for box in (layout.LIPS, layout.LEFT_EYE, layout.RIGHT_EYE)]
    order = list(range(layout.POINTS))
    branches = layout.LIPS, layout.LEFT_EYE, layout.LEFT_IRIS, layout.RIGHT_EYE, layout.RIGHT_IRIS
    for number, points in enumerate(branches):
        for i, point in enumerate(points):
            order[point] = layout.SKIN + number * widest + i
    lids = [eye[:layout.EYE_RING] for eye in (layout.LEFT_EYE, layout.RIGHT_EYE)]
    ways = [layout.LIP_ENDS, layout.LEFT_ENDS, layout.RIGHT_ENDS]
    return {"boxes": torch.tensor(boxes).flatten(), "ways": torch.tensor(ways).T, "regions": torch.tensor(_BRANCH_OF),
            "order": torch.tensor(order), "lids": torch.tensor(lids)}


def convolved(x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int, groups: int = 1, pad: int = 1) -> Tensor:
    """A convolution of [B, H, W, C]."""
    return F.conv2d(x.permute(0, 3, 1, 2), kernel, bias, stride, pad, groups=groups).permute(0, 2, 3, 1)


def _product(x: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:  # [N, G * a], [G, a, b], [G * b] -> [N, G * b]
    groups = len(matrix)
    if groups == 1:
        return F.linear(x, matrix[0].t(), bias)
    out = bias.repeat(len(x), 1)
    out.view(len(x), groups, -1).transpose(0, 1).baddbmm_(x.view(len(x), groups, -1).transpose(0, 1), matrix)
    return out


def _pooled(x: Tensor) -> Tensor:  # [B, H, W, C] -> [B, H / 2, W / 2, C]
    """The largest of each 2 x 2."""
    rows = x.reshape(-1, 2, x.shape[2] * x.shape[3])
    pairs = torch.maximum(rows[:, 0], rows[:, 1]).view(-1, 2, x.shape[3])
    return torch.maximum(pairs[:, 0], pairs[:, 1]).view(x.shape[0], x.shape[1] // 2, x.shape[2] // 2, -1)


def _cut(features: Tensor, matrix: Tensor) -> Tensor:  # [B, 48, 48, C], [B * R, 2, 3] -> [B, 16, 16, R * C]
    """`region_cut` for R regions of each map."""
    at = torch.arange(CUT, dtype=features.dtype, device=features.device) + 0.5
    grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).reshape(1, -1, 2)
    xy = moved(matrix, grid) - 0.5
    last = CELLS - 1
    inside = ((xy >= 0) & (xy <= last)).all(-1, keepdim=True)  # [B * R, 256, 1]
    low = xy.floor().clamp(0, last - 1)
    (x1, y1), (x0, y0) = (xy - low).unbind(-1), (1 - xy + low).unbind(-1)
    weight = torch.stack([x0 * y0, x1 * y0, x0 * y1, x1 * y1], -1) * inside
    count, regions = len(features), len(matrix) // len(features)
    image = torch.arange(count, device=features.device).repeat_interleave(regions)[:, None] * CELLS
    corner = ((image + low[..., 1].long()) * CELLS + low[..., 0].long())[..., None]
    four = corner + torch.tensor([0, 1, CELLS, CELLS + 1], device=features.device)
    out = F.embedding_bag(four.view(-1, 4), features.reshape(count * CELLS ** 2, -1), mode="sum",
                          per_sample_weights=weight.view(-1, 4))
    return out.view(count, regions, CUT, CUT, -1).permute(0, 2, 3, 1, 4).flatten(3)
