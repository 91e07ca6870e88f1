"""The last step of weights/face_landmarks.safetensors: whether there is a face, learnt once more on harder pictures.

    python -m talking_heads.weights.make_face_presence RENDERS

Only the one row of the face network that says so is fitted (logistic regression on what the points are read from), half of the
samples without a face: somewhere else, or covered by something plain, stained or picture-like. No point changes by a bit.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..media_core.face.landmarks import landmark_net as net
from ..media_core.files import load_tensors
from .landmark_samples import Renders, Sampler
from .make_face_landmarks import OUT, pictures

LENIENT = 1.5   # added to the answer (log odds): real people differ more than the invented ones, and a lost face costs more
PENALTY = 1e-3  # on the squared weights of standardised features


@torch.no_grad()
def seen(nets: net.LandmarkNets, sampler: Sampler, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features [N, hidden] and whether there is a face [N]."""
    rng, features, present = np.random.default_rng([seed, 5]), [], []
    while len(present) < samples:
        for view in sampler(rng):
            image = torch.from_numpy(np.ascontiguousarray(view["face"]))[None]
            features.append(nets.face.features(pictures(image))[0])
            present.append(float(view["present"]))
    return torch.stack(features), torch.tensor(present)


def fitted(features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [hidden] and bias [] of the logistic regression."""
    middle, spread = features.mean(0), features.std(0) + 1e-3
    x = (features - middle) / spread
    weight, bias = torch.zeros(x.shape[1], requires_grad=True), torch.zeros((), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(x @ weight + bias, present) + PENALTY * weight.square().sum()
        loss.backward()
        return loss
    optimiser.step(closure)
    weight = weight.detach() / spread
    return weight, bias.detach() - weight @ middle


def report(name: str, features: Tensor, present: Tensor, weight: Tensor, bias: Tensor) -> None:
    yes = features @ weight + bias > 0
    print(f"{name}: faces found {yes[present > .5].float().mean():.4f}, nothing taken for a face "
          f"{yes[present < .5].float().mean():.4f}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("renders", type=Path)
    parser.add_argument("--weights", type=Path, default=OUT, help="read and written")
    parser.add_argument("--samples", type=int, default=8000)
    parser.add_argument("--held-out", type=int, default=6, help="people, the last ones, that only measure")
    args = parser.parse_args(arguments)
    nets = net.load_nets(args.weights)
    _, config = load_tensors(args.weights, kind=net.KIND, version=net.VERSION)
    files = sorted(f.name for f in args.renders.glob("*.npz") if "tmp" not in f.name)
    template = nets.template.double().numpy()
    learn, judge = (Sampler(Renders(args.renders, names), template, absent=.5)
                    for names in (files[:-args.held_out], files[-args.held_out:]))
    features, present = seen(nets, learn, args.samples, 0)
    others, truth = seen(nets, judge, max(2, args.samples // 8), 1)
    last = nets.face.head.out_features - 1
    report("before, held out", others, truth, nets.face.head.weight[last], nets.face.head.bias[last])
    weight, bias = fitted(features, present)
    bias = bias + LENIENT
    nets.face.head.weight[last], nets.face.head.bias[last] = weight, bias
    report("after, learnt", features, present, weight, bias)
    report("after, held out", others, truth, weight, bias)
    net.save_nets(nets, args.weights, config | {"presence": "weights/make_face_presence.py", "presence_samples": args.samples})


if __name__ == "__main__":
    main()
