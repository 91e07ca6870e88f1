"""A rendered video of 1.2 s against a blurred copy: every figure without weights, and those with random networks."""
from __future__ import annotations

import gc
import json
import math
import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.metrics import image_rows, psnr, ssim
from talking_heads.media_core.metrics.evaluation import evaluate
from talking_heads.media_core.metrics.pair import Clip, matched, resized, video_clip
from talking_heads.media_core.metrics.plot import draw_evaluation, save_plot
from talking_heads.media_core.metrics.weights import Weights
from talking_heads.media_core.video import read_frames

ALWAYS = {"psnr", "ssim", "sharpness", "cpbd", "colour_drift", "lmd", "f_lmd", "lve", "aue_lower_hmtalker", "aue_upper_hmtalker",
          "aue_lower_talkinggaussian", "aue_upper_talkinggaussian", "lip_correlation", "lip_amplitude", "lip_jitter",
          "eye_jitter"}  # what a truth and faces are enough for
OWNED = {"lpips", "fid", "fvd", "identity", "sync_d", "sync_c", "sync_offset"}  # with weights
SPOKEN = {"av_offset", "closures", "open_vowels", "openness", "openness_shifted", "shut_silence", "shut_noise"}


@pytest.fixture(scope="module")
def truth(tiny_film) -> Clip:
    return video_clip(tiny_film)


@pytest.fixture(scope="module")
def made(truth) -> Clip:
    """The same, blurred."""
    return replace(truth, name="made", read=lambda fps: (cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in truth.read(fps)))


@pytest.fixture(scope="module")
def found(made, truth):
    return evaluate(made, truth, tracker="rendered")


def test_every_figure_has_its_row(found):
    table = found.table
    assert {row.key for row in table.rows} == ALWAYS | OWNED | SPOKEN and len(table.rows) == len(ALWAYS | OWNED | SPOKEN)
    assert all(math.isfinite(table.value(key)) for key in ALWAYS)
    assert all(row.note for row in table.rows if math.isnan(row.value)), "what is absent says why"
    assert all("models/talking_heads/metrics/" in row.note for row in table.rows if row.key in OWNED)
    assert list(table.notes) == ["Faces by the tracker 'rendered'."]


def test_the_figures_are_those_of_the_parts(found, made, truth, tiny_film):
    a, b = np.stack(list(made.shown())), np.stack(list(read_frames(tiny_film, 25)))
    assert len(a) == 30 and found.table.value("psnr") == pytest.approx(psnr(a, b))
    assert found.table.value("ssim") == pytest.approx(ssim(a, b))
    rows = {row.key: row for row in found.table.rows}
    assert rows["sharpness"].value < 0.5 * (rows["sharpness"].truth or 0) and rows["cpbd"].frames <= 6
    assert rows["psnr"].frames == rows["lmd"].frames == 30 and rows["lip_correlation"].value > 0.5
    assert rows["lip_amplitude"].truth == 1.0 and 0 < rows["lmd"].value < 3


def test_a_video_against_itself(truth):
    table = evaluate(truth, truth, tracker="rendered").table
    assert math.isinf(table.value("psnr")) and table.value("ssim") == pytest.approx(1)
    assert [table.value(key) for key in ("lmd", "f_lmd", "aue_lower_hmtalker")] == [0, 0, 0] and table.value("lve") < 1e-6
    assert table.value("lip_correlation") == pytest.approx(1) and table.value("lip_amplitude") == pytest.approx(1)
    psnr_row = json.loads(table.json())["rows"][0]
    assert psnr_row["value"] is None and psnr_row["note"] == "equal images"


def test_without_a_truth(made):
    table = evaluate(made, tracker="rendered").table
    assert {row.key for row in table.rows if row.note == image_rows.NO_TRUTH} >= {"psnr", "ssim", "lmd", "lve", "lip_correlation"}
    assert all(math.isfinite(table.value(key)) for key in ("sharpness", "cpbd", "colour_drift", "lip_jitter", "eye_jitter"))


def test_other_sizes_rates_and_lengths(made, truth):
    small = replace(truth, name="small", size=(96, 120), fps=50.0, frames=40,
                    read=lambda fps: (resized(frame, (96, 120)) for frame in truth.read(fps)))
    one, other, notes = matched(made, small)
    assert len(list(one.shown())) == len(list(other.shown())) == 20 and next(other.shown()).shape == (192, 240, 3)
    assert notes == ("The truth was resized from 120 x 96 to 240 x 192 px.",
                     "The truth was read at 25 instead of its 50 frames per second.",
                     "The first 20 frames were compared; the made video is longer (30).")
    with pytest.raises(TalkingHeadsError, match="proportions"):
        matched(made, replace(small, size=(120, 120)))


