"""One Gaussian branch under training: its first Gaussians, its motion net, their optimizers, and what a state needs of them.

Where the first Gaussians stand: `cube` is TalkingGaussian's, uniform in +-0.1 m, grey. `silhouette` is ours: on the head's
surface in the most frontal frame (`surface`), which a short schedule on a CPU needs; colours come from the image.
"""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ...media_core.motion import AU_NAMES
from ...training_core.state import misfit, strip
from ..model.audio_net import net_arguments
from ..model.fusion import MotionKind
from ..model.gaussians import GaussianField
from ..model.motion import LR, FaceMotionNet, MouthMotionNet
from .batches import Clip, copied
from .config import BranchConfig, TrainConfig
from .densify import DensityControl
from .surface import Sight, head_depth, mouth_depth

MIN_EXTENT = 0.1  # m, the lower end of what recordings usually have
HALF_CUBE = 0.1  # m
GREY = 127 / 255  # the 8-bit grey a published point file holds
ADAM_EPS = 1e-15  # Gaussians (docs/hmtalker.md#optimisers)
NET_BETAS, NET_EPS = (0.9, 0.99), 1e-8  # motion nets


class Branch:
    """A field with its net and optimizers.

    Args:
        field: the canonical Gaussians.
        net: FaceMotionNet or MouthMotionNet.
        extent: scene extent in metres: scales the positions' learning rate and the size thresholds.
        max_points: growth stops here.
        net_lr: learning rate of the net's perceptrons.
        uniform_lr: that learning rate for every part of the net.
        audio_lr: multiplies that of the audio nets.
        density: what makes Gaussians multiply.
    """

    def __init__(self, field: GaussianField, net: FaceMotionNet | MouthMotionNet, extent: float, max_points: int | None = None,
                 net_lr: float = LR, uniform_lr: bool = False, audio_lr: float = 1.0,
                 density: type[DensityControl] = DensityControl):
        self.field, self.net, self.extent = field, net, extent
        fused = field.xyz.device.type == "cpu" or None  # a loop over parameters in Python otherwise
        self.field_optimizer = torch.optim.Adam(field.adam_groups(extent), lr=0.0, eps=ADAM_EPS, fused=fused)
        self.net_optimizer = torch.optim.AdamW(net.optimizer_groups(net_lr, uniform_lr, audio_lr), betas=NET_BETAS,
                                               eps=NET_EPS, fused=fused)
        for optimizer in (self.field_optimizer, self.net_optimizer):
            for group in optimizer.param_groups:
                group["base_lr"] = group["lr"]
        self.density = density(field, self.field_optimizer, max_points=max_points)

    def set_rates(self, xyz_factor: float, net_factor: float) -> None:
        """Learning rates of this step, as multiples of their starting values."""
        for group in self.field_optimizer.param_groups:
            group["lr"] = group["base_lr"] * (xyz_factor if group["name"] == "xyz" else 1.0)
        for group in self.net_optimizer.param_groups:
            group["lr"] = group["base_lr"] * net_factor

    def weights(self) -> dict[str, Tensor]:
        """Everything that changes while training, by name, but for the optimizers' moments."""
        out = {f"field.{k}": v for k, v in self.field.state_dict().items()}
        out |= {f"net.{k}": v for k, v in self.net.state_dict().items()}
        return out | {f"density.{k}": v for k, v in self.density.state_dict().items()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], net: FaceMotionNet | MouthMotionNet, extent: float, max_points: int | None,
                 net_lr: float, uniform_lr: bool, active: int, audio_lr: float = 1.0,
                 density: type[DensityControl] = DensityControl) -> Branch:
        """The branch with `weights` as in `tensors`, its optimizers still fresh; `net` gives the architecture.

        Raises:
            KeyError, RuntimeError, ValueError: a tensor is missing or does not fit the others.
        """
        device = next(net.parameters()).device
        state = {k: v.to(device) for k, v in tensors.items() if k.startswith(("field.", "net.", "density."))}
        field = field_from(strip(state, "field."), active)
        branch = cls(field, net, extent, max_points, net_lr, uniform_lr, audio_lr, density)
        empty = GaussianField.empty(len(field), field.sh_degree).state_dict()
        own = branch.weights() | {f"field.{k}": v for k, v in empty.items()}
        wrong = misfit({k: v for k, v in state.items() if k in own}, own)
        if wrong is not None:
            raise ValueError(wrong)
        net.load_state_dict(strip(state, "net."))
        branch.density.load_state_dict(strip(state, "density."))
        return branch


def field_from(state: Mapping[str, Tensor], active: int) -> GaussianField:
    """A field from its state dict, whatever its size; `active` is the degree it renders."""
    return GaussianField(*(state[attribute].clone() for attribute in
                           ("xyz", "features_dc", "features_rest", "scaling", "rotation", "opacity")), active_sh_degree=active)


