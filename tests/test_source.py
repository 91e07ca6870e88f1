"""Rules of the house that can be read off the source: what the registry flags, which layer imports which, what is packaged."""
from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest
from talking_heads.hmtalker_core.backend_registry import BACKENDS

ROOT = Path(__file__).resolve().parents[1]
NOT_SHIPPED = ("host", "cli", "tests", "benchmarks", "integrations", "weights")  # weights/: its scripts; see .comfyignore
IMPORTERS = ("media_core/pickles.py",)  # reads official checkpoints once, with torch's restricted reader
LAYERS = {  # folder -> what its modules may import from inside the package
    "media_core": {"media_core"},
    "training_core": {"training_core", "media_core"},
    "hmtalker_core": {"hmtalker_core", "training_core", "media_core"},
    "moditalker_core": {"moditalker_core", "training_core", "media_core"},
    "nodes": {"nodes", "hmtalker_core", "moditalker_core", "training_core", "media_core"},
    "host": {"host", "media_core"},
    "cli": {"cli", "host", "hmtalker_core", "moditalker_core", "training_core", "media_core"},
}
MODITALKER = {  # folder of moditalker_core -> the folders beside it that its modules may import; what lies above is open to all
    "data": {"data"},
    "atom": {"atom", "data"},
    "mtov": {"mtov", "data"},
}
JSON_READER = "media_core/json_files.py"
OWN_FOLDERS = {"browser", "fuzz", "web", "workflows"}  # of tests/: they test what is no package, or the pack as a whole
COMFY = {"comfy", "comfy_api", "comfy_execution", "folder_paths", "server", "execution"}
FLAGGED_IMPORTS = {"subprocess", "pickle", "socket", "requests", "urllib", "http", "ftplib", "dill", "cloudpickle"}
FLAGGED_CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "urlopen", "getenv"}


def sources() -> list[Path]:
    found = [path.relative_to(ROOT).parts for path in ROOT.rglob("*.py")]
    left_out = {*NOT_SHIPPED, ".venv", "build", "dist"}
    return [ROOT.joinpath(*parts) for parts in found if parts[0] not in left_out]


SHIPPED = sources()
UNSHIPPED = [*sorted(ROOT.glob("host/**/*.py")), *sorted(ROOT.glob("cli/**/*.py"))]  # not in the registry's pack


@cache
def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text("utf8"))


def complaints(look, files=SHIPPED) -> list[str]:
    """What `look` (path, tree) says of files, each with the file's name."""
    return [f"{path.relative_to(ROOT).as_posix()} {said}" for path in files for said in look(path, parsed(path))]


def imports(tree: ast.AST):
    """(level, module) of every import, `from . import x` as (1, "x")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from [(node.level, node.module)] if node.module else ((node.level, alias.name) for alias in node.names)


def test_there_is_source_to_look_at():
    assert len(SHIPPED) > 30


def flagged(path, tree):
    """What the registry's scanner looks for, and pickles."""
    for level, module in imports(tree):
        if not level and {module, module.partition(".")[0]} & FLAGGED_IMPORTS:
            yield f"imports {module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr in ("environ", "system", "popen", "getenv", "putenv"):
                yield f"line {node.lineno}: os.{node.attr}"
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else None
            if name in FLAGGED_CALLS:
                yield f"line {node.lineno}: calls {name}"
            if any(k.arg == "allow_pickle" and getattr(k.value, "value", True) for k in node.keywords):
                yield f"line {node.lineno}: reads pickles"
            restricted = any(k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in node.keywords)
            importer = path.relative_to(ROOT).as_posix() in IMPORTERS
            if ast.unparse(node.func) == "torch.load" and not (restricted and importer):
                yield f"line {node.lineno}: torch.load reads pickles"


def named_devices(path, tree):
    if path.parent.relative_to(ROOT).as_posix() == "hmtalker_core/rasterizer" and path.stem in BACKENDS:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value == "cuda" or node.value.startswith("cuda:"):
                yield f"line {node.lineno}: names a device"


def misplaced_imports(path, tree):
    place = path.relative_to(ROOT)
    own = {part.name for part in ROOT.iterdir() if part.is_dir()} | {"talking_heads"}
    for level, module in imports(tree):
        if level == 0:
            top = module.partition(".")[0]
            if top in own - {"tests"} and top != "host":
                yield f"absolute import of {module}"
            if place.parts[0] != "nodes" and top in COMFY:
                yield f"a core imports {module}"
            continue
        base = place.parts[:len(place.parts) - level]
        target = (*base, *module.split("."))[0]
        if place.parts[0] in LAYERS and target not in LAYERS[place.parts[0]]:
            yield f"imports {target}"


