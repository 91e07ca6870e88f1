"""How an avatar's motion becomes frames: the rendering half of `Avatar`.

    mu -> H(mu), att_f, att_u              constant: cached
    deform(H, c_u * att_u, c_f * att_f)    exact, or mean + components (`basis.py`)
    -> face over mouth over torso over background: kernels on a processor (`cpu_frames.py`), torch elsewhere (`drawing.py`)
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..media_core.asked import whole
from ..media_core.errors import TalkingHeadsError
from ..media_core.motion import UPPER_INDEX, PoseTrack
from ..media_core.progress import Report, silent
from .avatar_motion import AvatarMotion, check_rendering
from .backdrop import Background, is_clear
from .basis import DEFORMATIONS, Deformation, LinearBasis
from .drawing import Picture, drawn
from .model.camera import Window, head_centre
from .model.gaussians import GaussianField
from .model.hidden import MouthPlace
from .model.motion import FaceCache, FaceMotionNet, MouthCache, MouthMotionNet
from .model.splat import as_splat
from .model.torso import TorsoModel
from .rasterizer import choose_backend, must_compile, wait_for_trial

if TYPE_CHECKING:
    from .avatar import Avatar
    from .cpu_frames import CpuFrames


class Rendering(ABC):
    """What `Avatar` can show; its parts are those of the constructor there."""

    face: GaussianField
    mouth: GaussianField
    face_net: FaceMotionNet
    mouth_net: MouthMotionNet
    poses: PoseTrack
    torso: TorsoModel
    background: Tensor
    basis: LinearBasis | None

    @abstractmethod
    def where_drawn(self, backend: str = "auto") -> Avatar:
        """The avatar where its rasteriser draws."""

    @abstractmethod
    def copied(self, device: str | torch.device) -> Avatar:
        """A copy on another device."""

    @abstractmethod
    def _check_motion(self, motion: AvatarMotion) -> None:
        """Raises:
            TalkingHeadsError: the motion was made for another avatar.
        """

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) px the avatar was trained at."""
        height, width = self.poses.image_size
        return height, width

    @property
    def device(self) -> torch.device:
        return self.face.xyz.device

    @cached_property
    def position_caches(self) -> tuple[FaceCache, MouthCache]:
        """H(mu), both attention maps and their part of the first layer: the same in every frame."""
        with torch.inference_mode():
            return self.face_net.cache(self.face.xyz), self.mouth_net.cache(self.mouth.xyz)

    @cached_property
    def mouth_place(self) -> MouthPlace | None:
        """Where the inside of the mouth is: what lies behind it is not drawn."""
        return MouthPlace.of(self.mouth)

    def window(self, size: tuple[int, int]) -> Window:
        """What frames of `size` (H, W) px show: where the shape is another, the frame is filled and what is too wide or too high
        is cut off, the head as near to the middle as may be."""
        return Window.of(size, self.size, head_centre(self.poses))

    def picture(self, *, backend: str = "auto", background: Background = "plate", size: tuple[int, int] | None = None,
                torso: bool = True, deformation: Deformation = "exact") -> Picture:
        """The options of `render` for `render_bytes`.

        Raises:
            TalkingHeadsError: no such deformation, or no basis to use and none that can be fitted here.
        """
        if deformation not in DEFORMATIONS:
            raise TalkingHeadsError("`deformation` must be exact or basis", repr(deformation), "Choose one of them")
        if deformation == "basis":
            self.fitted_basis()
        return Picture(self.window(size or self.size), background, torso, backend, deformation)

    def fitted_basis(self, report: Report = silent) -> LinearBasis:
        """The linear basis of the file; where it has none, one is fitted now (some seconds) and kept; `report` may cancel."""
        if self.basis is None:
            from .basis_fit import fit_basis

            self.basis = fit_basis(self.copied("cpu"), report=report).to(self.device)
        return self.basis

    def prepare(self) -> None:
        """Computes the caches now, so that threads which render side by side find them."""
        self.position_caches  # noqa: B018 (a cached property)
        if self.device.type == "cpu":
            self._cpu_frames  # noqa: B018

    def offsets(self, motion: AvatarMotion, start: int, stop: int,
                deformation: Deformation = "exact") -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """((d_xyz, d_rot, d_scale) of the face [B, N, .], d_xyz of the mouth) for frames start..stop."""
        if deformation == "basis":
            basis = self.fitted_basis()
            return basis.offsets(basis.coefficients(self, motion, start, stop))
        face_cache, mouth_cache = self.position_caches
        upper = motion.au[start:stop][:, list(UPPER_INDEX)].to(self.device)
        face = self.face_net.deform_cached(face_cache, motion.codes[start:stop].to(self.device), upper)
        codes = motion.mouth_codes[start:stop].to(self.device)
        # One product per frame: the same in any chunk.
        mouth = [self.mouth_net.deform_cached(mouth_cache, code[None]) for code in codes]
        return face, torch.cat(mouth)

    @torch.inference_mode()
    def render(self, motion: AvatarMotion, start: int = 0, stop: int | None = None, *, chunk: int = 8, backend: str = "auto",
               background: Background = "plate", size: tuple[int, int] | None = None, torso: bool = True,
               deformation: Deformation = "exact", report: Report = silent) -> Iterator[tuple[Tensor, Tensor]]:
        """Frames as they are made.

        Args:
            motion: of `drive`.
            start, stop: frames to render.
            chunk: frames per call of the rasteriser; any number gives the same frames.
            backend: rasteriser, see `rasterizer.choose_backend`.
            background: the recorded background (plate), black, an RGB colour in 0..1, images [n, h, w, 3] in 0..1 (one, or one
                per frame of the motion), or transparent: colours as they are, not over anything.
            size: (H, W) px; None is the avatar's own. Of another shape the frame is filled (`window`).
            torso: draw the body; without it head and neck edge stand alone.
            deformation: by the nets, or by the avatar's linear basis: faster, its error is stated in `LinearBasis.psnr`.
            report: called once per chunk.
        Yields:
            rgb float32 [B, H, W, 3] in 0..1 over the background, alpha float32 [B, H, W] of the person; where they were drawn.
        Raises:
            TalkingHeadsError: the motion was made for another avatar; no such frames, chunk, size or background.
        """
        self._check_motion(motion)
        check_rendering(start, stop, chunk, size, background)
        stop = len(motion) if stop is None else min(stop, len(motion))
        picture = self.picture(backend=backend, background=background, size=size, torso=torso, deformation=deformation)
        if must_compile(self.device, backend):
            wait_for_trial(self.device, backend, report, stop - start)
        avatar = self.where_drawn(backend)
        for begin in range(start, stop, chunk):
            end = min(begin + chunk, stop)
            yield avatar._render_chunk(motion, begin, end, picture)
            report(end - start, stop - start, {"phase": "render", "frame": end - start, "frames": stop - start}, None)

    def _render_chunk(self, motion: AvatarMotion, begin: int, end: int, picture: Picture) -> tuple[Tensor, Tensor]:
        if self._drawn_by_kernels(picture):
            rgb, alpha = self._cpu_frames.draw(motion, begin, end, picture, as_bytes=False)
            return torch.from_numpy(rgb), torch.from_numpy(alpha)
        return drawn(self, motion, begin, end, picture)

    @torch.inference_mode()
    def render_bytes(self, motion: AvatarMotion, begin: int, end: int, picture: Picture) -> np.ndarray:
        """Frames begin..end as uint8 [B, H, W, 3], what is transparent as [B, H, W, 4] with straight alpha."""
        self._check_motion(motion)
        if self._drawn_by_kernels(picture):
            return self._cpu_frames.draw(motion, begin, end, picture, as_bytes=True)[0]
        rgb, alpha = self._render_chunk(motion, begin, end, picture)
        rgb = torch.cat([rgb, alpha[..., None]], dim=-1) if is_clear(picture.background) else rgb
        return rgb.mul(255).round_().to(torch.uint8).cpu().numpy()

    def _drawn_by_kernels(self, picture: Picture) -> bool:
        """Whether the frames are drawn by `cpu_frames`."""
        return self.device.type == "cpu" and choose_backend(self.device, picture.backend)[0] == "cpu"

    @cached_property
    def _cpu_frames(self) -> CpuFrames:
        from .cpu_frames import CpuFrames

        return CpuFrames(self)

    @torch.inference_mode()
    def splat(self, motion: AvatarMotion, frame: int) -> dict[str, Tensor]:
        """One frame's Gaussians, face and mouth together, in the layout of ComfyUI's SPLAT (docs/comfyui.md#core-types).

        Returns:
            positions [1, N, 3] metres (Y down, Z forward: the viewer's frame), scales [1, N, 3] linear, rotations [1, N, 4] wxyz,
            opacities [1, N, 1] in 0..1, sh [1, N, K, 3], counts [1].
        """
        self._check_motion(motion)
        frame = whole("The frame of this motion", frame, 0, len(motion) - 1)
        face, inside = self.offsets(motion, frame, frame + 1)
        return as_splat([self.face.deformed(*(x[0] for x in face)), self.mouth.deformed(inside[0])])
