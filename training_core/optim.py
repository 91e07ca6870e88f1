"""How weights move: Adan as AToM's published recipe runs it, AdamW, learning rates, averaged weights, number formats.

Adan: Xie et al. 2022 (arXiv 2208.06677) in the form of docs/moditalker.md#adan. timm and pytorch_optimizer have an
Adan too, but it moves the weights by the first gradient, where the published rule only lets them decay: at the fixture both are
off by as much as a whole step (with either sense of the betas), so it is written here.
"""
# torch has _foreach_*, which its own optimizers and those of others use; its stubs forget to export them:
# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..media_core.errors import TalkingHeadsError

ADAN_BETAS = (0.02, 0.08, 0.01)  # shares of the new: of the gradient, of its change, of their square
USUAL_BETAS = {"adan": ADAN_BETAS, "adamw": (0.9, 0.999)}
EPS = 1e-8
FLOOR = 0.01  # fraction of the learning rate at which a cosine ends
NUMBERS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Adan(torch.optim.Optimizer):
    """Adan, as published with AToM.

    The first step of a parameter changes no moment; from the second on, with g' the gradient before,
    m += b1 (g - m), v += b2 (g - g' - v), n += b3 ((g + (1 - b2)(g - g'))^2 - n), each divided by 1 - (1 - b)^k at step k.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        betas: b1, b2, b3.
        eps: added to the root of n.
        weight_decay: the weights are divided by 1 + lr * weight_decay in every step.
    """

    entries = ("step", "before", "m", "v", "n")  # what is kept for a parameter

    def __init__(self, params: Iterable, lr: float = 4e-4, betas: Sequence[float] = ADAN_BETAS, eps: float = EPS,
                 weight_decay: float = 0.02):
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step of every parameter that has a gradient."""  # torch's stub has two overloads; its own optimizers have one
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            fresh = [p for p in group["params"] if p.grad is not None and not self.state[p]]
            moving = [p for p in group["params"] if p.grad is not None and self.state[p]]
            if moving:
                self._move(moving, group)
            for p in fresh:
                self.state[p] = {"step": torch.ones(()), "before": p.grad.clone(), "m": torch.zeros_like(p),
                                 "v": torch.zeros_like(p), "n": torch.zeros_like(p)}
            if fresh:
                torch._foreach_div_(fresh, 1 + group["lr"] * group["weight_decay"])
        return loss

    def _move(self, params: list[Tensor], group: dict) -> None:
        b1, b2, b3 = group["betas"]
        states = [self.state[p] for p in params]
        steps, before, m, v, n = ([s[key] for s in states] for key in self.entries)
        torch._foreach_add_(steps, 1)
        grads = [p.grad for p in params if p.grad is not None]  # all have one
        change = torch._foreach_sub(grads, before)
        ahead = torch._foreach_add(grads, change, alpha=1 - b2)
        torch._foreach_mul_(ahead, ahead)
        for moment, share, new in ((m, b1, grads), (v, b2, change), (n, b3, ahead)):
            torch._foreach_mul_(moment, 1 - share)
            torch._foreach_add_(moment, new, alpha=share)
        torch._foreach_copy_(before, grads)
        c1, c2, c3 = ([1 / (1 - (1 - b) ** float(k)) for k in steps] for b in (b1, b2, b3))
        move = torch._foreach_mul(m, c1)
        torch._foreach_add_(move, torch._foreach_mul(v, [(1 - b2) * c for c in c2]))
        below = torch._foreach_mul(n, c3)
        torch._foreach_sqrt_(below)
        torch._foreach_add_(below, group["eps"])
        torch._foreach_addcdiv_(params, move, below, value=-group["lr"])
        torch._foreach_div_(params, 1 + group["lr"] * group["weight_decay"])


def make_optimizer(name: str, params: Iterable[nn.Parameter], lr: float, weight_decay: float,
                   betas: Sequence[float] | None = None) -> torch.optim.Optimizer:
    """"adan" or "adamw"; betas None takes the usual ones.

    Raises:
        TalkingHeadsError: another name.
    """
    if name == "adan":
        return Adan(params, lr, betas or USUAL_BETAS[name], EPS, weight_decay)
    if name == "adamw":
        first, second = betas or USUAL_BETAS[name]
        return torch.optim.AdamW(params, lr, (first, second), EPS, weight_decay, fused=True)
    raise TalkingHeadsError("The optimizer must be 'adan' or 'adamw'", f"'{name}'", "Choose one of those")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Computing in `precision`, one of NUMBERS; weights and their moments stay float32."""
    if device.type == "meta":  # knows no autocast: `peak_memory` imitates it
        return nullcontext()
    return torch.autocast(device.type, NUMBERS[precision], enabled=precision != "fp32")


def lr_factor(step: int, steps: int, warm_up: int, schedule: str, floor: float = FLOOR) -> float:
    """What the learning rate is multiplied by in `step` (0 is the first): a linear warm-up, then constant or half a cosine to
    `floor`.

    A function of the step, not torch's LambdaLR: the rates are the same to the bit (tests), but LambdaLR counts its own steps,
    which would have to be saved, and warns where two optimizers take turns or fp16 skips a step.
    """
    if step < warm_up:
        return (step + 1) / warm_up
    if schedule == "constant":
        return 1.0
    done = (step - warm_up) / max(steps - warm_up, 1)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class Ema:
    """Averaged weights beside a network's own; the average is torch's (swa_utils), the warm-up ours: torch has none.

    Args:
        params: name -> parameter of the network; the average begins at them.
        beta: fraction of the old in every step; the published 0.9999.
        warm_up: at step n the fraction is at most (1 + n) / (10 + n), so that the first weights are soon forgotten.
    """

    def __init__(self, params: Mapping[str, Tensor], beta: float, warm_up: bool):
        self.beta, self.warm_up = beta, warm_up
        self.average = {name: p.detach().clone() for name, p in params.items()}

    def update(self, params: Mapping[str, Tensor], step: int) -> None:
        """Takes in the weights after `step` (1 is the first)."""
        beta = min(self.beta, (1 + step) / (10 + step)) if self.warm_up else self.beta
        get_ema_multi_avg_fn(beta)(list(self.average.values()), [params[name] for name in self.average], step)