def crossed_halves(path, tree):
    """In moditalker_core: what both halves share is in none of them, and neither leans on the other."""
    place = path.relative_to(ROOT)
    if place.parts[0] != "moditalker_core" or place.parts[1] not in MODITALKER:
        return
    for level, module in imports(tree):
        target = (*place.parts[:len(place.parts) - level], *module.split(".")) if level else ()
        if len(target) > 1 and target[:1] == ("moditalker_core",) and target[1] in MODITALKER.keys() - MODITALKER[place.parts[1]]:
            yield f"imports {'.'.join(target[1:])}"


def swallowed(path, tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
            if broad and not any(isinstance(part, ast.Raise) for part in ast.walk(node)):
                yield f"line {node.lineno} swallows everything"
            optional = getattr(node.type, "id", "") == "ImportError"  # "is this library here?" may have a silent no
            if not optional and all(isinstance(part, ast.Pass) for part in node.body):
                yield f"line {node.lineno} passes silently"


def json_elsewhere(path, tree):
    """JSON is read in one place, with bounds: Python's own parser lets other errors out, and takes any depth, size and NaN."""
    if path.relative_to(ROOT).as_posix() == JSON_READER:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("json", "JSONDecoder"):
            if node.attr in ("load", "loads", "JSONDecoder", "decode"):
                yield f"line {node.lineno} reads JSON by itself"
        if isinstance(node, ast.ImportFrom) and node.module == "json":
            yield f"line {node.lineno} imports parts of json"


def pickled_arrays(path, tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
            if {word.arg: getattr(word.value, "value", None) for word in node.keywords}.get("allow_pickle") is not False:
                yield f"line {node.lineno} reads pickles"


@pytest.mark.parametrize("look", [flagged, named_devices, misplaced_imports, crossed_halves, swallowed, json_elsewhere,
                                  pickled_arrays])
def test_the_rules_of_the_house(look):
    assert complaints(look) == []


def test_the_stand_in_reads_json_in_one_place_too():
    assert complaints(json_elsewhere, UNSHIPPED) == []


def test_the_stand_in_and_the_command_line_import_downwards_only():
    forwarding = "host/cli.py"  # the commands' former place
    assert [said for said in complaints(misplaced_imports, UNSHIPPED)
            if not said.startswith(forwarding) and "a core imports" not in said] == []


@pytest.mark.parametrize("look, place, source", [
    (flagged, "nodes/x.py", "import subprocess"), (flagged, "nodes/x.py", "os.environ['A']"), (flagged, "cli.py", "eval('1')"),
    (flagged, "nodes/x.py", "np.load(f, allow_pickle=True)"), (flagged, "nodes/x.py", "torch.load(f, weights_only=True)"),
    (flagged, IMPORTERS[0], "torch.load(f)"), (named_devices, "nodes/x.py", "x.to('cuda:0')"),
    (misplaced_imports, "media_core/x.py", "from ..nodes import bridge"), (misplaced_imports, "nodes/x.py", "import media_core"),
    (crossed_halves, "moditalker_core/data/x.py", "from ..atom import config"),
    (crossed_halves, "moditalker_core/mtov/x.py", "from ..atom.config import REFERENCES"),
    (crossed_halves, "moditalker_core/atom/x.py", "def f():\n from .. import mtov"),
    (misplaced_imports, "media_core/x.py", "import folder_paths"), (swallowed, "nodes/x.py", "try: a\nexcept Exception: b"),
    (swallowed, "nodes/x.py", "try: a\nexcept OSError: pass"), (json_elsewhere, "nodes/x.py", "json.loads(a)"),
    (json_elsewhere, "nodes/x.py", "from json import loads"), (pickled_arrays, "nodes/x.py", "np.load(a)")])
def test_a_break_of_the_rules_is_seen(look, place, source):
    assert list(look(ROOT / place, ast.parse(source)))


def test_pyproject_lists_every_package_and_requirements_agree():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))
    folders = {path.parent.relative_to(ROOT) for path in [*SHIPPED, *UNSHIPPED] if path.name == "__init__.py"}
    wanted = {".".join(("talking_heads", *folder.parts)) for folder in folders}
    assert set(project["tool"]["setuptools"]["packages"]) == wanted
    lines = [line.strip() for line in (ROOT / "requirements.txt").read_text("utf8").splitlines()]
    assert [line for line in lines if line and not line.startswith("#")] == project["project"]["dependencies"]
    declared = {name.lower() for name in project["project"]["dependencies"]}
    assert not declared & {"torch", "torchvision", "torchaudio", "numpy", "transformers", "pillow"}, "ComfyUI owns these"
    assert "web" not in project["tool"]["comfy"], "WEB_DIRECTORY alone, or the JavaScript loads twice"


