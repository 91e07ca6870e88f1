"""The speech prior: learns action units from speech, starts an avatar, and fits only its own encoder."""
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from talking_heads.hmtalker_core.model.audio_net import audio_windows
from talking_heads.hmtalker_core.model.motion import FaceMotionNet
from talking_heads.hmtalker_core.training import prior
from talking_heads.hmtalker_core.training import train_avatar as train_module
from talking_heads.hmtalker_core.training.prior import PARTS, SHIPPED, SpokenClip, start_from_prior, train_prior
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.metrics import correlation
from talking_heads.media_core.motion import AU_NAMES, LOWER_INDEX
from talking_heads.media_core.speech import encode_speech
from talking_heads.media_core.subject import perform

AU26 = AU_NAMES.index("AU26")


@pytest.fixture(scope="module")
def clips():
    out = []
    for seed in (1, 2):
        performance = perform(6.0, seed, engine="formant")
        au = torch.as_tensor(performance.au, dtype=torch.float32)
        out.append(SpokenClip(encode_speech(performance.sound).frame_windows(25.0, 0, len(au)), au))
    return out


def jaw(net, clip):
    with torch.inference_mode():
        windows = audio_windows(clip.features, torch.arange(len(clip.au)))
        return net.a2am(net.encode_audio(windows))[:, -1]  # AU26 is the last lower unit


def test_it_learns_and_is_loaded_into_a_fresh_net(clips, tmp_path):
    losses = []
    path = train_prior(clips[:1], tmp_path / "p.safetensors", "mel", steps=250,
                       report=lambda d, n, i, p: losses.append(i["loss"]))
    assert len(losses) == 250 and losses[-1] < 0.6 * losses[0]
    torch.manual_seed(3)
    net = FaceMotionNet()
    before = correlation(jaw(net, clips[0]), clips[0].au[:, AU26])
    start_from_prior(net, path, "mel")
    after = correlation(jaw(net, clips[0]), clips[0].au[:, AU26])
    assert after > max(0.7, before + 0.1)


