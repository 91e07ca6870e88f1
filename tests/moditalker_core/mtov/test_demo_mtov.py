"""The demo weights on a person whom they have never seen: lips move the mouth and nothing else, and shut it over an open one.

Figures and pictures of the same: benchmarks/mtov.py.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import FPS
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.subject import PARAMS, Subject
from talking_heads.moditalker_core.data.images import PictureSettings
from talking_heads.moditalker_core.mtov.checkpoints import SHIPPED_MTOV, load_mtov
from talking_heads.moditalker_core.mtov.generation import VideoSettings, talk

IDENTITY, SOURCE = 19, 256  # below 1000: never trained on; px of the rendered film
REGION = 1 / 16  # of the picture, around the lips' box
OUTSIDE, INSIDE = 1.0, 4.0  # 255ths: mean change beyond the region at most, within it at least
SHUT = 0.2    # 0 as in the rendered truth with the mouth shut, 1 as in the one with it wide open
WIDER = 0.25  # least difference of fed open and fed shut: these small weights open not half as wide as the truth

pytestmark = pytest.mark.skipif(not SHIPPED_MTOV.is_file(), reason="demo weights of MToV are absent")


@dataclass(frozen=True)
class Film:
    frames: np.ndarray     # uint8 [T, S, S, 3]
    motion: LandmarkTrack  # px of the frames


@pytest.fixture(scope="module")
def mtov():
    return load_mtov()


@pytest.fixture(scope="module")
def films(mtov) -> dict[str, Film]:
    """A head that moves, with its mouth wide open and shut; exact landmarks."""
    subject, time = Subject(SOURCE, IDENTITY, oversampling=1), np.arange(mtov.config.frames) / FPS
    euler = np.stack([0.08 * np.sin(4 * time), 0.04 * np.sin(5 * time + 1), 0.03 * np.sin(3 * time)], 1)
    poses, crop, made = [subject.pose(row) for row in euler], None, {}
    for name, values in (("open", {"jaw": 8, "la": 8}), ("shut", {})):
        params = np.zeros(len(PARAMS))
        params[[PARAMS.index(key) for key in values]] = list(values.values())
        frames = [subject.render(params, pose) for pose in poses]
        points = np.stack([frame.landmarks2d for frame in frames])
        crop = crop or PictureSettings(mtov.config.size, mtov.config.margin).square(points, (SOURCE, SOURCE), FPS)
        flat = torch.zeros(len(points), 68, 3)
        flat[..., :2] = torch.from_numpy(crop.to_crop(points)).float()
        made[name] = Film(np.stack([crop.crop(frame.rgb) for frame in frames]),
                          LandmarkTrack(flat, FPS, "pixels", (mtov.config.size,) * 2))
    return made


@pytest.fixture(scope="module")
def driven(mtov, films) -> dict[str, np.ndarray]:
    """The open film's person, whose portrait too has its mouth open, with the landmarks of either, and with shut lips alone."""
    film, lips = films["open"], films["open"].motion.points.clone()
    lips[:, 48:] = films["shut"].motion.points[:, 48:]
    motions = {"open": film.motion, "shut": films["shut"].motion, "lips": film.motion.with_data(lips)}
    return {name: np.stack(list(talk(mtov, motion, film.frames[0], pose_frames=iter(film.frames), pose_landmarks=film.motion)))
            for name, motion in motions.items()}


def around_lips(films: dict[str, Film], share: float) -> np.ndarray:  # bool [T, S, S]
    """The box around both films' lips, wider by a share of the picture."""
    size = films["open"].frames.shape[1]
    lips = torch.cat([film.motion.points[:, 48:, :2] for film in films.values()], 1).numpy()
    low, high, place = lips.min(1) - share * size, lips.max(1) + share * size, np.arange(size)
    x, y = ((place >= low[:, axis, None]) & (place <= high[:, axis, None]) for axis in (0, 1))
    return y[:, :, None] & x[:, None, :]


def openness(frames: np.ndarray, films: dict[str, Film], at: slice | int = slice(None)) -> float:
    """Where pictures lie between the two truths, by least squares over the mouth's pixels."""
    box, shut = around_lips(films, 0.0)[at], films["shut"].frames[at].astype(float)
    way = (films["open"].frames[at] - shut)[box]
    return float(((frames - shut)[box] * way).sum() / np.square(way).sum())


def test_the_measure_of_openness(films):
    assert openness(films["shut"].frames, films) == 0 and openness(films["open"].frames, films) == pytest.approx(1)


def test_lips_change_the_mouth_and_nothing_else(films, driven):
    apart = np.abs(driven["open"].astype(float) - driven["lips"]).mean(-1)
    region = around_lips(films, REGION)
    inside, outside = apart[region].mean(), apart[~region].mean()
    assert inside >= INSIDE and outside <= OUTSIDE, f"changes by {inside:.2f} inside, {outside:.2f} outside, 255ths"


def test_shut_lips_close_an_open_mouth(films, driven):
    """Though the pose film and the portrait show it open."""
    fed_open, fed_shut = (openness(driven[name], films) for name in ("open", "shut"))
    assert fed_shut <= SHUT and fed_open >= fed_shut + WIDER, f"open {fed_open:.2f}, shut {fed_shut:.2f}"


def test_a_shut_portrait_opens_its_mouth(mtov, films):
    """Portrait mode: the pose is the first one throughout."""
    film, motion = films["shut"], films["open"].motion.selected([0] * 4)
    fed_open, fed_shut = (openness(np.stack(list(talk(mtov, each, film.frames[0], pose_landmarks=film.motion)))[2:3], films,
                                   slice(0, 1)) for each in (motion, film.motion.selected([0] * 4)))
    assert fed_shut <= SHUT and fed_open >= fed_shut + WIDER, f"open {fed_open:.2f}, shut {fed_shut:.2f}"


def test_constant_motion_keeps_its_colour(mtov, films):
    config, film = mtov.config, films["open"]
    settings = VideoSettings(calls=2, overlap=0)
    out = np.stack(list(talk(mtov, film.motion.selected([0] * (3 * config.frames)), film.frames[0], settings))).astype(float)
    clips = out.reshape(3, config.frames, -1, 3).mean((1, 2))
    assert np.abs(clips - clips[0]).max() <= 1


def test_what_the_file_says_about_itself(mtov):
    config = mtov.config
    assert SHIPPED_MTOV.stat().st_size < 15_000_000 and config.size >= 128 and config.fps == FPS
    assert config.licence and config.training