def test_no_machine_path_is_in_a_text_file():
    # spelled apart, so that this file does not name what it looks for
    bad = tuple("/" + name + "/" for name in ("work", "root", "shared")) + ("/" + "tmp/",)
    patterns = ("*.md", "*.toml", "workflows/**/*.json", "subgraphs/*.json", "weights/*.json", "web/**/*.md",
                "benchmarks/**/*.py", "integrations/*.py")
    for path in [*SHIPPED, *UNSHIPPED, *(path for pattern in patterns for path in ROOT.glob(pattern))]:
        text = path.read_text("utf8")
        assert not [word for word in bad if word in text], path


def test_imported_libraries_are_declared():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    names = {"cv2": "opencv-python-headless", "skimage": "scikit-image", "PIL": "pillow"}
    groups = ("cpu", "cuda", "hubert", "metrics", "train", "triton")
    extras = [name for group in groups for name in project["optional-dependencies"][group]]
    declared = {name.partition(";")[0].lower().replace("-", "_") for name in [*project["dependencies"], *extras]}
    for path in SHIPPED:
        for level, module in imports(parsed(path)):
            top = module.partition(".")[0]
            if level == 0 and top not in sys.stdlib_module_names and top not in COMFY:
                assert names.get(top, top).lower().replace("-", "_") in declared, f"{path.name} imports {top}"


def test_any_opencv_will_do():
    """What is used of `cv2` is in it, and neither a window nor a contrib module: other packs bring other distributions."""
    import cv2

    used = {node.attr for path in SHIPPED for node in ast.walk(parsed(path))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cv2"}
    assert len(used) > 50
    assert not [name for name in used if not hasattr(cv2, name)]
    assert not used & {"imshow", "waitKey", "namedWindow", "VideoCapture", "VideoWriter", "ximgproc", "face", "xfeatures2d",
                       "optflow", "bgsegm", "bioinspired", "aruco", "tracking", "legacy"}


def test_the_doctor_asks_for_what_is_declared():
    tomllib = pytest.importorskip("tomllib")
    from talking_heads.cli.doctor import _NEEDED

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    assert set(_NEEDED) == {*project["dependencies"], "torch", "numpy", "av", "pillow"}


def handles_a_dataset(path, tree):
    """Whether a module defines what an avatar learns from, or has a function that is given it: a dataset, its tracks, a frame."""
    words = {"AvatarDataset", "Clip", "View"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in words:
            yield f"defines {node.name}"
        if isinstance(node, ast.FunctionDef):
            for given in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
                named = set() if given.annotation is None else {part.id for part in ast.walk(given.annotation)
                                                                if isinstance(part, ast.Name)}
                if given.arg == "dataset" or named & words:
                    yield f"{node.name}({given.arg})"


def test_a_dataset_passes_few_files_on_its_way_through_the_training_of_an_avatar():
    files = [path for folder in ("hmtalker_core", "training_core") for path in sorted((ROOT / folder).rglob("*.py"))]
    passed = {said.split()[0] for said in complaints(handles_a_dataset, files)}
    assert {"hmtalker_core/data/dataset.py", "hmtalker_core/training/train_avatar.py"} <= passed
    assert len(passed) <= 12, sorted(passed)  # 8 when this was written


def test_tests_mirror_the_tree():
    """Every folder of tests stands where the package has one of that name."""
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(folders) > 10
    odd = [folder.as_posix() for folder in folders if folder.as_posix() not in {".", *OWN_FOLDERS}
           and not (ROOT / folder / "__init__.py").exists()]
    assert not odd, f"tests/ has folders that the package does not have: {', '.join(sorted(odd))}"
