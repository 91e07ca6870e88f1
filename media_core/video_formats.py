"""The kinds of video file that are written, chosen by the file's ending: MP4, and WebM and MOV, which can be transparent."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import TalkingHeadsError

if TYPE_CHECKING:
    import os

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}  # channels kept as they are; any other number becomes one
AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)  # Hz
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)  # Hz
_X264_WORST, _VP9_WORST = 51, 63  # of their scales of constant quality


@dataclass(frozen=True)
class VideoFormat:
    """One kind of file: FFmpeg's names for what is in it."""

    ending: str
    container: str
    codec: str
    pixels: str               # of an opaque video
    clear_pixels: str | None  # of one with an alpha channel; None: it cannot have one
    voice: str                # codec of the audio
    rates: tuple[int, ...]    # Hz, of the audio
    block: float              # samples that are encoded at once; below 1 as s
    movflags: bool = False

    @property
    def lossless_voice(self) -> bool:
        """Whether the audio is stored as samples."""
        return self.voice.startswith("pcm_")

    def block_size(self, rate: int) -> int:
        """Samples that the audio codec is given at once."""
        return int(self.block if self.block >= 1 else self.block * rate)

    def options(self, crf: float, preset: str, alpha: bool) -> dict[str, str]:
        """Of the video codec, for x264's constant quality and speed."""
        if self.codec == "libx264":
            return {"crf": str(crf), "preset": preset}
        if self.codec == "libvpx-vp9":  # b:v 0: constant quality; VP9 has no alpha with alternate reference frames
            return {"crf": str(round(crf * _VP9_WORST / _X264_WORST)), "b:v": "0", "deadline": "realtime", "cpu-used": "6",
                    "row-mt": "1", "auto-alt-ref": "0"}
        return {"profile": "4444" if alpha else "hq", "vendor": "apl0", "alpha_bits": "16" if alpha else "0"}

    def pixel_format(self, alpha: bool) -> str:
        """Of the encoded frames.

        Raises:
            TalkingHeadsError: transparency in a file that has none.
        """
        if not alpha:
            return self.pixels
        if self.clear_pixels is None:
            raise TalkingHeadsError(f"A transparent background needs a {' or '.join(CLEAR)} file", self.ending,
                                    "Choose one of those, or leave the alpha channel out")
        return self.clear_pixels


_MP4 = VideoFormat(ending=".mp4", container="mp4", codec="libx264", pixels="yuv420p", clear_pixels=None, voice="aac",
                   rates=AAC_RATES, block=1024, movflags=True)
FORMATS: Mapping[str, VideoFormat] = {one.ending: one for one in (
    _MP4,
    VideoFormat(ending=".webm", container="webm", codec="libvpx-vp9", pixels="yuv420p", clear_pixels="yuva420p",
                voice="libopus", rates=OPUS_RATES, block=0.02),
    VideoFormat(ending=".mov", container="mov", codec="prores_ks", pixels="yuv422p10le", clear_pixels="yuva444p10le",
                voice="pcm_s16le", rates=AAC_RATES, block=1024, movflags=True))}
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")  # endings by which videos are found in a folder
CLEAR = tuple(one.ending for one in FORMATS.values() if one.clear_pixels)  # endings of files that can be transparent


def format_of(path: str | os.PathLike[str]) -> VideoFormat:
    """The format that the file's ending names; MP4 for any other ending."""
    return FORMATS.get(Path(path).suffix.lower(), _MP4)


def can_be_clear(path: str | os.PathLike[str]) -> bool:
    """Whether such a file keeps a transparent background."""
    return Path(path).suffix.lower() in CLEAR


def check_ending(path: str | os.PathLike[str], endings: Collection[str] = tuple(FORMATS)) -> None:
    """Raises:
        TalkingHeadsError: the file's ending names no format.
    """
    if Path(path).suffix.lower() not in endings:
        raise TalkingHeadsError(f"The video must be written to a file that ends in {', '.join(endings)}", Path(path).name,
                                "Choose another name")