@pytest.mark.parametrize("encoder", ["mel", "somebodys"])
def test_a_run_of_frames_hears_what_their_windows_hear(clips, encoder, monkeypatch):
    clip = prior._with_silence(clips[0], encoder)
    first, count = 3, len(clip.au)
    for middle in (first, count // 2, count - 1):
        monkeypatch.setattr(prior.torch, "randint", lambda *given, **more: torch.tensor([middle]))
        heard, au, weights = prior._batch([clip], torch.Generator().manual_seed(0))
        monkeypatch.undo()
        frames = middle + torch.arange(25) - 12
        inside = (frames >= 0) & (frames < count)
        silence = None if encoder == "somebodys" else torch.full((8, 80, 16), -4.0)
        windows = audio_windows(clip.features, frames[inside], outside=silence)
        torch.manual_seed(4)
        net = FaceMotionNet()
        torch.testing.assert_close(prior._units(net, heard)[:25][inside], net.a2am(net.encode_audio(windows))[:, -10:])
        assert torch.equal(au[:25][inside], clip.au[frames[inside]][:, list(LOWER_INDEX)])
        assert torch.equal(weights[:25].sum(1) > 0, inside)


def test_lips_and_jaw_weigh_more_and_most_where_they_shut(clips):
    shut = torch.zeros(len(clips[0].au), dtype=torch.bool)
    shut[7] = True
    plain, at_p = prior._weights(replace(clips[0], shut=shut), torch.tensor([6, 7]))
    assert plain.mean() == pytest.approx(1) and plain[-1] == plain[-2] == 3 * plain[0]
    assert at_p[0] == plain[0] and torch.allclose(at_p[-2:], 3 * plain[-2:])


def test_clips_are_drawn_as_often_as_they_say(clips):
    rare = replace(clips[1], au=clips[1].au + 100, often=1e-9)
    assert prior._batch([prior._with_silence(c, "mel") for c in (clips[0], rare)], torch.Generator().manual_seed(0))[1].max() < 50
    short = SpokenClip(clips[0].features[:3].half(), clips[0].au[:3])
    heard, _, weights = prior._batch([prior._with_silence(short, "mel")], torch.Generator().manual_seed(0))
    assert heard.shape == (8, 32, 80, 16) and heard.dtype == torch.float32 and (weights.sum(1) > 0).sum() == 8 * 3


def test_same_seed_same_prior_and_cancel_leaves_nothing(clips, tmp_path):
    a, b = (train_prior(clips, tmp_path / f"{n}.safetensors", "mel", steps=3) for n in "ab")
    assert all(torch.equal(x, y) for x, y in zip(*(dict(sorted(load_file(f).items())).values() for f in (a, b)), strict=True))

    def stop(done, total, info, preview):
        raise Cancelled

    with pytest.raises(Cancelled):
        train_prior(clips, tmp_path / "c.safetensors", "mel", steps=3, report=stop)
    assert not (tmp_path / "c.safetensors").exists()


@pytest.mark.parametrize("encoder, spectral", [("mel", True), ("hubert-large-ls960-ft", False), ("somebodys", False)])
def test_only_a_spectrum_is_shifted_along_its_bands(clips, tmp_path, monkeypatch, encoder, spectral):
    asked, real = [], prior.augment_windows
    monkeypatch.setattr(prior, "augment_windows", lambda *given: asked.append(given[3]) or real(*given))
    train_prior(clips, tmp_path / "p.safetensors", encoder, steps=1)
    assert asked == [spectral]


def test_wrong_encoder_and_damage_say_so(clips, tmp_path):
    path = train_prior(clips, tmp_path / "p.safetensors", "hubert", steps=1)
    with pytest.raises(TalkingHeadsError, match="'mel'.*'hubert'"):
        start_from_prior(FaceMotionNet(), path, "mel")
    with pytest.raises(FileFormatError, match="does not"):
        start_from_prior(FaceMotionNet(audio_dim=7), path, "hubert")
    with pytest.raises(TalkingHeadsError, match="at least one clip"):
        train_prior([], tmp_path / "q.safetensors", "mel")


def test_an_avatar_starts_from_it(tiny_dataset, tiny_config, tiny_avatar, tmp_path):
    without = train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=tiny_config, speech_prior=None)
    assert tiny_avatar.config["speech_prior"] and not without.config["speech_prior"]
    shipped = FaceMotionNet()
    start_from_prior(shipped, SHIPPED, "mel")
    drift = lambda avatar: sum(float((a - b).detach().abs().sum()) for name in PARTS for a, b in zip(
        getattr(avatar.face_net, name).parameters(), getattr(shipped, name).parameters()))
    assert drift(tiny_avatar) < 0.5 * drift(without)


def test_what_started_from_it_learns_slowly_and_what_did_not_as_fast_as_ever(tiny_dataset, tiny_config, tmp_path, monkeypatch):
    seen, real = [], train_module.AvatarTraining.fresh
    monkeypatch.setattr(train_module.AvatarTraining, "fresh", lambda *given: seen.append(real(*given)) or seen[-1])
    config = replace(tiny_config, audio_lr=0.05)
    for wanted, given in ((0.05, SHIPPED), (1.0, None)):
        train_avatar(tiny_dataset, tmp_path / f"{wanted}.safetensors", preset=config, speech_prior=given)
        for branch in (seen[-1].face, seen[-1].mouth):
            rates = {group["name"]: group["base_lr"] for group in branch.net_optimizer.param_groups}
            assert rates["audio_net"] == pytest.approx(wanted * 5e-4) and rates["audio_att_net"] == pytest.approx(wanted * 2.5e-3)
            assert rates["encoder_xy"] == 5e-3
        assert [group["lr"] for group in seen[-1].warmup_optimizer.param_groups][0] == pytest.approx(
            wanted * seen[-1].warmup_optimizer.param_groups[1]["lr"])
