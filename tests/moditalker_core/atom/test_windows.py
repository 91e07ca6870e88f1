"""The windows AToM learns from: what they hold, and that they depend on (seed, step, index) alone."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion_data import TINY, make_motion_dataset
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.geometry import MIRROR
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core.atom import windows as module
from talking_heads.moditalker_core.atom.config import SpeechInput
from talking_heads.moditalker_core.atom.windows import Batch, Clips, Windows, mirrored, other_voice
from talking_heads.moditalker_core.data.dataset import MotionDataset

SPEECH = SpeechInput("mel", "last", 80.0, 80, 2)
PLAIN = replace(TINY, mirror=0.0, voice=0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> MotionDataset:
    return MotionDataset.open(make_motion_dataset(tmp_path_factory.mktemp("motion") / "data"))


def clips_of(data: MotionDataset, split: str = "train", frames: int = 8) -> Clips:
    return Clips(data, split, SPEECH, frames, torch.from_numpy(mean_face()))


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values()))


def test_a_batch_is_the_same_however_it_is_cut(data):
    windows, again = (Windows(clips_of(data), TINY, 7) for _ in range(2))
    again.batch(3, range(4))  # what was drawn before changes nothing
    whole = windows.batch(11, range(6))
    parts = [again.batch(11, part) for part in ([4, 5], [0, 1, 2, 3])]
    joined = Batch(*(torch.cat([b, a]) for a, b in zip(*(vars(part).values() for part in parts))))
    assert equal(whole, joined)
    assert not equal(whole, windows.batch(12, range(6)))
    assert not equal(whole, Windows(clips_of(data), TINY, 8).batch(11, range(6)))
    assert len({row.sum().item() for row in whole.noise}) == 6, "every window has its own noise"


def test_targets_and_tokens_are_those_of_the_clip(data):
    windows = Windows(clips_of(data), PLAIN, 0)
    for index in range(40):
        sample, batch = windows.sample(0, index), windows.batch(0, [index])
        number = data.indices("train")[sample.clip]
        idexp = 10 * (data.landmarks(number).points - torch.from_numpy(mean_face())).flatten(1)
        length = min(8, len(idexp) - sample.start)
        wanted = idexp[sample.start:sample.start + 8]
        assert torch.allclose((batch.x0 + batch.face)[0, :length], wanted, atol=1e-5)
        assert torch.allclose(batch.face[0], idexp[sample.reference].expand(8, -1), atol=1e-5)
        tokens = SPEECH.tokens(data.speech(number), data.fps, sample.start, sample.start + 8)
        assert torch.equal(batch.audio[0], tokens) and batch.mask[0].sum() == length


def test_the_first_frame_of_the_window_can_be_the_face(data):
    batch = Windows(clips_of(data), replace(PLAIN, reference="first"), 0).batch(0, range(20))
    assert float(batch.x0[:, 0].abs().max()) == 0 and float(batch.x0[:, 4].abs().max()) > 0.1


def test_short_clips_are_padded_with_their_last_face_and_silence(data):
    windows = Windows(clips_of(data), PLAIN, 0)
    index = next(i for i in range(200) if data.clips[windows.sample(0, i).clip].frames == 5)
    batch = windows.batch(0, [index])
    assert batch.mask.tolist() == [[True] * 5 + [False] * 3]
    assert torch.equal(batch.x0[0, 5:], batch.x0[0, 4:5].expand(3, -1))
    assert bool((batch.audio[0, -4:] == -4).all()) and not bool((batch.audio[0, :8] == -4).any()), "mel's silence, not zeros"


def test_every_frame_counts_alike_and_the_whole_batch_is_counted(data):
    windows = Windows(clips_of(data), replace(PLAIN, batch=400), 0)
    drawn = np.bincount([windows.sample(0, i).clip for i in range(400)], minlength=3) / 400
    assert drawn == pytest.approx(np.array([40, 25, 5]) / 70, abs=0.08)
    frames, pairs = windows.counts(0)
    mask = windows.batch(0, range(400)).mask
    assert frames == int(mask.sum()) and pairs == int((mask[:, 1:] & mask[:, :-1]).sum())


def test_speech_and_face_are_dropped_in_their_share(data):
    windows = Windows(clips_of(data), replace(PLAIN, cond_drop=0.25), 0)
    kept = np.mean([windows.sample(k, i).keep for k in range(20) for i in range(50)])
    assert kept == pytest.approx(0.75, abs=0.05)
    times = [windows.sample(k, i).time for k in range(20) for i in range(50)]
    assert min(times) < 20 and max(times) > 980


def test_a_mirrored_window_is_the_mirrored_face(data):
    straight, turned = (Windows(clips_of(data), replace(PLAIN, mirror=share), 0).batch(0, range(3)) for share in (0.0, 1.0))
    mean = 10 * torch.from_numpy(mean_face())
    points = lambda batch: (batch.x0 + batch.face).unflatten(-1, (68, 3)) + mean
    wanted = points(straight)[:, :, MIRROR.tolist()] * torch.tensor([-1.0, 1, 1])
    assert torch.allclose(points(turned), wanted, atol=1e-5) and torch.equal(straight.audio, turned.audio)
    assert torch.equal(mirrored(mirrored(points(straight))), points(straight))


def test_another_voice_changes_level_and_colour_but_not_silence():
    audio = torch.full((6, 160), -4.0)
    audio[:4] = torch.randn(4, 160, generator=torch.Generator().manual_seed(0))
    heard = other_voice(audio, 1.0, np.random.default_rng(1))
    assert torch.equal(heard[4:], audio[4:]) and float((heard[:4] - audio[:4]).abs().mean()) > 0.05
    assert float(heard.abs().max()) <= 4
    assert torch.equal(heard, other_voice(audio, 1.0, np.random.default_rng(1)))


def test_a_large_data_set_is_not_kept_in_memory(data, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 1)
    few, many = clips_of(data), Clips(data, "train", SPEECH, 8, torch.from_numpy(mean_face()))
    for index in (0, 1, 2, 0):
        assert torch.equal(few[index].tokens, many[index].tokens)
    assert len(few._kept) == 1


def test_an_empty_split_says_so(tmp_path):
    data = MotionDataset.open(make_motion_dataset(tmp_path / "d", (10, 10), val=2))
    with pytest.raises(TalkingHeadsError, match="clips to train on"):
        clips_of(data)
