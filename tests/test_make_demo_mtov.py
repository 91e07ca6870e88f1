"""The command that lets the demo MToV learn more people: what latents mean stays, drawing and denoising learn."""
from __future__ import annotations

from argparse import Namespace

import torch
from mtov_files import SIZE, save_tiny_mtov
from talking_heads.moditalker_core.mtov.checkpoints import DECODING, load_mtov
from video_data import make_video_dataset


def test_an_mtov_learns_more_people(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "weights"))
    import make_demo_mtov

    start = save_tiny_mtov(tmp_path / "start.safetensors", prediction="sample")
    data, out = make_video_dataset(tmp_path / "data"), tmp_path / "more.safetensors"
    args = Namespace(work=tmp_path / "work", start_from=start, out=out, preset="demo", steps=0.0005, seed=0, device="cpu",
                     mixed=1.0)
    args.work.mkdir()
    make_demo_mtov.continued(args, data)
    before, after = load_mtov(start), load_mtov(out)
    assert after.config.size == SIZE and after.config.training["begun with"] == before.config.training
    for name, value in before.rgb.state_dict().items():
        drawn = name.startswith(DECODING)
        assert drawn or torch.equal(value.half(), after.rgb.state_dict()[name].half()), name
    moved = [not torch.equal(value.half(), after.denoiser.state_dict()[name].half())
             for name, value in before.denoiser.state_dict().items()]
    assert any(moved)
    half = make_demo_mtov.mixed(before, load_mtov(out), 0.25, tmp_path / "mixed.safetensors")
    for name, value in half.denoiser.state_dict().items():
        old, new = (one.denoiser.state_dict()[name].half().float() for one in (before, after))
        torch.testing.assert_close(value, 0.75 * old + 0.25 * new, atol=2e-3, rtol=2e-3)
