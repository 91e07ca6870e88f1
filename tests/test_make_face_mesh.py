"""The command that converts the face mesh's weights: its reader of TFLite files, and how constants find their layers."""
import struct
import zipfile

import numpy as np
import pytest
import torch
from talking_heads.media_core.face.mesh.attention import AttentionMesh
from talking_heads.media_core.face.mesh.nets import load_mesh_nets
from talking_heads.weights import make_face_mesh as made
from torch import nn


class Builder:
    """Just enough of a flatbuffers writer, from the front: what a table points at follows it."""

    def __init__(self):
        self.data = bytearray(4)

    def table(self, *fields):
        """Fields by number: None, an int8 or uint32 as bytes, or a function that writes what is pointed at."""
        entries = struct.pack("<HH", 4 + 2 * len(fields), 4 + 4 * len(fields))
        entries += b"".join(struct.pack("<H", 0 if field is None else 4 + 4 * i) for i, field in enumerate(fields))
        start = len(self.data)
        self.data += entries.ljust(-(-len(entries) // 4) * 4, b"\0")
        at = len(self.data)
        self.data += struct.pack("<i", at - start) + bytes(4 * len(fields))
        for i, field in enumerate(fields):
            place = at + 4 + 4 * i
            if callable(field):
                self.point(place, field())
            elif field is not None:
                self.data[place:place + len(field)] = field
        return at

    def point(self, place, target):
        self.data[place:place + 4] = struct.pack("<I", target - place)

    def raw(self, content, count):
        at = len(self.data)
        self.data += struct.pack("<I", count) + content
        self.data += bytes(-len(self.data) % 4)
        return at

    def tables(self, *writers):
        at = self.raw(bytes(4 * len(writers)), len(writers))
        for i, write in enumerate(writers):
            self.point(at + 4 + 4 * i, write())
        return at


def tflite(arrays):
    """A file with these constants (float16 or float32) and one more of whole numbers."""
    b = Builder()
    kinds = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int32): 2}
    arrays = {**arrays, "shape": np.arange(3, dtype=np.int32)}

    def tensor(number, name, array):
        shape, kind = np.array(array.shape, "<i4").tobytes(), struct.pack("<b", kinds[array.dtype])
        return lambda: b.table(lambda: b.raw(shape, array.ndim), kind, struct.pack("<I", number),
                               lambda: b.raw(name.encode(), len(name)))

    def buffer(array):
        return lambda: b.table(lambda: b.raw(array.tobytes(), array.nbytes))

    def graph():
        return b.table(lambda: b.tables(*(tensor(i + 1, *item) for i, item in enumerate(arrays.items()))))

    root = b.table(None, None, lambda: b.tables(graph), None,
                   lambda: b.tables(lambda: b.table(None), *(buffer(array) for array in arrays.values())))
    b.data[:4] = struct.pack("<I", root)
    return bytes(b.data)


def test_the_reader_finds_constants():
    rng = np.random.default_rng(0)
    arrays = {"conv2d/Kernel": rng.normal(size=(4, 3, 3, 2)).astype(np.float16), "b": rng.normal(size=5).astype(np.float32)}
    read = made.constants(tflite(arrays))
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == torch.float32
        np.testing.assert_array_equal(read[name].numpy(), array.astype(np.float32))


def constants_of(net, heads):
    """A network's numbers under the names and layouts of the original's files."""
    counts, out = {"depthwise_conv2d": 0, "conv2d": 0, "p_re_lu": 0}, {}

    def numbered(stem):
        counts[stem] += 1
        return stem if counts[stem] == 1 else f"{stem}_{counts[stem] - 1}"

    for module in net.modules():
        if isinstance(module, nn.PReLU):
            out[f"{numbered('p_re_lu')}/Alpha"] = module.weight.detach()[None, None]
        elif isinstance(module, nn.Conv2d):
            deep = module.groups > 1
            name = heads.get(module) or numbered("depthwise_conv2d" if deep else "conv2d")
            out[f"{name}/Kernel"] = module.weight.detach().permute(*((1, 2, 3, 0) if deep else (0, 2, 3, 1)))
            assert module.bias is not None
            out[f"{name}/Bias"] = module.bias.detach()
    return out


def test_constants_find_their_layers():
    shipped = load_mesh_nets().mesh
    heads = {shipped.mesh: "output_mesh", shipped.flag: "conv_faceflag", shipped.lips.branches[0].out: "conv_lips"}
    for eye, side in ((shipped.left_eye, "left"), (shipped.right_eye, "right")):
        heads |= {eye.branches[0].out: f"conv_{side}_eye", eye.branches[1].out: f"conv_{side}_iris"}
    constants, net = constants_of(shipped, heads), AttentionMesh()
    made.fill_mesh(net, constants)
    for (name, ours), theirs in zip(net.state_dict().items(), shipped.state_dict().values()):
        assert torch.equal(ours, theirs), name
    with pytest.raises(ValueError, match="conv2d_99"):
        made.fill_mesh(AttentionMesh(), {**constants, "conv2d_99/Kernel": torch.zeros(1)})


def test_another_wheel_is_refused(tmp_path, monkeypatch):
    wheel = tmp_path / "mediapipe-1.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, _ in made.MODELS.values():
            archive.writestr(f"mediapipe/modules/{file}", b"other")
    monkeypatch.setattr("sys.argv", ["make_face_mesh", str(wheel), "--out", str(tmp_path / "out.safetensors")])
    with pytest.raises(SystemExit, match="another one than that of mediapipe 0.10.21"):
        made.main()
    assert not (tmp_path / "out.safetensors").exists()
