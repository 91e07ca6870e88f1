"""The speech prior: learns action units from speech, starts an avatar, and fits only its own encoder."""
import pytest
import torch
from safetensors.torch import load_file
from talking_heads.hmtalker_core.model.audio_net import audio_windows
from talking_heads.hmtalker_core.model.motion import FaceMotionNet
from talking_heads.hmtalker_core.training import prior
from talking_heads.hmtalker_core.training.prior import PARTS, SHIPPED, SpokenClip, start_from_prior, train_prior
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.metrics import correlation
from talking_heads.media_core.motion import AU_NAMES
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
