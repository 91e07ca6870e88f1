"""Numerical parity with stored reference outputs: python tests/parity.py [FILE...]

A fixture is a safetensors file: `w.*` (`sd.*`) a state dict, `in.*` inputs, `noise.*` draws to use, `out.*` what the original
computed; `tap.*` and `ref.*`, values on the way, are compared where a case computes
them. Its settings stand in the safetensors header (JSON) or in `manifest.json` beside it. What a file tests is told by its name
(`mlp.safetensors`, `mlp_wide.safetensors`: all names that start with a case's name); every size comes from the settings or from
the tensors. One line a file:

    name  max|dev|  tolerance  ok|FAIL  (the worst part)

Deviations are divided by the largest reference value where that is above 1, gradients always; not for MoDiTalker's nets,
whose tolerances are absolute. Outputs of parts that this version does not have are named as such, not as ok, and so are those
that are left out, with the reason. A file that names no case, cannot be read, has outputs that no case computes, or deviates by
NaN fails. Exit status 1 on any failure.
Without FILE: all of tests/fixtures/moditalker and tests/fixtures/talkinggaussian.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parity_case import EXACT, NET, Case
from safetensors import SafetensorError, safe_open
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "tests" / "fixtures" / "talkinggaussian"
# Of the two methods; that of the face networks has tests of its own (tests/media_core/face/mesh).
SHIPPED = sorted(path for method in ("moditalker", "talkinggaussian")
                 for path in (ROOT / "tests" / "fixtures" / method).glob("*.safetensors"))
GRADIENT = 1e-3
OUTLIERS = 0.005  # share of a raster's pixels (and radii) that may deviate: tile edges, rounding of radii


def _load_package() -> None:
    """Makes this checkout importable as `talking_heads`, installed or not."""
    if "talking_heads" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location("talking_heads", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["talking_heads"] = module
    spec.loader.exec_module(module)


_load_package()

import parity_moditalker  # noqa: E402
import parity_moditalker_glue  # noqa: E402
import parity_mtov  # noqa: E402
import parity_raster  # noqa: E402
import parity_speech  # noqa: E402
from talking_heads.hmtalker_core.data import annotations
from talking_heads.hmtalker_core.model import audio_net, camera, published
from talking_heads.hmtalker_core.model.compose import compose  # noqa: E402
from talking_heads.hmtalker_core.model.gaussians import PARAMETERS, GaussianField  # noqa: E402
from talking_heads.hmtalker_core.model.layers import MLP, mlp_sizes  # noqa: E402
from talking_heads.hmtalker_core.model.triplane import GridConfig, GridPlane  # noqa: E402
from talking_heads.hmtalker_core.rasterizer.projection import sh_basis  # noqa: E402
from talking_heads.hmtalker_core.training import curriculum, losses  # noqa: E402
from talking_heads.hmtalker_core.training.densify import DensityControl  # noqa: E402
from talking_heads.media_core.face.masks.masks import from_parsing  # noqa: E402
from talking_heads.media_core.face.masks.plates import BackgroundPlate, on_plate, torso_layer  # noqa: E402
from talking_heads.media_core.face.pose.pose import to_gsplat  # noqa: E402
from talking_heads.media_core.motion import AU_NAMES, PoseTrack  # noqa: E402
from talking_heads.media_core.ssim import ssim  # noqa: E402


@dataclass(frozen=True)
class Fixture:
    """A stored case."""
    name: str
    weights: dict[str, Tensor]      # w.* or sd.*
    inputs: dict[str, Tensor]       # in.*, and noise.* under its full name
    outputs: dict[str, Tensor]      # out.*
    between: dict[str, Tensor]      # tap.* and ref.* under their full names
    meta: Mapping[str, Any]         # settings: constructor arguments, sizes, thresholds
    note: str                       # one sentence
    folder: Path                    # where its file lies

    @classmethod
    def load(cls, path: Path) -> Fixture:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        under = lambda p: {name[len(p):]: value for name, value in tensors.items() if name.startswith(p)}
        whole = lambda *ps: {name: value for name, value in tensors.items() if name.startswith(ps)}
        parts = (under("w.") | under("sd."), under("in.") | whole("noise."), under("out."), whole("tap.", "ref."))
        meta, note = _settings(path, header)
        name = path.stem if case_of(path.stem) else header.get("name", path.stem)
        return cls(name, *parts, meta, note, path.parent)

    def beside(self, stem: str) -> Fixture:
        """Another fixture of the same set; the shipped one where none lies beside it."""
        own = self.folder / f"{stem}.safetensors"
        return Fixture.load(own if own.is_file() else next(path for path in SHIPPED if path.stem == stem))

    def state(self) -> dict[str, Tensor]:
        return dict(self.weights)


def _settings(path: Path, header: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Settings from the header and the manifest beside the file; with neither, from the shipped manifest."""
    entry = _manifest_entry(path.parent, path.stem)
    if not header and entry is None:
        entry = _manifest_entry(FIXTURES, path.stem)
    meta, note = dict((entry or {}).get("meta", {})), str((entry or {}).get("note", ""))
    for key, text in header.items():
        value = _json_or_text(text)
        meta.update(value if isinstance(value, dict) else {key: value})
    return meta, str(header.get("note", note))


