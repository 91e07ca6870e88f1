"""The rasteriser against gsplat 1.5.3's own torch functions (projection, tiles, harmonics), where gsplat is installed: they
need no card. Only the blending is restated here; gsplat's stands in CUDA."""
from __future__ import annotations

import math

import pytest
import torch
from talking_heads.hmtalker_core.rasterizer import rasterization

TILE = 16
NAMES = ("means", "quats", "scales", "opacities", "colors")


def weights(means, conics, opacities, rows, columns):
    """Share of each sorted Gaussian in each pixel, [P, N]."""
    y, x = torch.meshgrid(torch.arange(*rows), torch.arange(*columns), indexing="ij")
    d = torch.stack([x, y], -1).reshape(-1, 1, 2).double() + 0.5 - means
    sigma = 0.5 * (conics[:, 0] * d[..., 0] ** 2 + conics[:, 2] * d[..., 1] ** 2) + conics[:, 1] * d[..., 0] * d[..., 1]
    alpha = (opacities * torch.exp(-sigma)).clamp_max(0.999)
    alpha = torch.where((sigma >= 0) & (alpha >= 1 / 255), alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1 - alpha, 1)
    return alpha * torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1) * (after > 1e-4)


def drawn_by_gsplat(theirs, s, width, height):
    """Image [H, W, 3] and alpha [H, W, 1] of one camera."""
    covariances, _ = theirs._quat_scale_to_covar_preci(s["quats"], s["scales"], True, False)
    radii, centres, depths, conics, _ = theirs._fully_fused_projection(s["means"], covariances, s["viewmats"], s["Ks"], width,
                                                                       height)
    across, down = math.ceil(width / TILE), math.ceil(height / TILE)
    _, ids, flat = theirs._isect_tiles(centres.detach().float(), radii, depths.detach().float(), TILE, across, down)
    starts = [*theirs._isect_offset_encode(ids, 1, across, down).flatten().tolist(), len(flat)]
    directions = s["means"][None] - torch.inverse(s["viewmats"])[:, None, :3, 3]
    colours = (theirs._spherical_harmonics(s["sh_degree"], directions, s["colors"][None]) + 0.5).clamp_min(0)[0]
    lines = []
    for row in range(down):
        tiles = []
        for column in range(across):
            box = ((TILE * row, min(TILE * (row + 1), height)), (TILE * column, min(TILE * (column + 1), width)))
            here = flat[starts[row * across + column]:starts[row * across + column + 1]].long()
            shares = weights(centres[0][here], conics[0][here], s["opacities"][here], *box)
            tile = torch.cat([shares @ colours[here], shares.sum(1, keepdim=True)], 1)
            tiles.append(tile.reshape(box[0][1] - box[0][0], box[1][1] - box[1][0], 4))
        lines.append(torch.cat(tiles, 1))
    whole = torch.cat(lines)
    return whole[..., :3], whole[..., 3:]


def moved(view, gradient):
    """From the gradient of a view matrix [1, 4, 4]: that of turning and of shifting the camera, [6]. Others are no rigid motions,
    and there the two formulas of the camera's position differ."""
    found = []
    for axis in range(3):
        turn = torch.zeros(4, 4, dtype=view.dtype)
        turn[(axis + 2) % 3, (axis + 1) % 3], turn[(axis + 1) % 3, (axis + 2) % 3] = 1, -1
        shift = torch.zeros(4, 4, dtype=view.dtype)
        shift[axis, 3] = 1
        found += [(gradient[0] * (motion @ view[0])).sum() for motion in (turn, shift)]
    return torch.stack(found).detach()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_images_and_gradients_are_gsplats(scene, backend):
    theirs = pytest.importorskip("gsplat.cuda._torch_impl")
    results = []
    for own in (False, True):
        s = scene(150, 40, 33, degree=2, seed=4)
        leaves = {name: s[name].requires_grad_() for name in NAMES}
        s["viewmats"].requires_grad_()
        if own:
            image, alpha, _ = rasterization(**s, backend=backend)
            image, alpha = image[0], alpha[0]
        else:
            image, alpha = drawn_by_gsplat(theirs, s, s["width"], s["height"])
        draw = torch.Generator().manual_seed(1)
        (image * torch.randn(image.shape, generator=draw) + alpha * torch.randn(alpha.shape, generator=draw)).sum().backward()
        results.append([image.detach(), alpha.detach(), *(leaf.grad for leaf in leaves.values()),
                        moved(s["viewmats"], s["viewmats"].grad)])
    for got, want in zip(results[1], results[0], strict=True):
        assert float((got - want).norm() / want.norm()) < 1e-6
