"""What an avatar looks like at sizes other than its own: holes, agreement with its own size, the colour of its edge.

    python benchmarks/avatar_sizes.py [--avatar weights/demo_avatar.safetensors] [--frames 12]

Twice the size is rendered with the blur of every Gaussian scaled along (as `film_cameras` does) and, for comparison, as it was at
the trained size. Writes benchmarks/results/avatar_sizes.md and .png (own size enlarged, twice the size without and with).
"""
from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from common import ROOT, results_folder, talking_heads  # noqa: F401
from scipy import ndimage
from talking_heads.hmtalker_core.avatar import Avatar, AvatarMotion
from talking_heads.hmtalker_core.backdrop import resized
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.model import camera
from talking_heads.media_core.audio import load_sound
from talking_heads.media_core.speech import encode_speech

SOLID = 0.9  # alpha of what is no hole
EDGE, INSIDE, NEAR = (0.2, 0.8), 0.98, 6  # alphas of edge and interior; px between them
LUMA = torch.tensor([0.299, 0.587, 0.114])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatar", type=Path, default=ROOT / "weights" / "demo_avatar.safetensors")
    parser.add_argument("--frames", type=int, default=12)
    args = parser.parse_args()
    avatar = load_avatar(args.avatar)
    motion = avatar.drive(encode_speech(load_sound(ROOT / "demo" / "demo_speech.wav"), avatar.encoder))
    picks = np.linspace(0, len(motion) - 1, args.frames).astype(int).tolist()
    text, sheet = measured(avatar, motion, picks)
    print(text)
    results_folder().joinpath("avatar_sizes.md").write_text(text, encoding="utf-8")
    write_sheet(sheet)


def pictures(avatar: Avatar, motion: AvatarMotion, picks: list[int], **options) -> tuple[torch.Tensor, torch.Tensor]:
    """rgb [n, H, W, 3] and alpha [n, H, W] of some frames."""
    made = [next(avatar.render(motion, frame, frame + 1, **options)) for frame in picks]
    return torch.cat([rgb for rgb, _ in made]), torch.cat([alpha for _, alpha in made])


def unscaled(avatar: Avatar, motion: AvatarMotion, picks: list[int], size: tuple[int, int], **options):
    """`pictures` with every Gaussian blurred as at the trained size."""
    ratio = size[0] * size[1] / (avatar.size[0] * avatar.size[1])
    with patch.object(camera, "BLUR", camera.BLUR / ratio):
        return pictures(avatar.with_config(), motion, picks, size=size, **options)  # a copy keeps no cameras


def holes(alpha: torch.Tensor) -> float:
    """Pixels a frame that let something through though the head encloses them."""
    solid = alpha.numpy() > SOLID
    return sum(int((ndimage.binary_fill_holes(frame) & ~frame).sum()) for frame in solid) / len(alpha)


def agreement(image: torch.Tensor, other: torch.Tensor) -> float:
    """PSNR, dB."""
    return float(-10 * torch.log10((image - other).square().mean()))


def fringe(rgb: torch.Tensor, alpha: torch.Tensor) -> float:
    """How much darker (< 0) half-covered pixels' own colour is than the nearest solid pixel's, of 255, on the average."""
    differences = []
    for image, cover in zip((rgb @ LUMA).numpy(), alpha.numpy()):
        distance, (row, column) = ndimage.distance_transform_edt(cover < INSIDE, return_indices=True)
        edge = (cover > EDGE[0]) & (cover < EDGE[1]) & (distance < NEAR)
        differences.append(image[edge] - image[row[edge], column[edge]])
    return 255 * float(np.concatenate(differences).mean())


def measured(avatar: Avatar, motion: AvatarMotion, picks: list[int]) -> tuple[str, list[torch.Tensor]]:
    """The report, and one frame three ways."""
    height, width = avatar.size
    twice = 2 * height, 2 * width
    head = {"torso": False, "background": "transparent"}
    native, cover = pictures(avatar, motion, picks)
    enlarged = resized(native, twice)
    ways = {"blur as trained": unscaled, "blur scaled": pictures}
    rows, shown = [], [enlarged[len(picks) // 2]]
    for name, way in ways.items():
        full, _ = way(avatar, motion, picks, size=twice)
        straight, alpha = way(avatar, motion, picks, size=twice, **head)
        rows.append(f"| {name} | {holes(alpha):.1f} | {agreement(full, enlarged):.1f} | {fringe(straight, alpha):+.1f} |")
        shown.append(full[len(picks) // 2])
    straight, alpha = pictures(avatar, motion, picks, **head)
    rows.append(f"| own size | {holes(alpha):.1f} | | {fringe(straight, alpha):+.1f} |")
    return "\n".join([
        "# An avatar at twice its size", "",
        f"`python benchmarks/avatar_sizes.py`; {len(picks)} frames of the demo speech, {width} x {height} px enlarged to "
        f"{twice[1]} x {twice[0]}. Holes: pixels of alpha at most {SOLID} that the head encloses. Agreement: with the own "
        "size enlarged (bicubic). Edge: luminance of half-covered pixels, free of the background, against the "
        "nearest solid pixel.", "",
        "| | hole pixels a frame | agreement, dB | edge, of 255 |", "|---|---|---|---|", *rows, ""]), shown


def write_sheet(images: list[torch.Tensor]) -> None:
    from PIL import Image

    height, width = images[0].shape[:2]
    cut = [image[height // 4:height * 3 // 4, width // 4:width * 3 // 4] for image in images]
    sheet = torch.cat(cut, 1).mul(255).round().to(torch.uint8).numpy()
    Image.fromarray(sheet).save(results_folder() / "avatar_sizes.png", optimize=True)


if __name__ == "__main__":
    main()
