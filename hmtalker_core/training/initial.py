"""Where the first Gaussians of a branch stand.

`cube` is TalkingGaussian's: uniform in +-0.1 m, grey. `silhouette` is ours: the head mask of the most frontal frame
is inflated into a relief (height from the distance to the outline), which a short schedule on a CPU needs; colours come from
the picture.
"""
from __future__ import annotations

import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError

HALF_CUBE = 0.1  # m
GREY = 127 / 255  # the 8-bit grey a published point file holds
RELIEF = 0.75  # depth of the relief over the half-width of the mask


def cube_points(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(points [count, 3] metres, colours [count, 3]) of TalkingGaussian's start."""
    points = (torch.rand(count, 3, generator=generator) * 2 - 1) * HALF_CUBE
    return points, torch.full((count, 3), GREY)


def frontal_frame(c2w: Tensor) -> int:  # [F, 4, 4] camera to head, OpenGL axes
    """The frame whose camera looks at the face most squarely (camera axis nearest to the mean one)."""
    axis = torch.nn.functional.normalize(c2w[:, :3, 2], dim=-1)
    return int((axis @ torch.nn.functional.normalize(axis.mean(0), dim=0)).argmax())


def silhouette_points(image: Tensor, mask: Tensor, c2w: Tensor, focal: float, count: int,
                      generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points on the inflated mask, seen from one camera.

    Args:
        image: [H, W, 3] in 0..1.
        mask: [H, W] bool, what the branch draws.
        c2w: [4, 4] camera to head, OpenGL axes, metres; the head's origin lies inside the head.
        focal: px.
        count: how many points.
        generator: the only source of chance.
    Returns:
        (points [count, 3] metres in the head frame, colours [count, 3] in 0..1).
    Raises:
        TalkingHeadsError: the mask is empty.
    """
    rows, columns = torch.nonzero(mask, as_tuple=True)
    if len(rows) == 0:
        raise TalkingHeadsError("The frame that starts the avatar must show the person", "an empty mask",
                                "Check the parsing masks of the data set")
    pick = torch.randint(len(rows), (count,), generator=generator)
    rows, columns = rows[pick].cpu(), columns[pick].cpu()
    height, width = mask.shape
    reach = _distance_to_outline(mask)
    level = (reach / reach.max()).clamp(0, 1)[rows, columns]
    origin_depth = float(c2w[:3, 3].norm())
    half = float(reach.max()) * origin_depth / focal
    depth = origin_depth - RELIEF * half * (1 - (1 - level).square()).sqrt()
    jitter = torch.rand(2, count, generator=generator) - 0.5
    x = (columns + 0.5 + jitter[0] - width / 2) / focal * depth
    y = -(rows + 0.5 + jitter[1] - height / 2) / focal * depth
    camera = torch.stack([x, y, -depth], dim=-1)
    c2w = c2w.cpu().float()
    return camera @ c2w[:3, :3].T + c2w[:3, 3], image.cpu()[rows, columns].float()


def _distance_to_outline(mask: Tensor) -> Tensor:  # bool [H, W] -> float [H, W] px
    """Exact Euclidean distance of every inside pixel to the nearest outside one."""
    from scipy.ndimage import distance_transform_edt

    padded = torch.nn.functional.pad(mask.cpu(), (1, 1, 1, 1))
    return torch.from_numpy(distance_transform_edt(padded.numpy())).float()[1:-1, 1:-1]
