"""Losses of MToV's autoencoders (docs/moditalker.md#losses): values by hand, the discriminators' shapes, LPIPS with a VGG16."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from talking_heads.media_core.metrics.lpips import VGG, load_lpips
from talking_heads.moditalker_core.mtov import losses
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig
from talking_heads.moditalker_core.mtov.discriminators import Discriminators, PatchDiscriminator
from talking_heads.moditalker_core.mtov.objectives import Reconstruction
from talking_heads.moditalker_core.mtov.train_config import TrainConfig, preset, presets
from talking_heads.training_core.process_group import SingleProcess
from video_data import NET, RGB


def clip(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_pixels_are_weighed_and_edges_do_not_mind_a_constant():
    truth = clip(2, 3, 4, 16, 16)
    mouth = torch.ones(2, 1, 4, 16, 16)
    mouth[..., 8:, :] = 5
    off = torch.zeros_like(truth)
    off[..., 8:, :] = 0.1
    assert float(losses.l1(truth + off, truth)) == pytest.approx(0.05, rel=1e-4)
    assert float(losses.l1(truth + off, truth, mouth)) == pytest.approx(0.25, rel=1e-4)
    assert float(losses.edges(truth + 0.3, truth)) == pytest.approx(0, abs=1e-6)
    assert float(losses.edges(truth + off, truth)) == pytest.approx(0.1 / 15, rel=1e-3), "one of 15 steps downwards"
    assert float(losses.edges(truth + off, truth, mouth)) == pytest.approx(0.5 / 15, rel=1e-3), "as the pixel below it counts"
    assert float(losses.coarse(truth + off, truth)) == pytest.approx(0.05, rel=1e-4)
    stripes = torch.zeros_like(truth)
    stripes[..., ::2], stripes[..., 1::2] = 0.2, -0.2
    assert float(losses.coarse(truth + stripes, truth)) == pytest.approx(0, abs=1e-6), "colour alone"


def test_one_frame_of_every_clip():
    clips = clip(3, 3, 4, 8, 8)
    frames = losses.frames_at(clips, torch.tensor([2, 0, 3]))
    assert torch.equal(frames, torch.stack([clips[0, :, 2], clips[1, :, 0], clips[2, :, 3]]))


def test_what_judges_say_by_hand():
    real = [[torch.zeros(2), torch.tensor([2.0, 0.5])], [torch.ones(1), torch.tensor([-1.0])]]
    made = [[torch.ones(2), torch.tensor([-2.0, 0.0])], [torch.zeros(1), torch.tensor([3.0])]]
    # real: relu(1 - 2), relu(1 - .5) -> .25 | relu(1 + 1) -> 2; made: relu(1 - 2), relu(1) -> .5 | relu(1 + 3) -> 4
    assert float(losses.hinge(made, real)) == pytest.approx(0.5 * (0.25 + 0.5) + 0.5 * (2 + 4))
    verdict, matched = losses.generator_terms(made, real)
    assert float(verdict) == pytest.approx(1 - 3) and float(matched) == pytest.approx(1 + 1)


def test_discriminators_have_the_published_stages():
    frame, video = PatchDiscriminator(64, 2), PatchDiscriminator(8, 3)
    assert [stage[0].out_channels for stage in frame.stages] == [64, 128, 256, 512, 1]
    assert [len(stage) for stage in frame.stages] == [2, 3, 3, 3, 1], "norms on the middle three"
    outputs = frame(clip(1, 3, 64, 64))
    assert [out.shape[-1] for out in outputs] == [33, 17, 9, 10, 11]
    assert video(clip(1, 3, 4, 32, 32))[-1].shape == (1, 1, 4, 7, 7)
    weight = frame.stages[3][0].weight.detach()
    assert float(weight.std()) == pytest.approx(0.02, rel=0.02)
    assert float(frame.stages[1][1].weight.detach().mean()) == pytest.approx(1, abs=0.02)
    frames, clips = ([clip(2, *shape, seed=i) for i in (0, 1)] for shape in ((3, 32, 32), (3, 4, 32, 32)))
    made, real = Discriminators(4)(frames, clips)
    assert len(made) == len(real) == 2 and len(made[0]) == 5


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    generator, state, given = torch.Generator().manual_seed(0), {}, 3
    for number, stage in enumerate(VGG):
        for layer, _, _ in stage:
            made = 4 + number
            state[f"features.{layer}.weight"] = torch.randn(made, given, 3, 3, generator=generator) / (9 * given) ** 0.5
            state[f"features.{layer}.bias"], given = torch.zeros(made), made
        state[f"lin{number}.model.1.weight"] = torch.rand(1, given, 1, 1, generator=generator)
    path = tmp_path_factory.mktemp("lpips") / "vgg.safetensors"
    save_file(state, path)
    return path


def test_lpips_reads_a_vgg(vgg):
    net = load_lpips(vgg)
    a, b = clip(2, 3, 64, 64) / 2 + 0.5, clip(2, 3, 64, 64, seed=1) / 2 + 0.5
    features = net.features(a)
    assert [tuple(f.shape[1:]) for f in features] == [(4, 64, 64), (5, 32, 32), (6, 16, 16), (7, 8, 8), (8, 4, 4)]
    assert float(net(a, a)) == 0 and float(net(a, b)) > float(net(a, 0.9 * a + 0.1 * b)) > 0


def test_lpips_stands_in_the_place_of_its_substitute(vgg):
    """One frame of each clip is looked at: a change in another one is not seen by LPIPS."""
    net, config = VideoAutoencoder(NET), replace(RGB, perceptual=4.0, l1=4.0, penalty=0.0)
    make = lambda lpips: Reconstruction(config, 0, torch.device("cpu"), SingleProcess(), net, None, lpips)
    truth, latents, frames = clip(1, 3, 4, 32, 32), torch.zeros(1, 4, 32), torch.tensor([2])
    found = truth.clone()
    found[:, :, 1] += 0.1 * clip(3, 32, 32, seed=3)
    total, near, look, _ = make(load_lpips(vgg)).terms(found, latents, truth, torch.ones(1, 1, 4, 32, 32), frames)
    assert float(look) == 0 and float(total) == pytest.approx(4 * float(near))
    found[:, :, 2] += 0.1 * clip(3, 32, 32, seed=4)
    seen = make(load_lpips(vgg)).terms(found, latents, truth, torch.ones(1, 1, 4, 32, 32), frames)[2]
    without = make(None).terms(found, latents, truth, torch.ones(1, 1, 4, 32, 32), frames)[2]
    expected = config.edges * losses.edges(found, truth) + config.coarse * losses.coarse(found, truth)
    assert float(seen) > 0 and float(without) == pytest.approx(float(expected))


def test_the_published_recipe_is_that_of_the_spec():
    stages = {stage: preset("published", stage) for stage in ("rgb", "gan", "landmarks", "diffusion")}
    for stage in ("rgb", "gan", "landmarks"):
        config = stages[stage]
        assert (config.lr, config.betas, config.weight_decay, config.precision) == (1e-4, (0.5, 0.9), 0.01, "fp16")
        assert (config.l1, config.perceptual, config.accumulation, config.schedule) == (4, 4, 3, "constant")
        assert config.autoencoder == AutoencoderConfig() and config.start == 1 and config.mouth == 1
    assert (stages["gan"].matching, stages["gan"].judges, stages["gan"].judges_clip) == (4, 64, 1.0)
    config = stages["diffusion"]
    assert (config.batch, config.lr, config.betas, config.ema, config.ema_every) == (10, 1e-4, (0.9, 0.999), 0.9999, 25)
    assert config.warm_up > 0 and (config.prediction, config.times, config.pull, config.still) == ("epsilon", (0, 1000), 0, 0)
    assert (config.sampler, config.calls, config.ratio, config.eta) == ("ddim", 25, 0.25, 1.0)
    for named in presets().values():
        for stage, config in named.items():
            assert config.stage == stage and TrainConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("changes, words", [
    ({"stage": "sound"}, "stage must be one of"), ({"steps": 0}, "above 0"), ({"precision": "int8"}, "precision"),
    ({"still": 1.5}, "0..1"), ({"lr": 0.0}, "above 0"), ({"mouth": 0.0}, "mouth"), ({"times": (10, 5)}, "times"),
    ({"betas": (0.9,)}, "betas"), ({"sampler": "euler"}, "ddim"), ({"calls": 300}, "300 steps"), ({"judges_clip": 0.0}, "norms")])
def test_settings_that_make_no_sense_say_so(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(RGB, **changes)
    with pytest.raises(ValueError, match="may hold only"):
        TrainConfig.from_dict({**RGB.to_dict(), "colours": 3})


def test_every_pieces_chance_is_its_own():
    objective = Reconstruction(RGB, 3, torch.device("cpu"), SingleProcess(), VideoAutoencoder(NET), None)
    drawn = [objective.random(step, index).random() for step in (0, 1) for index in (0, 1)]
    assert len(set(drawn)) == 4 and drawn[0] == np.random.default_rng([3, 1 << 34, 0, 0]).random()
