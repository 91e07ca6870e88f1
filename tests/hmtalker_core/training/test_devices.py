"""Tensors of one device meet tensors of the same one. No card is at hand here: torch's `meta` device, which holds no numbers but
refuses to be mixed with the CPU in most operations, stands for it; a stand-in takes the rasteriser's place."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core import avatar as avatars
from talking_heads.hmtalker_core import drawing, rasterizer, streaming
from talking_heads.hmtalker_core.data.dataset import Frame
from talking_heads.hmtalker_core.model.audio_net import net_arguments
from talking_heads.hmtalker_core.model.gaussians import GaussianField
from talking_heads.hmtalker_core.model.motion import FaceMotionNet, MouthMotionNet
from talking_heads.hmtalker_core.model.torso import TorsoModel
from talking_heads.hmtalker_core.rasterizer import cuda_gsplat
from talking_heads.hmtalker_core.training import losses
from talking_heads.hmtalker_core.training import objectives as stages
from talking_heads.hmtalker_core.training import train_avatar as avatar_training
from talking_heads.hmtalker_core.training.batches import Clip, View
from talking_heads.hmtalker_core.training.branches import Branch
from talking_heads.hmtalker_core.training.config import preset
from talking_heads.media_core import read_ahead
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.motion import PoseTrack
from talking_heads.media_core.speech import encode_speech

THERE, CARD, COUNT, FRAMES, H, W = torch.device("meta"), torch.device("cuda", 0), 50, 20, 48, 40
CONFIG = preset("demo")


def there(*shape, dtype=torch.float32):
    return torch.zeros(shape, device=THERE, dtype=dtype)


def drawn(means, quats, scales, opacities, colors, viewmats, Ks, width, height, sh_degree=None, eps2d=0.3, backend="auto"):
    """Shapes and graph of `rasterization`; every argument takes part in one sum."""
    channels = 3 if sh_degree is not None else colors.shape[-1]
    means2d = means[..., None, :, :2] * 1
    total = sum(x.sum() for x in (means2d, means, quats, scales, opacities, colors, viewmats, Ks))
    whole = total.expand(*means.shape[:-2], 1, height, width, channels) * 1
    return whole, whole[..., :1], {"means2d": means2d, "radii": there(*means2d.shape, dtype=torch.int32)}


@pytest.fixture
def scene(monkeypatch):
    for module in (stages, drawing):
        monkeypatch.setattr(module, "rasterization", drawn)
    monkeypatch.setattr(losses, "ssim", lambda a, b: (a * b).mean())  # kornia's turns autocast off, which `meta` does not have
    monkeypatch.setattr(stages, "known_channels", lambda *_: slice(None))  # `meta` cannot count what a mask selects
    data = SimpleNamespace(train_index=np.arange(FRAMES))
    clip = Clip(data, there(FRAMES, 80, 16), there(FRAMES, dtype=torch.int64), there(FRAMES, 17), (True,) * 17, 2.0,
                there(FRAMES, 4, 4), THERE)
    square = np.array([30, 40, 10, 20])
    frame = Frame(3, np.zeros((H, W, 3), np.uint8), np.zeros((H, W), np.uint8), np.zeros((H, W, 3), np.uint8),
                  np.zeros((68, 2), np.float32), square, SimpleNamespace(torso=lambda _: np.zeros((H, W, 4), np.uint8)))
    view = View(3, frame, (0, H, 0, W), there(4, 4), there(3, 3))
    nets = FaceMotionNet().to(THERE), MouthMotionNet().to(THERE)
    face, mouth = (Branch(GaussianField.empty(COUNT).to(THERE), net, 0.1, 100) for net in nets)
    return clip, view, face, mouth


@pytest.mark.parametrize("path", ["audio", "masked", "vanilla"])
def test_every_stage_stays_on_its_device(scene, monkeypatch, path):
    clip, view, face, mouth = scene
    monkeypatch.setattr(stages, "draw_path", lambda *_: path)
    generator = torch.Generator()
    step = CONFIG.face.static + -CONFIG.face.static % CONFIG.attention_every
    for loss in (stages.face_loss(face, clip, view, 0, CONFIG, generator)[0],
                 stages.face_loss(face, clip, view, step, CONFIG, generator)[0],
                 stages.mouth_loss(mouth, clip, view, CONFIG.mouth.static, CONFIG, generator)[0],
                 stages.fuse_loss(face, mouth, clip, view, 0, CONFIG, generator)[0]):
        assert loss.device == THERE
        loss.backward()
    for branch in (face, mouth):
        branch.density.accumulate(there(COUNT, 2), there(COUNT, 2, dtype=torch.int32), W, H)
        branch.field_optimizer.step()
        branch.net_optimizer.step()


@pytest.mark.parametrize("size", [None, (64, 56)])
def test_rendering_stays_on_its_device(scene, monkeypatch, size):
    clip, _, face, mouth = scene
    poses = PoseTrack(torch.eye(4).repeat(7, 1, 1), 500.0, (H, W))
    torso = TorsoModel(there(4, H, W, dtype=torch.uint8), there(3, 4, H, W, dtype=torch.int8), there(3), there(7, 3),
                       (0, H, 0, W), (H, W))
    avatar = avatars.Avatar(face.field, mouth.field, face.net, mouth.net, poses, torch.zeros(7, 17), torso,
                            there(H, W, 3, dtype=torch.uint8), {"encoder": "mel", "audio": net_arguments(clip.features)})
    motion = avatars.AvatarMotion(torch.zeros(7, 32), torch.zeros(7, 32), torch.zeros(7, 17), poses, torch.arange(7), "mel")
    monkeypatch.setattr(avatars.Avatar, "_check_motion", lambda *_: None)  # reads the weights' numbers
    for background in ("plate", (0.0, 1.0, 0.0)):
        frames = list(avatar.render(motion, chunk=3, size=size, background=background))
        assert [rgb.shape for rgb, _ in frames] == [(n, *(size or (H, W)), 3) for n in (3, 3, 1)]
        assert all(rgb.device == alpha.device == THERE for rgb, alpha in frames)
    assert avatar.splat(motion, 2)["positions"].shape == (1, 2 * COUNT, 3)
    assert all(code.device == THERE for code in avatar.calm(torch.zeros(80)))


def test_meta_tensors_do_refuse_to_be_mixed():
    with pytest.raises(RuntimeError):
        there(3) + torch.as_tensor(np.ones(3, np.float32))


class OnCard(avatars.Avatar):
    """Says that its weights lie on a card; only a copy elsewhere can be worked with."""

    device = CARD

    def _render_chunk(self, *args):
        raise AssertionError("drawn on the card")


def on_card(avatar):
    return OnCard(*avatar.modules, avatar.poses, avatar.upper_au, avatar.torso, avatar.background, avatar.config)


@pytest.fixture
def card_that_cannot_draw(monkeypatch):
    """A card without gsplat: what most computers with a card have."""
    monkeypatch.setattr(cuda_gsplat, "why_not", lambda device: "gsplat cannot be imported")
    rasterizer._say.cache_clear()


def test_an_avatar_moves_to_the_processor_that_draws_it(card_that_cannot_draw, tiny_avatar, monkeypatch, caplog):
    """All workers, as without a card, and said once."""
    workers, pool = [], read_ahead.ThreadPoolExecutor

    def counted(count, **options):
        workers.append(count)
        return pool(2, **options)

    monkeypatch.setattr(read_ahead, "ThreadPoolExecutor", counted)
    monkeypatch.setattr(streaming.torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(streaming.torch, "get_num_threads", lambda: 6)
    motion = tiny_avatar.drive(encode_speech(Sound(np.zeros((1, 6400), np.float32), 16000)))
    with caplog.at_level("INFO"):
        films = [np.concatenate(list(streaming.streamed(a, motion, 4))) for a in (on_card(tiny_avatar), tiny_avatar)]
        frames = torch.cat([rgb for rgb, _ in on_card(tiny_avatar).render(motion)])
    assert workers == [6, 6] and np.array_equal(*films) and frames.device.type == "cpu"
    assert sum("as a whole" in record.getMessage() for record in caplog.records) == 1
    monkeypatch.setattr(streaming.torch, "get_num_threads", lambda: 40)
    list(streaming.streamed(on_card(tiny_avatar), motion, 4))
    assert workers[-1] == streaming.MOST_WORKERS == 8


def test_a_copy_leaves_the_weights_where_they_are(tiny_avatar):
    copy = tiny_avatar.copied("cpu")
    for mine, other in zip(tiny_avatar.modules, copy.modules):
        assert mine is not other and all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in zip(
            mine.parameters(), other.parameters()))
    assert copy.fingerprint == tiny_avatar.fingerprint


def test_an_avatar_is_trained_on_the_processor_that_draws_it(card_that_cannot_draw, monkeypatch):
    class Enough(Exception):
        pass

    def opened(dataset, encoder, device, *others):
        raise Enough(device.type)

    monkeypatch.setattr(avatar_training, "open_clip", opened)
    monkeypatch.setattr(avatar_training.AvatarDataset, "open", lambda *args, **kwargs: None)
    with pytest.raises(Enough, match="cpu"):
        avatar_training.train_avatar("data", "out.safetensors", device=CARD)


def test_a_card_that_draws_keeps_what_it_has(monkeypatch):
    monkeypatch.setattr(cuda_gsplat, "why_not", lambda device: None)
    places = [rasterizer.drawing_device(CARD, backend) for backend in ("auto", "cuda_gsplat", "reference", "cpu")]
    assert places == [CARD, CARD, CARD, torch.device("cpu")]


@pytest.fixture
def card_to_be_tried(monkeypatch):
    """A card with gsplat, which does not work there; the list is of what happened."""
    happened, known = [], {}
    monkeypatch.setattr(cuda_gsplat, "verdicts", lambda: known)
    monkeypatch.setattr(cuda_gsplat.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_gsplat, "find_spec", lambda name: True)
    monkeypatch.setattr(cuda_gsplat, "_render_and_compare", lambda device: happened.append("tried") or "it does not work")
    return happened


def test_compiling_gsplat_is_announced_before_it_begins(card_to_be_tried, tiny_avatar, tmp_path, monkeypatch):
    def report(done, total, info, preview):
        card_to_be_tried.append((done, total, info["phase"]))

    motion = tiny_avatar.drive(encode_speech(Sound(np.zeros((1, 6400), np.float32), 16000)))
    next(on_card(tiny_avatar).render(motion, 2, 4, report=report))
    assert card_to_be_tried[:2] == [(0, 2, "compile"), "tried"]
    cuda_gsplat.verdicts().clear(), card_to_be_tried.clear()
    streaming.render_video(on_card(tiny_avatar), motion, tmp_path / "film.mp4", report=report)
    assert card_to_be_tried[:2] == [(0, len(motion), "compile"), "tried"]
    cuda_gsplat.verdicts().clear(), card_to_be_tried.clear()

    def opened(*args):
        raise StopIteration

    monkeypatch.setattr(avatar_training, "open_clip", opened)
    monkeypatch.setattr(avatar_training.AvatarDataset, "open", lambda *args, **kwargs: None)
    with pytest.raises(StopIteration):
        avatar_training.train_avatar("data", tmp_path / "out.safetensors", device=CARD, report=report)
    assert card_to_be_tried == [(0, CONFIG.steps, "compile"), "tried"]
