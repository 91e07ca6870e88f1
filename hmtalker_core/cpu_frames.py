"""An avatar's frames on the processor without gradients: nets, projection, blending and compositing in a core's cache.

What no frame changes is prepared once (`CpuFrames`). Gaussians that no code reaches (outside of the tri-planes: about a quarter)
are not sent through the net; a layer is worked on where it covers the frame, and a frame becomes bytes in the pass that puts it
together. The twin in torch, for every device, is `drawing.py`; both agree within 1/255. Any chunk and any number of threads give
the same frames.
"""
from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..media_core.motion import UPPER_INDEX, PoseTrack
from .backdrop import backdrop, is_clear
from .basis import FACE_NUMBERS, MOUTH_NUMBERS, Deformation, LinearBasis
from .cpu_body import CpuBody
from .model.camera import Window, film_cameras
from .model.compose import dilation_at
from .model.gaussians import GaussianField
from .model.hidden import BEYOND, WITHIN
from .model.layers import DISPLACEMENT, MLP
from .model.motion import MOUTH_SIDEWAYS
from .rasterizer import cpu_compose, cpu_deform, cpu_project, cpu_sh, kernels
from .rasterizer.jit import run_all

if TYPE_CHECKING:
    from .avatar_motion import AvatarMotion
    from .avatar_rendering import Rendering
    from .drawing import Picture

Moved = tuple[np.ndarray, np.ndarray]  # offsets of face and mouth
BLOCK = 1024         # Gaussians that go through a net at once: their activations stay in the core's cache
NEAR, FAR = 0.01, 1e10  # as `rasterization`
FACE_SCALE = 8       # column of the face net's output where the offsets of scales begin
_BLACK = np.zeros(3, np.float32)


