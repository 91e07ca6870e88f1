"""The commands that made weights/face_landmarks.safetensors:

    python -m talking_heads.weights.landmark_renders RENDERS --people 96 --frames 110
    python -m talking_heads.weights.make_face_landmarks RENDERS

Trains the three networks of media_core/face/landmarks/landmark_net.py on renders of
invented people only (identity numbers from 1000 on). A run that was stopped goes on from its state file.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..media_core.face.geometry import MIRROR, fit_similarity
from ..media_core.face.landmarks import landmark_net as net
from .landmark_samples import Batches, Renders, Sampler, collated

LIPS, LIDS = ((13, 19), (14, 18), (15, 17)), ((1, 5), (2, 4))  # facing points of the mouth's 20 and the eye's 6
OUT = Path(__file__).with_name("face_landmarks.safetensors")


def template_of(points: np.ndarray) -> np.ndarray:  # [N, 68, 2] -> [68, 2]
    """The mean face, mirrored onto itself, eyes at the origin, in distances of the outer eye corners."""
    mean = points.mean(0)
    for _ in range(4):
        mean = np.mean([fit_similarity(p, mean)(p) for p in points], 0)
    middle, along = (mean[36] + mean[45]) / 2, mean[45] - mean[36]
    unit, angle = np.linalg.norm(along), np.arctan2(along[1], along[0])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    mean = (mean - middle) @ turn.T / unit
    return (mean + (mean * [-1, 1])[MIRROR]) / 2


def losses(nets: net.LandmarkNets, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Smooth L1 in crop px over samples with a face, the gaps of lips and lids once more, and whether there is a face."""
    present = batch["present"]
    face, seen = nets.face(pictures(batch["face"]))
    mouth, _ = nets.mouth(pictures(batch["mouth"]))
    eye, _ = nets.eye(pictures(batch["eye"].flatten(0, 1)))
    there, both = present, present.repeat_interleave(2)
    eye_points = batch["eye_points"].flatten(0, 1)
    return {"face": distance(face, batch["face_points"], there, net.FACE_SIZE),
            "mouth": distance(mouth, batch["mouth_points"], there, net.MOUTH_SIZE),
            "eye": distance(eye, eye_points, both, net.EYE_SIZE),
            "lips": distance(gaps(mouth, LIPS), gaps(batch["mouth_points"], LIPS), there, net.MOUTH_SIZE),
            "lids": distance(gaps(eye, LIDS), gaps(eye_points, LIDS), both, net.EYE_SIZE),
            "presence": F.binary_cross_entropy_with_logits(seen[:, 0], present)}


def pictures(images: Tensor) -> Tensor:  # uint8 [B, S, S, 3] -> float32 [B, 3, S, S] 0..1
    return images.permute(0, 3, 1, 2).float() / 255


def gaps(points: Tensor, pairs) -> Tensor:  # [B, N, 2] -> [B, pairs, 2]
    return torch.stack([points[:, b] - points[:, a] for a, b in pairs], 1)


def distance(made: Tensor, wanted: Tensor, counts: Tensor, size: int) -> Tensor:
    error = F.smooth_l1_loss(made * size, wanted * size, beta=1.0, reduction="none").mean((1, 2))
    return (error * counts).sum() / counts.sum().clamp(min=1)


@torch.no_grad()
def measured(nets: net.LandmarkNets, batch: dict[str, Tensor]) -> str:
    """NME of the first stage, errors of the others in the same unit, presence accuracy."""
    nets.eval()
    there = batch["present"] > .5
    face, seen = nets.face(pictures(batch["face"]))
    unit = (batch["face_points"][:, 36] - batch["face_points"][:, 45]).norm(dim=-1)[there]
    nme = ((face - batch["face_points"]).norm(dim=-1)[there] / unit[:, None])
    mouth = (nets.mouth(pictures(batch["mouth"]))[0] - batch["mouth_points"]).norm(dim=-1)[there].mean() * net.MOUTH_SIDE
    eye = (nets.eye(pictures(batch["eye"].flatten(0, 1)))[0] - batch["eye_points"].flatten(0, 1)).norm(dim=-1)
    eye = eye[there.repeat_interleave(2)].mean() * net.EYE_SIDE
    right = ((seen[:, 0] > 0) == there).float().mean()
    return (f"NME {nme.mean():.4f} (its mouth {nme[:, 48:].mean():.4f}, eyes {nme[:, 36:48].mean():.4f}); second stage: "
            f"mouth {mouth:.4f}, eyes {eye:.4f}; presence {right:.3f}")