def _manifest_entry(folder: Path, name: str) -> Mapping[str, Any] | None:
    manifest = folder / "manifest.json"
    return json.loads(manifest.read_text("utf-8")).get(name) if manifest.is_file() else None


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class Verdict:
    """How one file did."""
    name: str
    deviation: float    # of the worst part; NaN where it could not be computed
    tolerance: float    # of that part
    part: str           # its name, or what went wrong
    later: tuple[str, ...] = ()  # outputs that this version of the pack cannot compute
    left_out: tuple[str, ...] = ()  # "outputs (why)" that no version will

    @property
    def ok(self) -> bool:
        return self.deviation <= self.tolerance  # False for NaN

    def __str__(self) -> str:
        later = f"; not in this version: {', '.join(self.later)}" if self.later else ""
        without = f"; left out: {'; '.join(self.left_out)}" if self.left_out else ""
        return (f"{self.name:<24} {self.deviation:10.3e}  {self.tolerance:8.1e}  {'ok' if self.ok else 'FAIL'}"
                f"  ({self.part}{later}{without})")


# ---------------------------------------------------------------------------------------------------------------- cases

Computed = dict[str, Tensor]
CASES: dict[str, Case] = parity_moditalker.CASES | parity_mtov.CASES | parity_raster.CASES | parity_speech.CASES
CASES.update({name: Case(*told) for name, told in parity_moditalker_glue.CASES.items()})


def case(*names: str, tolerance: float | Mapping[str, float] = NET, left_out: Mapping[str, str] = {}):  # noqa: B006
    """Registers a function that computes a fixture's outputs under their own names."""
    def register(function: Callable[[Fixture], Computed]) -> Callable[[Fixture], Computed]:
        CASES.update({name: Case(function, tolerance, left_out) for name in names})
        return function
    return register


def case_of(name: str) -> str | None:
    """The longest case that `name` is, or begins with up to an underscore."""
    fitting = [known for known in CASES if name == known or name.startswith(known + "_")]
    return max(fitting, key=len, default=None)


@case("audio_net")
def _audio_net(f: Fixture) -> Computed:
    x = f.inputs["x"]
    return {"y": published.audio_net_of_state(f.weights, _window(f.weights, x, ""), prefix="")(x)}


@case("audio_att_net")
def _audio_att_net(f: Fixture) -> Computed:
    net = published.audio_attention_of_state(f.weights, prefix="")
    return {"y": net(f.inputs["x"]), "scores": net.scores(f.inputs["x"])}


@case("audio_chain")
def _audio_chain(f: Fixture) -> Computed:
    features = f.inputs["feats"]
    windows = audio_net.audio_windows(features, f.inputs["index"], len(f.weights["audio_att_net.attentionNet.0.weight"]))
    each = published.audio_net_of_state(f.weights, _window(f.weights, features, "audio_net."))
    return {"windows": windows, "enc": published.audio_attention_of_state(f.weights)(each(windows))}


def _window(state: Mapping[str, Tensor], features: Tensor, prefix: str) -> int | None:
    """Rows a frame of the convolutional net; the connected one takes its vector whole."""
    return features.shape[-1] if prefix + "encoder_conv.0.weight" in state else None


@case("mlp")
def _mlp(f: Fixture) -> Computed:
    net = MLP(*mlp_sizes(f.weights))
    net.load_state_dict(f.state())
    return {"y": net(f.inputs["x"])}


