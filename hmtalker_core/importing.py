"""An avatar from a TalkingGaussian checkpoint and the dataset it was trained on; and an avatar with other Gaussians."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..media_core.claims import claimed
from ..media_core.errors import TalkingHeadsError
from ..media_core.motion import AU_NAMES
from ..media_core.progress import Report, silent
from ..media_core.speech import EncoderChoice
from ..media_core.speech.stored import NAMES
from .avatar import Avatar
from .avatar_checks import check_harmonics
from .checkpoints import load_avatar, save_avatar
from .data.annotations import BLINK_CEILING
from .data.dataset import AvatarDataset
from .model.gaussians import GaussianField
from .model.published import audio_arguments
from .official import KIND, KNOWN_UNITS, OF, OfficialBranch, nets_of, read_branch, read_fuse
from .training.batches import Clip, open_clip
from .training.config import presets
from .training.finish import assembled

LICENCE = (f"{OF}'s program has no licence, and the checkpoint belongs to whoever trained it; use needs the consent of the "
           "person shown.")


@claimed("path")
def import_avatar(dataset: str | os.PathLike, path: str | os.PathLike, *, fuse: str | os.PathLike | None = None,
                  face: str | os.PathLike | None = None, mouth: str | os.PathLike | None = None,
                  encoder: EncoderChoice | None = None, licence: str = LICENCE, report: Report = silent) -> Path:
    """A TalkingGaussian checkpoint to an avatar file, written whole or not at all.

    The checkpoint holds the head alone: poses, upper-face action units, body and background come from the dataset.

    Args:
        dataset: the folder that it was trained on.
        path: the file to write, .safetensors.
        fuse: `chkpnt_fuse_*.pth`; or instead
        face, mouth: `chkpnt_face_*.pth` and `chkpnt_mouth_*.pth`, as they were before both were fused.
        encoder: the speech features it was trained with; None: aud_ds.npy, aud_hu.npy, aud_ave.npy or aud_eo.npy of the dataset.
        licence: of the weights; stored in the file.
        report: called now and then; may raise to stop, then nothing is written.
    Raises:
        FileFormatError: a file is absent, truncated, or no such checkpoint.
        TalkingHeadsError: not either `fuse` or both others; speech features that the nets cannot read; an unusable dataset.
    """
    branches = _read(fuse, face, mouth)
    data = AvatarDataset.open(Path(dataset))
    clip = open_clip(data, encoder or _features(data), torch.device("cpu"), silent)
    nets = nets_of(*branches, window=clip.features.shape[-1])
    _check_speech(branches[0], clip)
    hears = clip.hears.to_config()
    if "speech" in hears:
        hears["speech"] = hears["speech"] | {"earlier": rows_earlier(clip.features.shape[-1], hears["speech"]["rate"], data.fps)}
    units = [known and name in KNOWN_UNITS for name, known in zip(AU_NAMES, clip.au_known)]
    record: Mapping[str, Any] = {
        **hears, "au_known": units, "motion": KIND.to_config(), "licence": licence, "blink_ceiling": BLINK_CEILING,
        "training": {"imported from": OF, "files": [Path(name).name for name in (fuse, face, mouth) if name is not None]}}
    avatar = assembled(clip, (branches[0].field, branches[1].field, *nets), record, presets()["published"],
                       tick=lambda: report(0, 1, {"phase": "torso"}, None))
    saved = save_avatar(avatar, path)
    load_avatar(saved)  # proves that what was written can be read
    report(1, 1, {"phase": "torso"}, None)
    return saved


def _read(fuse: str | os.PathLike | None, face: str | os.PathLike | None,
          mouth: str | os.PathLike | None) -> tuple[OfficialBranch, OfficialBranch]:
    given = [name for name, file in (("fuse", fuse), ("face", face), ("mouth", mouth)) if file is not None]
    if fuse is not None and len(given) == 1:
        return read_fuse(fuse)
    if face is not None and mouth is not None and fuse is None:
        return read_branch(face), read_branch(mouth)
    raise TalkingHeadsError("An avatar needs chkpnt_fuse_*.pth, or chkpnt_face_*.pth and chkpnt_mouth_*.pth",
                            " and ".join(given) or "no checkpoint", "Give the fused one alone, or the two others")


def _features(data: AvatarDataset) -> EncoderChoice:
    found = [data.folder / f"{name}.npy" for name in NAMES if (data.folder / f"{name}.npy").is_file()]
    if len(found) != 1:
        raise TalkingHeadsError(f"The dataset must have one of {', '.join(f'{name}.npy' for name in NAMES)}, the speech features "
                                "of the checkpoint", f"{' and '.join(path.name for path in found) or 'none'} in {data.folder}",
                                "Put it there, or name the features: --encoder, or the input of that name")
    return found[0]


def _check_speech(branch: OfficialBranch, clip: Clip) -> None:
    wanted, came = audio_arguments(branch.state, clip.features.shape[-1])["audio_dim"], clip.features.shape[1]
    if wanted != came:
        raise TalkingHeadsError(f"The checkpoint reads speech features of {wanted} numbers per row", f"those of {clip.hears}",
                                "Choose the features it was trained with")


def rows_earlier(window: int, rate: float, fps: float) -> int:
    """By how many rows TalkingGaussian's window for a frame begins before ours, which is centred on the frame's middle.

    Its windows of rows that overlap are centred on the frame's first row; where a window is no longer than the frame, both are
    the frame's own rows.
    """
    own = round(rate / fps)
    return own // 2 if window > own else 0


def with_fields(avatar: Avatar, face: GaussianField | None = None, mouth: GaussianField | None = None) -> Avatar:
    """The same avatar with other Gaussians, cleaned in an editor for instance: the motion nets move whatever stands in a place.

    Raises:
        TalkingHeadsError: harmonics of a degree that an avatar does not have.
    """
    for name, field in (("face", face), ("mouth", mouth)):
        if field is not None:
            check_harmonics(field.features_rest.shape[1], field.active_sh_degree, name, "the PLY file", "Export it again")
    fields = face or avatar.face, mouth or avatar.mouth
    return Avatar(*fields, avatar.face_net, avatar.mouth_net, poses=avatar.poses, upper_au=avatar.upper_au, torso=avatar.torso,
                  background=avatar.background, config=avatar.config).to(avatar.device)
