"""Gaussians in PLY files: out and in."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from official_avatar import capture
from talking_heads.hmtalker_core.model.gaussians import GaussianField
from talking_heads.hmtalker_core.ply import load_ply, save_ply
from talking_heads.media_core.errors import FileFormatError


def field(degree: int = 2, count: int = 7) -> GaussianField:
    _, xyz, dc, rest, _, scaling, rotation, opacity, *_ = capture(count, 4, degree)
    return GaussianField(xyz, dc, rest, scaling, rotation, opacity, active_sh_degree=degree)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("scales", ["log", "softplus"])
def test_out_and_in(tmp_path, degree, scales):
    first = field(degree)
    back = load_ply(save_ply(first, tmp_path / "a.ply", scales=scales))
    for key, value in first.state_dict().items():
        torch.testing.assert_close(back.state_dict()[key], value, rtol=1e-4, atol=1e-5 if scales == "log" else 0)
    assert back.active_sh_degree == degree and load_ply(tmp_path / "a.ply", active=1).active_sh_degree == min(1, degree)


def test_its_layout_is_that_of_3d_gaussian_splatting(tmp_path):
    one = field(1, 2)
    save_ply(one, tmp_path / "a.ply")
    data = (tmp_path / "a.ply").read_bytes()
    head, _, body = data.partition(b"end_header\n")
    names = [line.split()[-1].decode() for line in head.splitlines() if line.startswith(b"property float")]
    assert names == ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(9)),
                     "opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    row = dict(zip(names, np.frombuffer(body, "<f4").reshape(2, -1)[1]))
    rest = one.features_rest.detach()[1]  # [3, 3]: coefficient, channel
    assert row["f_rest_0"] == rest[0, 0] and row["f_rest_1"] == rest[1, 0] and row["f_rest_3"] == rest[0, 1]
    assert row["scale_1"] == pytest.approx(float(one.scales.detach()[1, 1].log()), rel=1e-5)
    assert row["opacity"] == one.opacity.detach()[1, 0] and row["rot_0"] == one.rotation.detach()[1, 0]


def test_other_programs_files_are_read(tmp_path):
    """Big-endian, doubles, properties in another order and of other names, faces behind the vertices."""
    names = ["rot_3", "rot_2", "rot_1", "rot_0", "opacity", "label", "scale_0", "scale_1", "scale_2",
             "f_dc_0", "f_dc_1", "f_dc_2", "z", "y", "x"]
    kind = np.dtype([(name, ">i4" if name == "label" else ">f8") for name in names])
    row = np.zeros(1, kind)
    row["x"], row["z"], row["rot_0"], row["scale_0"] = 0.25, -0.5, 1, np.log(0.01)
    lines = ["ply", "format binary_big_endian 1.0", "comment other", "element vertex 1",
             *(f"property {'int' if name == 'label' else 'double'} {name}" for name in names), "element face 1",
             "property list uchar int vertex_indices", "end_header", ""]
    (tmp_path / "b.ply").write_bytes("\n".join(lines).encode() + row.tobytes() + bytes(13))
    found = load_ply(tmp_path / "b.ply")
    assert found.xyz.tolist() == [[0.25, 0.0, -0.5]] and found.features_rest.shape == (1, 0, 3)
    assert found.scales[0].tolist() == pytest.approx([0.01, 1.0, 1.0], rel=1e-5)


def test_bad_files_are_refused(tmp_path):
    good = save_ply(field(), tmp_path / "good.ply").read_bytes()
    bad = {"empty": b"", "text": b"hello", "ascii": good.replace(b"binary_little_endian", b"ascii"), "half": good[:-5],
           "none": good.replace(b"vertex 7", b"vertex 0"), "huge": good.replace(b"vertex 7", b"vertex 70000000000"),
           "lacks": good.replace(b"property float opacity", b"property float opaque"),
           "rest": good.replace(b"property float f_rest_23", b"property float f_rest_24"),
           "twice": good.replace(b"property float nx", b"property float x"),
           "list": good.replace(b"property float nx", b"property list uchar int nx"), "nan": _with_nan(good)}
    for name, data in bad.items():
        (tmp_path / f"{name}.ply").write_bytes(data)
        with pytest.raises(FileFormatError):
            load_ply(tmp_path / f"{name}.ply")
    with pytest.raises(FileFormatError, match="no file"):
        load_ply(tmp_path / "absent.ply")


def _with_nan(good: bytes) -> bytes:
    head, end, body = good.partition(b"end_header\n")
    rows = np.frombuffer(body, "<f4").copy()
    rows[0] = np.nan
    return head + end + rows.tobytes()