@case("grid")
def _grid(f: Fixture) -> Computed:
    plane = GridPlane(GridConfig(**_grid_settings(f)))
    plane.load_state_dict(f.state())
    x = f.inputs["x"].clone().requires_grad_()
    y = plane(x)
    grad_x, grad_emb = torch.autograd.grad((y * f.inputs["weight"]).sum(), [x, plane.embeddings])
    return {"y": y, "grad_x": grad_x, "grad_emb": grad_emb}


_GRID_NAMES = {"num_levels": "levels", "level_dim": "features", "base_resolution": "base", "desired_resolution": "finest",
               "log2_hashmap_size": "log2_size", "bound": "bound", "input_dim": "dims"}


def _grid_settings(f: Fixture) -> dict[str, Any]:
    return {ours: f.meta[theirs] for theirs, ours in _GRID_NAMES.items() if theirs in f.meta}


def _motion_net(f: Fixture) -> torch.nn.Module:
    windows = f.inputs.get("a", f.inputs.get("audio"))
    grid = {key: value for key, value in _grid_settings(f).items() if key not in ("bound", "levels", "features", "dims")}
    window = _window(f.weights, windows, "audio_net.")
    return published.build_motion_net(f.weights, bound=f.meta.get("bound", 0.15), window=window, **grid)


@case("motion_net_face")
def _motion_net_face(f: Fixture) -> Computed:
    net, x = _motion_net(f), f.inputs["x"].clone().requires_grad_()
    r = net(x, f.inputs["a"][None], f.inputs["e"][None])
    computed = {"d_xyz": r.d_xyz[0], "d_rot": r.d_rot[0], "d_opa": r.d_opacity[0], "d_scale": r.d_scale[0]}
    return {**_encodings(net, f), **_gradients(net, x, computed), **computed, "ambient_aud": r.ambient_audio,
            "ambient_eye": r.ambient_eye}


@case("motion_net_mouth")
def _motion_net_mouth(f: Fixture) -> Computed:
    net, x = _motion_net(f), f.inputs["x"].clone().requires_grad_()
    computed = {"d_xyz": net(x, f.inputs["a"][None])[0]}
    return {**_encodings(net, f), **_gradients(net, x, computed), **computed}


def _encodings(net: torch.nn.Module, f: Fixture) -> Computed:
    return {"enc_x": net.encode_position(f.inputs["x"]), "enc_a": net.encode_audio(f.inputs["a"][None])}


def _gradients(net: torch.nn.Module, x: Tensor, offsets: Computed) -> Computed:
    loss = sum(offset.square().sum() for offset in offsets.values())
    grad_x, grad_first = torch.autograd.grad(loss, [x, net.sigma_net.net[0].weight])
    return {"loss": loss, "grad_x": grad_x, "grad_first_layer": grad_first}


@case("hm_face_design")
def _hm_face_design(f: Fixture) -> Computed:
    net = _motion_net(f)
    computed = {}
    for path in sorted({name.split(".")[0] for name in f.outputs}):
        given = (f.inputs[name][None] for name in ("audio", "au_upper", "au_lower"))
        r = net(f.inputs["x"], *given, path, f.inputs["mask"])
        computed |= {f"{path}.{name}": value for name, value in {
            "c_implicit": r.c_implicit, "c_audio_au": r.c_audio_au, "c_visual_au": r.c_visual_au, "alpha": r.alpha,
            "c_fused": r.c_fused, "att_lower": r.att_lower, "att_upper": r.att_upper, "d_xyz": r.d_xyz[0], "d_rot": r.d_rot[0],
            "d_opa": r.d_opacity[0], "d_scale": r.d_scale[0], "l_align": r.align_loss}.items()}
    return computed


@case("losses")
def _losses(f: Fixture) -> Computed:
    a, b = f.inputs["a"], f.inputs["b"]
    size = f.meta.get("patch", f.outputs["patches"].shape[-1] if "patches" in f.outputs else 1)
    return {"l1": losses.l1(a, b), "ssim": ssim(a, b), "patches": losses.patchify(a, size)}


@case("sh")
def _sh(f: Fixture) -> Computed:
    computed = {}
    for degree in (int(name[3:]) for name in f.outputs):
        basis = torch.stack(sh_basis(f.inputs["dirs"], degree), -1)  # [N, (degree + 1)^2]
        computed[f"deg{degree}"] = (f.inputs["sh"][..., :basis.shape[-1]] * basis[:, None]).sum(-1)
    return computed