def test_nobody_to_be_seen_and_nothing_to_be_heard(truth):
    dark = Clip("dark", lambda fps: iter(np.zeros((8, 192, 240, 3), np.uint8)), 25.0, 8, (192, 240))
    table = evaluate(dark, tracker="rendered").table
    assert math.isfinite(table.value("sharpness")) and math.isnan(table.value("cpbd"))
    rows = {row.key: row.note for row in table.rows}
    assert rows["lip_jitter"] == "no face was found in the made video" and rows["closures"] == "needs audio"
    against = {row.key: row.note for row in evaluate(replace(truth, frames=8), dark, tracker="rendered").table.rows}
    assert against["lmd"] == "no face was found in the truth" and not against["psnr"]
    with pytest.raises(TalkingHeadsError, match="transcript"):
        evaluate(dark, transcript="hello", tracker="rendered")


def test_the_users_networks(made, truth, monkeypatch):
    """Tiny stand-ins with the networks' interfaces: the figures are theirs."""
    mean = lambda x: x.mean(dim=(-1, -2)).flatten(1)  # noqa: E731
    weights = Weights(dict.fromkeys(("lpips", "inception", "i3d", "arcface", "syncnet"), None))
    nets = {"lpips": lambda a, b: (a - b).abs().mean(), "arcface": mean,
            "inception": lambda x: torch.cat([mean(x), torch.zeros(len(x), 2045)], 1),
            "i3d": lambda x: torch.cat([x.mean(dim=(2, 3, 4)), torch.zeros(len(x), 397)], 1)}
    for name, net in nets.items():
        monkeypatch.setattr(Weights, name, lambda self, net=net: net)
    monkeypatch.setattr(Weights, "syncnet", lambda self: type("Net", (), {
        "lips": lambda self, x: x.mean(dim=(2, 3, 4)), "audio": lambda self, x: x.mean(dim=(1, 3))[:, :3]})())
    table = evaluate(made, truth, tracker="rendered", weights=weights).table
    rows = {row.key: row for row in table.rows}
    a, b = (np.stack(list(clip.shown())).astype(float) / 255 for clip in (made, truth))
    assert rows["lpips"].value == pytest.approx(np.abs(a - b).mean(), rel=1e-4) and rows["lpips"].frames == 30
    assert rows["identity"].value > 0.9 and rows["identity"].frames == 30
    assert rows["fid"].value >= 0 and rows["fid"].frames == 30 and "of 30 frames" in rows["fid"].note
    assert "two clips" in rows["fvd"].note, "1.2 s have one clip of 16 frames"
    assert rows["sync_d"].frames == 25 and rows["sync_d"].truth is not None and -15 <= rows["sync_offset"].value <= 15


def test_memory_does_not_grow_with_length():
    """However long the video, a few frames are alive at once in every pass."""
    alive = most = 0

    class Frame(np.ndarray):
        pass

    def gone():
        nonlocal alive
        alive -= 1

    def read(fps):
        nonlocal alive, most
        for i in range(200):
            frame = np.full((64, 80, 3), i, np.uint8).view(Frame)
            alive += 1
            most = max(most, alive)
            weakref.finalize(frame, gone)
            yield frame

    clip = Clip("long", read, 25.0, 200, (64, 80))
    image_rows.image_rows(clip, clip, Weights({}), lambda *told: None)
    gc.collect()
    assert most <= 8 and alive == 0


def test_it_can_be_stopped(made):
    def stop(done, total, info, preview):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        evaluate(made, tracker="rendered", report=stop)


def test_the_plot(found, tmp_path):
    picture = draw_evaluation(found.curves, 640, "a title")
    assert picture.shape[1] == 640 and picture.dtype == np.uint8 and picture.std() > 5
    assert (picture == (30, 70, 140)).all(-1).sum() > 100 and (picture == (220, 120, 30)).all(-1).sum() > 100
    assert save_plot(found.curves, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    silent = replace(found.curves, heard=None, truth=None, lips=np.full(30, np.nan))
    assert draw_evaluation(silent).shape == draw_evaluation(replace(found.curves, truth=None), 1200).shape
    long = replace(found.curves, lips=np.tile(found.curves.lips, 200), truth=None)
    assert draw_evaluation(long).shape[0] < 5000, "at most twenty strips"
    with pytest.raises(TalkingHeadsError, match="320"):
        draw_evaluation(found.curves, 300)
    with pytest.raises(TalkingHeadsError, match="writing"):
        save_plot(found.curves, tmp_path / "a.png" / "b.png")


def test_audio_of_its_own(made):
    silent = replace(made, sound=None, frames=8)
    table = evaluate(silent, sound=Sound(np.zeros((1, 16000), np.float32), 16000), tracker="rendered").table
    assert math.isfinite(table.value("shut_silence")) and math.isnan(table.value("shut_noise"))
