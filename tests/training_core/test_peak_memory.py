"""The memory of a training is known before it starts: counted on shapes alone, as an allocator would count it."""
from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from motion_data import TINY
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core.atom import memory as atom_memory
from talking_heads.moditalker_core.atom.train_config import presets as atom_presets
from talking_heads.moditalker_core.mtov import memory
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.train_config import STAGES, presets
from talking_heads.training_core import memory_plan
from talking_heads.training_core.checkpointing import layered
from talking_heads.training_core.memory import GB, free_memory
from talking_heads.training_core.memory_plan import LIMIT, planned
from talking_heads.training_core.peak_memory import META, on_meta, peak_of
from torch.utils._python_dispatch import TorchDispatchMode
from video_data import DIFFUSION, GAN, LANDMARKS, RGB

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_what_is_kept_and_what_is_dropped_is_counted():
    weight, x = torch.empty(1000, 1000, device=META, requires_grad=True), torch.empty(100, 1000, device=META)
    assert peak_of(lambda: (x @ weight).relu().sum().backward(), [weight, x]) == pytest.approx(4 * (1e5 + 1e6), rel=0.01)

    def chain() -> None:
        y = x
        for _ in range(9):
            y = y + 1  # each is dropped when the next is there

    assert peak_of(chain, [x]) == 2 * 4e5
    assert peak_of(lambda: x[:50].view(-1) * 1, [x]) == 2e5, "a view takes nothing"


def test_fused_attention_keeps_no_scores():
    q = torch.empty(1, 2, 512, 16, device=META, requires_grad=True)
    run = lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q).sum().backward()
    assert peak_of(run, [q]) < 2 * 512 * 512 * 4


def test_autocast_halves_what_products_keep():
    layers = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(8)))
    on_meta(layers)
    run = lambda: layers(torch.empty(4096, 64, device=META)).float().sum().backward()
    whole, half = (peak_of(run, layers.parameters(), low) for low in (None, torch.bfloat16))
    assert 0.4 < half / whole < 0.75


class Live(TorchDispatchMode):
    """The most bytes alive in a run with real numbers, found another way: whatever is reachable after each operation."""

    def __init__(self) -> None:
        super().__init__()
        self.most, self.known = 0, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        import weakref

        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(one, torch.Tensor):
                storage = one.untyped_storage()
                self.known.setdefault(storage.data_ptr(), (weakref.ref(storage), storage.nbytes()))
        self.known = {key: value for key, value in self.known.items() if value[0]() is not None}
        self.most = max(self.most, sum(size for _, size in self.known.values()))
        return made


@pytest.mark.parametrize("checkpointing", [False, True])
def test_shapes_alone_tell_what_real_numbers_take(checkpointing):
    def step(network: torch.nn.Module, device: torch.device) -> None:
        sizes = RGB.autoencoder
        made, _ = network(torch.zeros(2, 3, sizes.frames, sizes.height, sizes.width, device=device))
        made.abs().mean().backward()

    network = VideoAutoencoder(RGB.autoencoder)
    for part in network.checkpointed:
        part.checkpointing = checkpointing
    with Live() as live:
        step(network, CPU)
    on_meta(network)
    for parameter in network.parameters():
        parameter.grad = None
    there = [*network.parameters(), *network.buffers()]
    assert peak_of(lambda: step(network, META), there) == pytest.approx(live.most, rel=0.15)


def test_layers_computed_again_are_the_same_to_the_bit():
    layer, x = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU()), torch.randn(3, 8)
    grads = []
    for checkpointing in (False, True):
        layer.zero_grad()
        layered(layer, x, checkpointing=checkpointing).square().sum().backward()
        grads.append([parameter.grad.clone() for parameter in layer.parameters() if parameter.grad is not None])
    assert len(grads[0]) == 2 and all(map(torch.equal, *grads))
    with torch.no_grad():
        assert not layered(layer, x, checkpointing=True).requires_grad


# plans --------------------------------------------------------------------------------------------------------------------------

def plan(limit: float | None = None, **changes):
    """Of a training that takes 10 GB a window, a fifth of it with checkpointing."""
    given = {"windows": 8, "memory_gb": limit, "device": CPU} | changes
    return planned(lambda windows, way: GB * windows * (2 if way else 10), **given)


