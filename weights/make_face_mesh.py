"""The command that made weights/face_mesh.safetensors from MediaPipe's own model files, numbers untouched:

    pip download mediapipe==0.10.21 --no-deps --only-binary=:all: --python-version 3.11
    python -m talking_heads.weights.make_face_mesh mediapipe-0.10.21-*.whl

Reads the TFLite files inside the wheel with a reader of its own (a page of flatbuffers); TensorFlow and MediaPipe are not needed.
"""
from __future__ import annotations

import argparse
import hashlib
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..media_core.face.mesh.attention import AttentionMesh
from ..media_core.face.mesh.blazeface import BlazeFace
from ..media_core.face.mesh.nets import SHIPPED, MeshNets, save_mesh_nets
from ..media_core.face.mesh.person_net import PersonNet

VERSION = "0.10.21"
MODELS = {  # network -> (file below mediapipe/modules, sha256)
    "detector": ("face_detection/face_detection_short_range.tflite",
                 "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"),
    "mesh": ("face_landmark/face_landmark_with_attention.tflite",
             "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4"),
    "person": ("selfie_segmentation/selfie_segmentation.tflite",
               "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c"),
    "person_wide": ("selfie_segmentation/selfie_segmentation_landscape.tflite",
                    "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd")}
LICENCE = ("Apache-2.0, (c) The MediaPipe Authors: converted from TFLite to safetensors, renamed, numbers unchanged; "
           "see LICENSE-mediapipe.txt and NOTICE-mediapipe.txt")
_KINDS = {0: np.float32, 1: np.float16}  # of TensorType in the TFLite schema


class Table:
    """A flatbuffers table: fields by their number in the schema (github.com/tensorflow/tensorflow, schema_v3)."""

    def __init__(self, data: bytes, at: int):
        self.data, self.at = data, at
        self.fields = at - struct.unpack_from("<i", data, at)[0]

    def where(self, field: int) -> int | None:
        """The place of a field's value, None when it is left at its default."""
        entry = 4 + 2 * field
        if entry >= struct.unpack_from("<H", self.data, self.fields)[0]:
            return None
        offset = struct.unpack_from("<H", self.data, self.fields + entry)[0]
        return self.at + offset if offset else None

    def number(self, field: int, kind: str) -> int:
        place = self.where(field)
        return 0 if place is None else struct.unpack_from(f"<{kind}", self.data, place)[0]

    def vector(self, field: int) -> tuple[int, int]:
        """(place of the first element, how many)."""
        place = self.where(field)
        if place is None:
            return 0, 0
        start = place + struct.unpack_from("<I", self.data, place)[0]
        return start + 4, struct.unpack_from("<I", self.data, start)[0]

    def tables(self, field: int) -> list[Table]:
        start, count = self.vector(field)
        places = [start + 4 * i for i in range(count)]
        return [Table(self.data, place + struct.unpack_from("<I", self.data, place)[0]) for place in places]

    def bytes_of(self, field: int) -> bytes:
        start, count = self.vector(field)
        return self.data[start:start + count]

    def integers(self, field: int) -> tuple[int, ...]:
        start, count = self.vector(field)
        return struct.unpack_from(f"<{count}i", self.data, start)


def constants(data: bytes) -> dict[str, Tensor]:
    """Every constant of floating-point numbers in a TFLite file, by name, as float32."""
    model = Table(data, struct.unpack_from("<I", data, 0)[0])
    buffers, (graph,) = model.tables(4), model.tables(2)
    out = {}
    for tensor in graph.tables(0):
        kind, content = tensor.number(1, "b"), buffers[tensor.number(2, "I")].bytes_of(0)
        if content and kind in _KINDS:
            numbers = np.frombuffer(content, _KINDS[kind]).reshape(tensor.integers(0)).astype(np.float32)
            out[tensor.bytes_of(3).decode()] = torch.from_numpy(numbers)
    return out