def averaged_into(slow: net.LandmarkNets, fast: net.LandmarkNets, decay: float) -> None:
    """Exponential moving average of weights; statistics too."""
    for a, b in zip(slow.state_dict().values(), fast.state_dict().values()):
        a.lerp_(b, 1 - decay) if a.is_floating_point() else a.copy_(b)


def rate_at(step: int, steps: int, peak: float) -> float:
    """Learning rate: up to `peak` over the first fifth, down to nothing at the end, both as half a cosine."""
    done = step / steps
    share = done / .2 if done < .2 else 1 - (done - .2) / .8
    return float(peak * (.02 + .98 * (1 - np.cos(np.pi * share)) / 2))


def begun(template: np.ndarray) -> tuple[net.LandmarkNets, net.LandmarkNets]:  # [68, 2]
    """Networks that give the mean face whatever they see: to be trained, and their slow average."""
    fast, slow = net.LandmarkNets(), net.LandmarkNets()
    fast.template.copy_(torch.from_numpy(template))
    slow.load_state_dict(fast.state_dict())
    with torch.no_grad():
        crop = net.face_crop(template, template)
        fast.face.head.bias[:136] = torch.from_numpy(crop(template) / net.FACE_SIZE).float().flatten()
        for part in (fast.mouth, fast.eye):
            part.head.bias.fill_(.5)
        for part in (fast.face, fast.mouth, fast.eye):
            part.head.weight.mul_(.1)
    return fast, slow


def train(args: argparse.Namespace) -> None:
    import cv2

    cv2.setNumThreads(0)  # its threads do not survive the workers' fork
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    files = sorted(f.name for f in args.renders.glob("*.npz") if "tmp" not in f.name)
    train_set, held = Renders(args.renders, files[:-args.held_out]), Renders(args.renders, files[-args.held_out:])
    template = template_of(train_set.points[::7].astype(np.float64))
    rng = np.random.default_rng(1)
    judge = Sampler(held, template)
    test = collated([judge(rng, i, 1)[0] for i in range(0, len(held), max(1, len(held) // 400))])
    fast, slow = begun(template)
    optimiser = torch.optim.AdamW(fast.parameters(), args.rate, weight_decay=1e-3)
    state, begin = args.renders / "state.pt", 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        begin = kept["step"]
        for thing, name in ((fast, "fast"), (slow, "slow"), (optimiser, "optimiser")):
            thing.load_state_dict(kept[name])
    loader = iter(torch.utils.data.DataLoader(Batches(Sampler(train_set, template), args.batch, begin), batch_size=None,
                                              num_workers=args.workers,
                                              prefetch_factor=6 if args.workers else None))
    shown, clock = {}, time.time()
    for step in range(begin, args.steps):
        fast.train()
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, args.steps, args.rate)
        terms = losses(fast, next(loader))
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
        averaged_into(slow, fast, min(.999, (step + 1) / (step + 10)))
        shown = {k: .98 * shown.get(k, v.item()) + .02 * v.item() for k, v in terms.items()}
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            words = ", ".join(f"{k} {v:.3f}" for k, v in shown.items())
            passed = time.time() - clock
            print(f"{step + 1} of {args.steps}, {passed:.0f} s: {words}; held out: {measured(slow, test)}", flush=True)
            net.save_nets(slow, args.out, {"steps": step + 1, "of": args.steps, "people": len(files) - args.held_out,
                                           "made_by": "weights/make_face_landmarks.py", "data": "synthetic renders only"})
            torch.save({"step": step + 1, "fast": fast.state_dict(), "slow": slow.state_dict(),
                        "optimiser": optimiser.state_dict()}, state)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("renders", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--held-out", type=int, default=6, help="people, the last ones, that only measure")
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    train(parser.parse_args(arguments))


if __name__ == "__main__":
    main()
