"""Settings of a training: JSON and back, the published numbers, and what is refused."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core.atom.config import DenoiserConfig
from talking_heads.moditalker_core.atom.train_config import TrainConfig, preset, presets


@pytest.mark.parametrize("name", ["demo", "standard", "published"])
def test_presets_survive_json(name):
    config = replace(preset(name), optimizer="adan", betas=(0.1, 0.2, 0.3))
    assert config.preset == name and TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert preset(name) == presets()[name]


def test_published_has_the_published_numbers():
    c = preset("published")
    assert c.denoiser == DenoiserConfig() and (c.encoder, c.layer, c.stack) == ("hubert-large-ls960-ft", "last", 1)
    assert (c.optimizer, c.lr, c.weight_decay, c.schedule, c.warm_up) == ("adan", 4e-4, 0.02, "constant", 0)
    assert (c.batch, c.cond_drop, c.ema, c.ema_warm_up, c.precision) == (64, 0.25, 0.9999, False, "fp32")
    assert (c.clip, c.guidance, c.sampler, c.sampler_steps, c.eta, c.reference) == (1.0, 2.0, "ddim", 50, 1.0, "first")
    assert c.gradient_clip is None and c.attention_dropout is None and c.mirror == c.voice == 0


def test_what_does_not_change_the_weights_is_no_part_of_a_run_s_identity():
    c = preset("demo")
    assert replace(c, save_every=7, accumulation=2, guidance=3.0, sampler="unipc").identity() == c.identity()
    assert replace(c, lr=2e-3).identity() != c.identity() and replace(c, steps=7).identity() != c.identity()


@pytest.mark.parametrize("changes, words", [
    ({"steps": 0}, "whole numbers"), ({"batch": 2.5}, "whole numbers"), ({"warm_up": -1}, "whole numbers"),
    ({"optimizer": "sgd"}, "adan, adamw"), ({"precision": "fp16"}, "fp32, bf16"), ({"reference": "last"}, "first, any"),
    ({"schedule": "linear"}, "constant, cosine"), ({"cond_drop": 1.5}, "0..1"), ({"lr": 0}, "lr"), ({"gradient_clip": 0}, "clip"),
    ({"lr": float("nan")}, "lr"), ({"betas": (0.9,)}, "2 numbers"), ({"optimizer": "adan", "betas": (0.9, 0.99)}, "3 numbers"),
    ({"attention_dropout": 1.0}, "attention_dropout"), ({"sampler": "euler"}, "Sampling needs"),
    ({"sampler_steps": 0}, "Sampling needs"), ({"eta": 2.0}, "Sampling needs"), ({"clip": 0.0}, "Sampling needs"),
    ({"guidance": float("nan")}, "Sampling needs"),
])
def test_values_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(TalkingHeadsError, match=words):
        replace(preset("demo"), **changes)


def test_unknown_names_are_refused():
    with pytest.raises(TalkingHeadsError, match="also speed"):
        TrainConfig.from_dict({"speed": 1})
    with pytest.raises(TalkingHeadsError, match="also width"):
        TrainConfig.from_dict({"denoiser": {"width": 1}})
    with pytest.raises(TalkingHeadsError, match="demo, standard, published"):
        preset("best")