def numbered(weights: Mapping[str, Tensor], stem: str) -> Iterator[str]:
    """The layers called stem, stem_1, stem_2 ... in that order."""
    found = {int(match[1] or 0): match[0].rstrip("/") for match in (re.match(rf"{stem}(?:_(\d+))?/", name) for name in weights)
             if match}
    return iter([found[number] for number in sorted(found)])


@torch.no_grad()
def fill(net: nn.Module, weights: Mapping[str, Tensor], heads: Mapping[nn.Module, str]) -> None:
    """Layers in order of definition take the file's in order of number; `heads` have names of their own.

    Raises:
        ValueError: constants are left over.
    """
    deep, plain, slopes = (numbered(weights, stem) for stem in ("depthwise_conv2d", "conv2d", "p_re_lu"))
    for module in net.modules():
        if isinstance(module, nn.PReLU):
            module.weight.copy_(weights[next(slopes) + "/Alpha"].flatten())
        elif isinstance(module, nn.Conv2d):
            depthwise = module.groups > 1
            name = heads.get(module) or next(deep if depthwise else plain)
            kernel = weights[name + "/Kernel"]  # depthwise [1, h, w, c], else [out, h, w, in]
            module.weight.copy_(kernel.permute(3, 0, 1, 2) if depthwise else kernel.permute(0, 3, 1, 2))
            assert module.bias is not None
            module.bias.copy_(weights[name + "/Bias"])
    left = [name for series in (deep, plain, slopes) for name in series]
    if left:
        raise ValueError(f"layers without a place: {left}")


def fill_detector(net: BlazeFace, weights: Mapping[str, Tensor]) -> None:
    fill(net, weights, {net.score[0]: "classificator_8", net.score[1]: "classificator_16", net.box[0]: "regressor_8",
                        net.box[1]: "regressor_16"})


def fill_mesh(net: AttentionMesh, weights: Mapping[str, Tensor]) -> None:
    heads: dict[nn.Module, str] = {net.mesh: "output_mesh", net.flag: "conv_faceflag"}
    named = ((net.lips, ("lips",)), (net.left_eye, ("left_eye", "left_iris")), (net.right_eye, ("right_eye", "right_iris")))
    for region, names in named:
        for branch, name in zip(region.branches, names):
            heads[branch.get_submodule("out")] = f"conv_{name}"
    fill(net, weights, heads)


def fill_person(net: PersonNet, weights: Mapping[str, Tensor]) -> None:
    fill(net, weights, {})
    last = next(name for name in weights if name.endswith(("segment/Kernel", "conv2d_transpose/Kernel")))
    with torch.no_grad():
        net.out.weight.copy_(weights[last].permute(3, 0, 1, 2))  # [1, 2, 2, 16] -> [16, 1, 2, 2]
        assert net.out.bias is not None
        net.out.bias.copy_(weights[last.replace("Kernel", "Bias")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help=f"mediapipe-{VERSION}-*.whl")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    args = parser.parse_args()
    nets, source = MeshNets(), {}
    with zipfile.ZipFile(args.wheel) as wheel:
        for name, (file, digest) in MODELS.items():
            data = wheel.read(f"mediapipe/modules/{file}")
            if hashlib.sha256(data).hexdigest() != digest:
                raise SystemExit(f"{file} in {args.wheel.name} is another one than that of mediapipe {VERSION}")
            source[name] = {"file": f"mediapipe/modules/{file}", "sha256": digest}
            net, weights = nets.get_submodule(name), constants(data)
            if isinstance(net, BlazeFace):
                fill_detector(net, weights)
            elif isinstance(net, AttentionMesh):
                fill_mesh(net, weights)
            elif isinstance(net, PersonNet):
                fill_person(net, weights)
    lossless = all(torch.equal(value, value.half().float()) for value in nets.state_dict().values())
    if not lossless:
        raise SystemExit("half precision would change the numbers")
    save_mesh_nets(nets, args.out, {"licence": LICENCE, "package": f"mediapipe {VERSION} (PyPI)", "source": source})
    print(f"{args.out}: {sum(p.numel() for p in nets.parameters())} numbers, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