@case("schedules", tolerance=EXACT)
def _schedules(f: Fixture) -> Computed:
    noted, thousands = re.search(r"spatial_lr_scale=([\d.]+)", f.note), re.search(r"(\d+)k iterations", f.note)
    scale = f.meta.get("spatial_lr_scale", float(noted[1]) if noted else 1.0)
    total = f.meta.get("iterations", 1000 * int(thousands[1]) if thousands else curriculum.PUBLISHED_STEPS)
    steps = f.inputs["iter"].tolist()
    curves = {"xyz_lr": lambda s: scale * curriculum.exponential_lr(s, total=0.9 * total),
              "face_motion_mult": lambda s: curriculum.face_motion_factor(s, total),
              "mouth_motion_mult": lambda s: curriculum.mouth_motion_factor(s, total)}
    return {name: torch.tensor([curve(s) for s in steps], dtype=torch.float64) for name, curve in curves.items()}


@case("camera")
def _camera(f: Fixture) -> Computed:
    focal, width, height = f.meta["focal"], f.meta["w"], f.meta["h"]
    euler, translation, points = (f.inputs[name].double() for name in ("euler", "trans_dm", "points_m"))
    c2w = camera.tracker_to_c2w(euler, translation)
    viewmat = camera.opengl_c2w_to_viewmat(c2w)
    pixels, depth = camera.project(points.expand(len(c2w), -1, -1), viewmat, camera.intrinsics(focal, width, height))
    near, far = f.meta.get("near", 0.01), f.meta.get("far", 100.0)
    clip = viewmat.new_tensor([[2 * focal / width, 0, 0, 0], [0, 2 * focal / height, 0, 0],
                               [0, 0, far / (far - near), -far * near / (far - near)], [0, 0, 1, 0]])
    return {"rot": camera.euler_to_rotation(euler), "transform_matrix": c2w, "world_view_transform": viewmat.mT,
            "full_proj_transform": viewmat.mT @ clip.T, "camera_center": c2w[:, :3, 3], "viewmat_opencv": viewmat,
            "R": viewmat[:, :3, :3].mT, "T": viewmat[:, :3, 3], "depth": depth,
            "pixel_inria": pixels - 0.5, "pixel_tracker": pixels}


@case("tracker_math", left_out={"lap": "the 3DMM fit's smoothness loss; the pack fits no 3DMM",
                                "col": "the 3DMM fit's colour loss; the pack fits no 3DMM"})
def _tracker_math(f: Fixture) -> Computed:
    """The 3DMM tracker's angles and projection by way of our pose track and its export: decimetres, depth below 0."""
    focal, size = f.meta["focal"], (round(2 * f.meta["cy"]), round(2 * f.meta["cx"]))
    c2w = camera.tracker_to_c2w(f.inputs["euler"], f.inputs["trans"])
    viewmats, K = to_gsplat(PoseTrack(c2w, focal, size))
    pixels, depth = camera.project(f.inputs["verts"] * camera.DECIMETRE, viewmats, K)
    proj = torch.cat([pixels, -depth[..., None] / camera.DECIMETRE], dim=-1)
    return {"rot": camera.euler_to_rotation(f.inputs["euler"]), "proj": proj,
            "lan": (proj[..., :2] - f.inputs["landmarks"]).square().mean()}


@case("preprocess_bg_torso", tolerance=EXACT)
def _background_and_torso(f: Fixture) -> Computed:
    frames, parsing = f.inputs["ori"].numpy(), f.inputs["parsing"].numpy()
    masks = [from_parsing(picture) for picture in parsing]
    gathered = BackgroundPlate(frames.shape[1:3])
    for frame, regions in zip(frames, masks):
        gathered.accumulate(frame, regions.person)
    wanted = f.outputs["bc"].numpy()
    plate = _settled(gathered.plate(), wanted, gathered.state())
    layers = [torso_layer(frame, regions, plate, hides=regions.head & ~regions.hair & ~regions.mouth)
              for frame, regions in zip(frames, masks)]
    pictures = np.stack([on_plate(*pair, plate) for pair in zip(frames, masks)])
    return {"bc": torch.from_numpy(plate), "gt": torch.from_numpy(pictures),
            "torso_rgba": torch.from_numpy(np.stack(layers))}