def test_the_cheapest_plan_that_fits_is_taken(monkeypatch):
    monkeypatch.setattr(memory_plan, "free_memory", lambda device: None)
    assert (plan().accumulation, plan().checkpointing, plan().limit) == (4, False, LIMIT)
    assert (plan(100).accumulation, plan(100).checkpointing) == (1, False)
    assert (plan(5).accumulation, plan(5).checkpointing) == (4, True)
    assert (plan(22, first="checkpointing").accumulation, plan(22, first="checkpointing").checkpointing) == (1, True)
    assert plan(22, least=8).accumulation == 8, "not less than asked for"
    assert (plan(4, checkpointing="on").accumulation, plan(100, checkpointing="on").checkpointing) == (4, True)
    assert plan(10, able=False).accumulation == 8


def test_what_is_free_bounds_the_plan(monkeypatch):
    monkeypatch.setattr(memory_plan, "free_memory", lambda device: 12 * GB)
    assert plan().accumulation == 8 and plan().limit == pytest.approx(11.4 * GB)
    assert plan(30).accumulation == 4, "a limit that was asked for counts alone"
    monkeypatch.setattr(memory_plan, "free_memory", lambda device: GB // 2)
    assert (plan().accumulation, plan().checkpointing) == (8, True), "the smallest, with a warning"


@pytest.mark.parametrize("changes, words", [
    ({"limit": 1.5}, "must fit into the 1.5 GB.*2.0 GB at most"), ({"limit": 9, "checkpointing": "off"}, "must fit"),
    ({"limit": 0}, "above 0 GB"), ({"limit": float("nan")}, "above 0 GB"), ({"checkpointing": "maybe"}, "auto, on, off")])
def test_what_cannot_be_planned(changes, words):
    with pytest.raises(TalkingHeadsError, match=words):
        plan(**changes)


def test_free_memory_is_told():
    assert free_memory(CPU) is None or free_memory(CPU) > 2 ** 20
    assert free_memory(META) is None and "torch" in sys.modules


# presets ------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stage, config", [("rgb", RGB), ("gan", GAN), ("landmarks", LANDMARKS), ("diffusion", DIFFUSION)])
def test_every_stage_grows_with_its_windows(stage, config):
    config = replace(config, optimizer="adamw")
    sizes = [memory.needed(config, windows, False, CPU) for windows in (400, 401, 408)]
    assert sizes[0] < sizes[1] < sizes[2] and sizes[2] - sizes[1] == pytest.approx(7 * (sizes[1] - sizes[0]), rel=1e-5)
    sizes = [memory.needed(config, windows, False, CPU) for windows in (1, 2)]
    assert memory.needed(config, 1, False, CPU, lpips=True) >= sizes[0] < memory.needed(config, 1, False, CPU, processes=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo", "standard", "published"])
@pytest.mark.parametrize("stage", STAGES)
def test_every_preset_stays_within_22_gb(name, stage, monkeypatch):
    monkeypatch.setattr(memory_plan, "free_memory", lambda device: None)
    config = presets()[name][stage]
    found = planned(lambda windows, way: memory.needed(config, windows, way, CUDA), config.batch, least=config.accumulation,
                    device=CUDA, first="checkpointing" if stage == "gan" else "pieces")
    assert found.needed <= LIMIT
    if (name, stage) == ("standard", "rgb"):
        assert memory.needed(config, config.batch, False, CUDA) > 30 * GB, "as it stood before"


@pytest.mark.parametrize("name", ["demo", "standard", "published"])
def test_every_atom_stays_within_22_gb(name, monkeypatch):
    monkeypatch.setattr(memory_plan, "free_memory", lambda device: None)
    config = atom_presets()[name]
    found = planned(lambda windows, way: atom_memory.needed(config, windows, CUDA), config.batch, device=CUDA, able=False)
    assert found.needed <= LIMIT and found.accumulation == (2 if name == "published" else 1)


def test_an_atom_with_dropout_keeps_its_scores():
    plain, fused = (atom_memory.needed(replace(TINY, attention_dropout=share), 64, CPU) for share in (None, 0.0))
    assert plain > fused