class Room(threading.local):
    """Arrays that a thread uses again for every frame."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def __call__(self, name: str, *shape: int, dtype: type = np.float32) -> np.ndarray:
        """An array of this shape; what was in it is not kept."""
        count, array = math.prod(shape), self.arrays.get(name)
        if array is None or array.size < count:
            array = self.arrays[name] = np.empty(count, dtype)
        return array[:count].reshape(shape)


class Layer(NamedTuple):
    """Part of a frame."""
    image: np.ndarray         # [h, w, C]
    cover: np.ndarray         # [h, w] light that passes, or alpha
    corner: tuple[int, int]   # (row, column) in the frame


class CpuCameras(NamedTuple):
    """From where the frames of a motion are seen."""
    poses: PoseTrack
    window: Window
    views: np.ndarray      # [T, 4, 4]
    intrinsic: np.ndarray  # [3, 3]
    blur: float            # px^2


NO_LAYER = Layer(np.empty((0, 0, 3), np.float32), np.empty((0, 0), np.float32), (0, 0))


@dataclass(frozen=True)
class Branch:
    """One field, as the kernels read it."""
    name: str
    points: np.ndarray    # int32 [M] that move
    units: np.ndarray     # [5] of the offsets of x, y, z, rotation, scale
    scale_at: int         # column of the offsets of scales; -1: only positions move
    raw: tuple[np.ndarray, np.ndarray, np.ndarray]   # xyz, rotation, scaling
    rest: tuple[np.ndarray, np.ndarray, np.ndarray]  # means, quats, scales of what does not move
    opacity: np.ndarray   # [N]
    sh: np.ndarray        # [N, K, 3]
    degree: int

    @classmethod
    def of(cls, name: str, field: GaussianField, points: np.ndarray, units: Sequence[float], scale_at: int) -> Branch:
        array = lambda value: np.ascontiguousarray(value.detach().numpy(), np.float32)
        raw = array(field.xyz), array(field.rotation), array(field.scaling)
        return cls(name, points, np.asarray(units, np.float32), scale_at, raw, (raw[0], raw[1], array(field.scales)),
                   array(field.opacities), array(field.sh), field.active_sh_degree)

    def placed(self, offsets: np.ndarray, room: Room) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # [M, D]
        """Means, quats and scales of a frame."""
        fresh = f"{self.name} means" not in room.arrays
        places = tuple(room(f"{self.name} {part}", *rest.shape) for part, rest in zip(("means", "quats", "scales"), self.rest))
        if fresh:
            for place, rest in zip(places, self.rest):
                np.copyto(place, rest)
        cpu_deform.moved(self.points, offsets, self.units, self.scale_at, *self.raw, *places)
        return places[0], places[1], places[2]


class Net:
    """The layers of a motion net behind what depends on positions alone, for the Gaussians that move."""

    def __init__(self, net: MLP, first: Tensor, points: Tensor):
        self.first = first[points].contiguous()                                    # [M, hidden]
        self.layers = [weight.T.contiguous() for weight in net.later_weights]  # [hidden, next]; one at least
        self.width = self.layers[-1].shape[1]

    def __call__(self, entering: Sequence[Tensor], attention: Tensor | None = None) -> list[Tensor]:
        """The outputs [M, D] of some frames, each computed as if alone.

        Args: entering: of each frame [1, hidden], the same for all Gaussians, or with attention [M, A]: [A, hidden].
        """
        out = [self.first.new_empty(len(self.first), self.width) for _ in entering]
        for begin in range(0, len(self.first), BLOCK):
            first, part = self.first[begin:begin + BLOCK], None if attention is None else attention[begin:begin + BLOCK]
            for whole, frame in zip(out, entering):
                h = first + frame if part is None else torch.addmm(first, part, frame)
                for weight in self.layers[:-1]:
                    h = torch.mm(h.relu_(), weight)
                torch.mm(h.relu_(), self.layers[-1], out=whole[begin:begin + BLOCK])
        return out


@dataclass(frozen=True)
class CpuBasis:
    """The linear basis, as the kernels read it: of the Gaussians that move."""
    basis: LinearBasis
    face: Branch
    mouth: Branch
    mean: np.ndarray        # float32 [P]
    components: np.ndarray  # int8 [K, P]

    @classmethod
    def of(cls, basis: LinearBasis, face: Branch, mouth: Branch) -> CpuBasis:
        wide = sum(FACE_NUMBERS)
        moving = (torch.from_numpy(face.points).long()[:, None] * wide + torch.arange(wide)).flatten()
        rows = torch.cat([moving, torch.arange(basis.faces * wide, len(basis.mean))])
        unit = basis.units.tolist()
        face = replace(face, units=np.asarray([unit[0]] * 3 + unit[1:3], np.float32), scale_at=7)
        mouth = replace(mouth, units=np.asarray([unit[3]] * 5, np.float32))
        return cls(basis, face, mouth, basis.mean[rows].numpy(), np.ascontiguousarray(basis.components[:, rows].numpy()))

    @torch.inference_mode()
    def offsets(self, avatar: Rendering, motion: AvatarMotion, begin: int, end: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """[M, 10] and [N, 3] of each frame, in units."""
        weights = (self.basis.coefficients(avatar, motion, begin, end) * self.basis.scales).numpy()
        count, out = len(self.face.points), []
        for frame in weights:
            moved = np.empty(len(self.mean), np.float32)
            cpu_deform.expanded(self.mean, self.components, frame, moved)
            cut = count * sum(FACE_NUMBERS)
            out.append((moved[:cut].reshape(count, -1), moved[cut:].reshape(-1, MOUTH_NUMBERS)))
        return out


class CpuFrames:
    """Draws the frames of one avatar whose tensors are on the CPU.

    Args:
        avatar: whose weights no longer change.
    """

    def __init__(self, avatar: Rendering):
        self.avatar, self.room, self.body = avatar, Room(), CpuBody(avatar.torso)
        self.backdrops: dict[tuple | None, np.ndarray] = {}  # of the last picture
        self.cameras: CpuCameras | None = None
        self.basis: CpuBasis | None = None
        face, mouth = avatar.position_caches
        reached = (face.attention != 0).any(-1).nonzero()[:, 0]
        every = torch.arange(len(avatar.mouth))
        number = lambda points: points.numpy().astype(np.int32)
        side = DISPLACEMENT / MOUTH_SIDEWAYS
        self.attention = face.attention[reached].contiguous()
        self.face_net = Net(avatar.face_net.deform, face.first, reached)
        self.mouth_net = Net(avatar.mouth_net.sigma_net, mouth.first, every)
        moving = Branch.of("face", avatar.face, number(reached), (*[DISPLACEMENT] * 3, 1, 1), FACE_SCALE)
        self.face = self._at_rest(moving, face.first)
        self.mouth = Branch.of("mouth", avatar.mouth, number(every), (side, DISPLACEMENT, side, 0, 0), -1)
        place = avatar.mouth_place
        self.inside = None if place is None else tuple(np.ascontiguousarray(part.numpy(), np.float32) for part in place)

    def _at_rest(self, branch: Branch, first: Tensor) -> Branch:
        """The face with what no code reaches where it always is."""
        every = torch.arange(len(first))
        still = Net(self.avatar.face_net.deform, first, every)([torch.zeros(1, first.shape[1])])[0]
        means, quats, scales = (part.copy() for part in branch.rest)
        points = every.numpy().astype(np.int32)
        cpu_deform.moved(points, still.numpy(), branch.units, FACE_SCALE, *branch.raw, means, quats, scales)
        return replace(branch, rest=(means, quats, scales))

    @torch.inference_mode()
    def offsets(self, motion: AvatarMotion, begin: int, end: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Outputs of both nets, [M, 11] and [N, 3], for the Gaussians that move, of each frame."""
        net, mouth = self.avatar.face_net, self.avatar.mouth_net.sigma_net
        upper = net.encode_upper(motion.au[begin:end, list(UPPER_INDEX)])
        given = torch.cat([upper, motion.codes[begin:end]], dim=-1)
        weight = net.deform.first_weight[:, net.position_width:].T
        faces = self.face_net([codes[:, None] * weight for codes in given], self.attention)
        weight = mouth.first_weight[:, self.avatar.mouth_net.position_width:].T
        mouths = self.mouth_net([code[None] @ weight for code in motion.mouth_codes[begin:end]])
        return [(face.numpy(), inside.numpy()) for face, inside in zip(faces, mouths)]

    def draw(self, motion: AvatarMotion, begin: int, end: int, picture: Picture,
             as_bytes: bool) -> tuple[np.ndarray, np.ndarray]:
        """rgb [B, H, W, 3], alpha float32 [B, H, W] of frames begin..end; bytes have no alpha, but 4 channels if transparent."""
        height, width = picture.window.size
        count, clear = end - begin, is_clear(picture.background)
        rows, cameras = self._behind(picture, begin, end), self._cameras(motion, picture.window)
        views, intrinsic = cameras.views[begin:end], cameras.intrinsic
        settings = width, height, NEAR, FAR, cameras.blur
        rgb = np.empty((count, height, width, 4 if clear and as_bytes else 3), np.uint8 if as_bytes else np.float32)
        alpha = np.empty((count, 0 if as_bytes else height, width), np.float32)
        workers, (branches, moved) = torch.get_num_threads(), self._moved(motion, begin, end, picture.deformation)

        def one(i: int, lanes: int) -> None:
            layers = self._layers(branches, moved[i], (views[i], intrinsic), settings, picture, lanes)
            body = self.body.layer(int(motion.torso_index[begin + i]), picture.window, self.room) if picture.torso else None
            self._compose(*layers, body, rows[min(i, len(rows) - 1)], clear, rgb[i], alpha[i])
        if count >= workers:
            run_all(one, ((i, 1) for i in range(count)), workers)
        else:
            for i in range(count):
                one(i, workers)
        return rgb, alpha

    def _behind(self, picture: Picture, begin: int, end: int) -> np.ndarray:
        """[B or 1, H, W, 3], of one colour [1, 1, 1, 3]; what is the same in every frame is made once."""
        background = picture.background
        moving = isinstance(background, Tensor)
        key = None if moving else (picture.window, background if isinstance(background, str) else tuple(background))
        rows = self.backdrops.get(key)
        if rows is None:
            behind = backdrop(self.avatar.background, background, picture.window, begin, end)
            plain = not moving and background != "plate"
            rows = np.ascontiguousarray((behind[:, :1, :1] if plain else behind).numpy(), np.float32)
            self.backdrops = {} if key is None else {key: rows}
        return rows

    def _cameras(self, motion: AvatarMotion, window: Window) -> CpuCameras:
        """Of a whole motion; of the last one they are kept."""
        kept = self.cameras
        if kept is None or kept.poses is not motion.poses or kept.window != window:
            made = film_cameras(motion.poses, 0, len(motion), window, self.avatar.size, torch.device("cpu"))
            kept = CpuCameras(motion.poses, window, np.ascontiguousarray(made["viewmats"][:, 0].numpy()),
                              np.ascontiguousarray(made["Ks"][0, 0].numpy()), made["eps2d"])
            self.cameras = kept
        return kept

    def _moved(self, motion: AvatarMotion, begin: int, end: int,
               deformation: Deformation) -> tuple[tuple[Branch, Branch], list[Moved]]:
        """Both branches, and for each frame the offsets that belong to them."""
        if deformation == "exact":
            return (self.face, self.mouth), self.offsets(motion, begin, end)
        if self.basis is None:
            self.basis = CpuBasis.of(self.avatar.fitted_basis(), self.face, self.mouth)
        return (self.basis.face, self.basis.mouth), self.basis.offsets(self.avatar, motion, begin, end)

    def _layers(self, branches: tuple[Branch, Branch], moved: tuple[np.ndarray, np.ndarray],
                camera: tuple[np.ndarray, np.ndarray], settings: tuple, picture: Picture, lanes: int) -> tuple[Layer, Layer]:
        """Face, with the light that passes it, and mouth, with its alpha dilated."""
        dilation = dilation_at(picture.window.whole[0])
        face = self._drawn(branches[0], moved[0], camera, settings, 0, lanes)
        mouth = self._drawn(branches[1], moved[1], camera, settings, dilation // 2, lanes)
        cover = self.room("mouth dilated", *mouth.cover.shape)
        cpu_compose.dilated(mouth.cover, dilation, self.room("mouth between", *mouth.cover.shape), cover)
        return face, mouth._replace(cover=cover)

    def _drawn(self, branch: Branch, offsets: np.ndarray, camera: tuple[np.ndarray, np.ndarray], settings: tuple, reach: int,
               lanes: int) -> Layer:
        """One branch, in the box it covers and `reach` px around it."""
        room, n, name = self.room, len(branch.opacity), branch.name
        mean, quat, scale = branch.placed(offsets, room)
        splat, depth, color = room(f"{name} splat", n, 8), room(f"{name} depth", n), room(f"{name} color", n, 3)
        radius = room(f"{name} radius", n, 2, dtype=np.int32)
        cpu_project.project(0, n, mean, quat, scale, branch.opacity, *camera, *settings, splat, depth, radius)
        if self.inside is not None and name == "face":
            cpu_deform.hide(mean, camera[0], *self.inside, np.float32(BEYOND), np.float32(WITHIN), radius)
        cpu_sh.colors(0, n, mean, camera[0], branch.sh, branch.degree, radius, room("harmonics", 16), color)
        row, column, height, width = cpu_deform.covered(splat, radius, reach, *settings[:2])
        if not height:
            return NO_LAYER
        tiles_x, tiles_y = -(-width // kernels.TILE), -(-height // kernels.TILE)
        start, ids = kernels.tile_lists(splat, kernels.depth_order(depth.view(np.int32), radius), tiles_x, tiles_y)
        image, left = room(f"{name} image", height, width, 3), room(f"{name} left", height, width)
        last = room("last", height, width, dtype=np.int32)
        run_all(kernels.blend, ((lane, lanes, splat, color, start, ids, width, height, tiles_x, (0,) * 3, _BLACK, image, left,
                                 last) for lane in range(lanes)), lanes)
        return Layer(image, left, (row, column))

    def _compose(self, face: Layer, mouth: Layer, body: tuple[np.ndarray, tuple[int, int]] | None, behind: np.ndarray,
                 clear: bool, rgb: np.ndarray, alpha: np.ndarray) -> None:
        image, corner = body or (np.empty((0, 0, 4), np.float32), (0, 0))
        cpu_compose.compose(*face, *mouth, image, corner, behind, clear, 255.0 if rgb.dtype == np.uint8 else 1.0, rgb, alpha)