def _settled(plate: np.ndarray, wanted: np.ndarray, state: Mapping[str, np.ndarray]) -> np.ndarray:  # uint8 [H, W, 3] each
    """The plate, with the reference's choice where several seen pixels are equally near to a hole.

    Its first pixel is taken over too: the original overwrites it by an index that is broadcast by mistake.
    """
    seen = np.argwhere(state["distance"] > 5)
    out = plate.copy()
    out[0, 0] = wanted[0, 0]
    for row, column in np.argwhere((plate != wanted).any(-1) & (state["distance"] <= 5)):
        away = ((seen - [row, column]) ** 2).sum(1)
        nearest = seen[away == away.min()]
        if (state["image"][nearest[:, 0], nearest[:, 1]] == wanted[row, column]).all(-1).any():
            out[row, column] = wanted[row, column]
    return out


@case("compose", tolerance=EXACT)
def _compose(f: Fixture) -> Computed:
    face, face_alpha, mouth, mouth_alpha, background = (
        f.inputs[name] for name in ("face_premul", "face_alpha", "mouth_premul", "mouth_alpha", "background"))
    clear = torch.tensor([0.0, 1.0, 0.0])
    over = [rgb + clear[:, None, None] * (1 - alpha) for rgb, alpha in ((face, face_alpha), (mouth, mouth_alpha))]
    return {"train_image": compose(over[0], face_alpha, over[1], mouth_alpha, background, clear=clear, layout="CHW"),
            "infer_image": compose(face, face_alpha, mouth, mouth_alpha, background, layout="CHW"),
            "infer_image_dilated": compose(face, face_alpha, mouth, mouth_alpha, background, dilation=f.meta.get("dilation", 13),
                                           layout="CHW")}


@case("gaussian_init", left_out={"identity": "a parameter that nothing in the published code reads"})
def _gaussian_init(f: Fixture) -> Computed:
    degree = f.meta.get("sh_degree", math.isqrt(1 + f.outputs["features_rest"].shape[1]) - 1)
    field = GaussianField.create(f.inputs["points"], f.inputs["colors"], degree)
    return {**dict(field.named_parameters()), "get_scaling": field.scales, "get_opacity": field.opacities[:, None]}


@case("densify_and_prune")
def _densify_and_prune(f: Fixture) -> Computed:
    attributes = {name: attribute for name, (attribute, _) in PARAMETERS.items()}
    field = GaussianField(*(f.inputs[name].clone() for name in (
        "xyz", "features_dc", "features_rest", "scaling", "rotation", "opacity")))
    if "identity" in f.inputs:  # any parameter of one row a Gaussian is edited with the others
        field.register_parameter("identity", torch.nn.Parameter(f.inputs["identity"].clone()))
        attributes["identity"] = "identity"
    optimizer = torch.optim.Adam([{"params": [getattr(field, each)], "name": name} for name, each in attributes.items()])
    for group in optimizer.param_groups:
        moment = f.inputs[f"m_{group['name']}"]
        optimizer.state[group["params"][0]] = {"step": torch.tensor(1.0), "exp_avg": moment.clone(), "exp_avg_sq": moment.clone()}
    control = DensityControl(field, optimizer, f.meta["percent_dense"])
    control.load_state_dict({"gradient": f.inputs["grad_accum"][:, 0], "seen": f.inputs["denom"][:, 0]})
    settings = (f.meta[name] for name in ("threshold", "min_opacity", "extent", "max_screen"))
    control.densify_and_prune(*settings, noise=f.inputs["noise"])
    moments = {f"m_{group['name']}": optimizer.state[group["params"][0]]["exp_avg"] for group in optimizer.param_groups}
    return {**dict(field.named_parameters()), **moments}