def audio_arguments(clip: Clip) -> tuple[int, int, str]:
    """`audio_dim`, `audio_window` and `audio_kind` of both motion nets for the clip's speech features."""
    found = net_arguments(clip.features)
    return int(found["audio_dim"]), int(found["audio_window"]), str(found["audio_kind"])


def motion_kind(clip: Clip, config: TrainConfig) -> MotionKind:
    """What the settings make of the face net for the clip's cue."""
    return MotionKind(config.fusion, config.cue, clip.explicit.shape[1])


def fresh_face_net(clip: Clip, config: TrainConfig) -> FaceMotionNet:
    """The face net before its first step; its weights come from torch's global generator."""
    return FaceMotionNet(*audio_arguments(clip), kind=motion_kind(clip, config))


def extent_of(clip: Clip) -> float:
    """Scene extent in metres, at least a usual one: with a head that hardly moves every Gaussian would count as too large."""
    return max(clip.dataset.extent, MIN_EXTENT)


def initial_field(clip: Clip, config: TrainConfig, plan: BranchConfig, part: str, generator: torch.Generator) -> GaussianField:
    """The first Gaussians of the head or of the inside of the mouth (`TrainConfig.init`)."""
    if config.init == "cube":
        return GaussianField.create(*cube_points(plan.points, generator), sh_degree=config.sh_degree)
    data = clip.dataset
    train = np.asarray(data.train_index)
    c2w = torch.as_tensor(np.asarray(data.poses), dtype=torch.float32)
    if part == "head":
        index = int(train[frontal_frame(c2w[train])])
        frame = data.frame(index)
        mask = frame.face_mask | frame.hair_mask
    else:
        index, mask = open_mouth(clip, train)
        frame = data.frame(index)
    shown, image = torch.as_tensor(mask).cpu(), copied(frame.image).float() / 255
    seen = Sight(data.landmarks[index], float(c2w[index, :3, 3].norm()), data.focal, data.size)
    depth = head_depth(seen, shown, torch.from_numpy(frame.face_mask)) if part == "head" else mouth_depth(seen, shown)
    return GaussianField.create(*surface_points(image, shown, depth, c2w[index], data.focal, plan.points, generator),
                                sh_degree=config.sh_degree)


def open_mouth(clip: Clip, frames: np.ndarray) -> tuple[int, np.ndarray]:
    """(frame, mask [H, W]) of the widest mouth (AU25) whose inside shows; without one, the lip square of the widest."""
    au25 = clip.au[:, AU_NAMES.index("AU25")].cpu().numpy()
    widest_first = [int(i) for i in frames[np.argsort(-au25[frames], kind="stable")]]
    for index in widest_first:
        if clip.has_mouth(index):
            return index, clip.dataset.frame(index).mouth_mask
    return widest_first[0], clip.view(widest_first[0]).lips[..., 0].cpu().numpy() > 0


def cube_points(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(points [count, 3] metres, colours [count, 3]) of TalkingGaussian's start."""
    points = (torch.rand(count, 3, generator=generator) * 2 - 1) * HALF_CUBE
    return points, torch.full((count, 3), GREY)


def frontal_frame(c2w: Tensor) -> int:  # [F, 4, 4] camera to head, OpenGL axes
    """The frame whose camera looks at the face most squarely (camera axis nearest to the mean one)."""
    axis = torch.nn.functional.normalize(c2w[:, :3, 2], dim=-1)
    return int((axis @ torch.nn.functional.normalize(axis.mean(0), dim=0)).argmax())


def surface_points(image: Tensor, mask: Tensor, depth: Tensor, c2w: Tensor, focal: float, count: int,
                   generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points on a surface seen from one camera.

    Args:
        image: [H, W, 3] in 0..1.
        mask: [H, W] bool, what the branch draws.
        depth: [H, W] metres along the camera's axis.
        c2w: [4, 4] camera to head, OpenGL axes, metres.
        focal: px.
        count: how many points.
        generator: the only source of randomness.
    Returns:
        (points [count, 3] metres in the head frame, colours [count, 3] in 0..1).
    Raises:
        TalkingHeadsError: the mask is empty.
    """
    rows, columns = torch.nonzero(mask, as_tuple=True)
    if len(rows) == 0:
        raise TalkingHeadsError("The frame that starts the avatar must show the person", "an empty mask",
                                "Check the parsing masks of the dataset")
    pick = torch.randint(len(rows), (count,), generator=generator)
    rows, columns = rows[pick].cpu(), columns[pick].cpu()
    height, width = mask.shape
    away = depth[rows, columns]
    jitter = torch.rand(2, count, generator=generator) - 0.5
    x = (columns + 0.5 + jitter[0] - width / 2) / focal * away
    y = -(rows + 0.5 + jitter[1] - height / 2) / focal * away
    camera = torch.stack([x, y, -away], dim=-1)
    c2w = c2w.cpu().float()
    return camera @ c2w[:3, :3].T + c2w[:3, 3], image.cpu()[rows, columns].float()