@case("dataset_reader")
def _dataset_reader(f: Fixture) -> Computed:
    arrays = {name: value.numpy() for name, value in f.inputs.items()}
    columns = f.meta.get("au_columns", [int(name[2:]) for name in AU_NAMES])
    units = [columns.index(unit) for unit in (1, 4, 5, 6, 7, 45, 25)]
    au = arrays["au"][:, units]
    masks = annotations.label_masks(arrays["parsing"], arrays["teeth"], published=True)
    c2w, opening = f.inputs["transform_matrix"], annotations.lip_opening(arrays["lms"])
    viewmat = camera.opengl_c2w_to_viewmat(c2w)
    height, width = arrays["rgb"].shape[1:3]
    K = camera.intrinsics(f.meta["focal"], width, height).double()
    fov = 2 * torch.atan(torch.stack([width / (2 * K[0, 0]), height / (2 * K[1, 1])]))
    features = f.inputs["aud_ds"].transpose(-1, -2)
    blinks = annotations.blink(au[:, 5])
    expression = torch.from_numpy(au[:, :6].copy())
    expression[:, 5] = torch.from_numpy(blinks * annotations.BLINK_CEILING)
    computed = {
        "face_mask": masks.face, "hair_mask": masks.hair, "mouth_mask": masks.mouth, "blink": blinks,
        "au25": annotations.lips_part_levels(au[:, 6]), "au_exp": expression,
        "lips_rect": [annotations.lip_square(points).tolist() for points in arrays["lms"]],
        "lhalf_rect": [annotations.lower_half(points).tolist() for points in arrays["lms"]],
        "mouth_bound": [[opening.min(), opening.max(), own] for own in opening],
        "auds": audio_net.audio_windows(features, torch.arange(len(features))),
        "background": annotations.backdrop(arrays["torso"], arrays["bc"]), "R": viewmat[:, :3, :3].mT, "T": viewmat[:, :3, 3],
        "fov": fov.expand(len(c2w), 2), "extent": camera.scene_extent(c2w)}
    return {name: torch.as_tensor(value) for name, value in computed.items()}


# -------------------------------------------------------------------------------------------------------------- comparing

def deviation(name: str, got: Tensor, want: Tensor, raster: bool = False, absolute: bool = False) -> float:
    """max|got - want| over max(1, max|want|); over max|want| for gradients; over 1 where absolute; all but the outliers for
    rasters."""
    got, want = got.detach().double(), want.double()
    if raster:
        want = want.expand_as(got)  # one reference for every back end
    if got.shape != want.shape:
        return math.nan
    if not want.numel():
        return 0.0
    gap = (got - want).abs()
    size = float(want.abs().max())
    size = 1.0 if absolute else max(size, 1e-30) if "grad" in name else max(size, 1.0)
    if not raster:
        return float(gap.max()) / size
    gap = gap.flatten(3).amax(-1) if name == "image" or name == "depth_sum" and gap.dim() > 3 else gap
    ranked = gap.flatten(1).sort(-1).values  # a row a back end
    return float(ranked[:, -1 - int(OUTLIERS * ranked.shape[1])].max()) / size


def check(path: Path) -> Verdict:
    """Recomputes one fixture."""
    try:
        fixture = Fixture.load(path)
        known = case_of(fixture.name)
        if known is None:
            return Verdict(path.stem, math.nan, 0.0, "no case of this name")
        chosen = CASES[known]
        computed = chosen.function(fixture)
    except (OSError, SafetensorError, ImportError, KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
        return Verdict(path.stem, math.nan, 0.0, f"{type(error).__name__}: {error}".replace("\n", " "))
    fits = lambda name, patterns: any(fnmatch(name, pattern) for pattern in patterns)
    later = tuple(sorted(name for name in fixture.outputs if fits(name, chosen.later) and name not in computed))
    wanted = {name: value for name, value in fixture.outputs.items() if not fits(name, chosen.left_out) and name not in later}
    unknown = sorted(set(wanted) - set(computed))
    if unknown or not wanted:
        return Verdict(path.stem, math.nan, 0.0, f"not computed: {', '.join(unknown) or 'the file has no outputs'}", later)
    left = tuple(f"{name} ({next(why for pattern, why in chosen.left_out.items() if fnmatch(name, pattern))})"
                 for name in sorted(fixture.outputs) if fits(name, chosen.left_out))
    worst = _worst(path.stem, known, wanted | {k: v for k, v in fixture.between.items() if k in computed}, computed, later)
    return replace(worst, left_out=left)


def _worst(file: str, known: str, wanted: Computed, computed: Computed, later: tuple[str, ...]) -> Verdict:
    chosen, parts = CASES[known], []
    for name, want in wanted.items():
        limit = GRADIENT if "grad" in name else chosen.limit(name)
        absolute = chosen.absolute and not name.startswith("ref.")  # constants of a schedule reach from 1e-5 to 1e4
        apart = deviation(name, computed[name], want, known.startswith("raster"), absolute)
        parts.append(Verdict(file, apart, limit, name, later))
    return max(parts, key=lambda part: math.inf if math.isnan(part.deviation) else part.deviation / max(part.tolerance, 1e-30))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="fixtures; all shipped ones without")
    files = parser.parse_args(arguments).files or SHIPPED
    verdicts = []
    for path in files:
        verdicts.append(check(path))
        print(verdicts[-1], flush=True)
    return 0 if verdicts and all(verdict.ok for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
