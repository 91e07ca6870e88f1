"""Rules of the house that can be read off the source: what the registry flags, which layer imports which, what is packaged."""
from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_SHIPPED = ("host", "tests", "benchmarks", "weights")  # weights/ holds scripts that made them; see .comfyignore
IMPORTERS = ("moditalker_core/published.py",)  # read published checkpoints once, with torch's restricted reader
LAYERS = {  # folder -> what its modules may import from inside the package
    "media_core": {"media_core"},
    "hmtalker_core": {"hmtalker_core", "media_core"},
    "moditalker_core": {"moditalker_core", "media_core"},
    "nodes": {"nodes", "hmtalker_core", "moditalker_core", "media_core"},
}
COMFY = {"comfy", "comfy_api", "comfy_execution", "folder_paths", "server", "execution"}
FLAGGED_IMPORTS = {"subprocess", "pickle", "socket", "requests", "urllib", "http", "ftplib", "dill", "cloudpickle"}
FLAGGED_CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "urlopen", "getenv"}


def sources() -> list[Path]:
    found = [path.relative_to(ROOT).parts for path in ROOT.rglob("*.py")]
    left_out = {*NOT_SHIPPED, ".venv", "build", "dist"}
    return [ROOT.joinpath(*parts) for parts in found if parts[0] not in left_out]


SHIPPED = sources()


def trees():
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in SHIPPED]


def imports(tree: ast.AST):
    """(level, module) of every import, `from . import x` as (1, "x")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from [(node.level, node.module)] if node.module else ((node.level, alias.name) for alias in node.names)


def test_there_is_source_to_look_at():
    assert len(SHIPPED) > 30


@pytest.mark.parametrize("path", trees())
def test_nothing_the_registry_flags(path):
    tree = ast.parse(path.read_text("utf8"))
    for level, module in imports(tree):
        assert level or not {module, module.partition(".")[0]} & FLAGGED_IMPORTS, f"imports {module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in ("environ", "system", "popen", "getenv", "putenv"), f"os.{node.attr}"
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else None
            assert name not in FLAGGED_CALLS, f"calls {name}, line {node.lineno}"
            assert not any(k.arg == "allow_pickle" and getattr(k.value, "value", True) for k in node.keywords), "reads pickles"
            restricted = any(k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in node.keywords)
            importer = path.relative_to(ROOT).as_posix() in IMPORTERS
            assert ast.unparse(node.func) != "torch.load" or restricted and importer, "torch.load reads pickles"


@pytest.mark.parametrize("path", trees())
def test_no_device_is_named_outside_its_back_end(path):
    if path.relative_to(ROOT).as_posix() == "hmtalker_core/rasterizer/cuda_gsplat.py":
        return
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert node.value != "cuda" and not node.value.startswith("cuda:"), f"line {node.lineno}"


@pytest.mark.parametrize("path", trees())
def test_layers_import_one_way_and_relatively(path):
    place = path.relative_to(ROOT)
    own = {part.name for part in ROOT.iterdir() if part.is_dir()} | {"talking_heads"}
    for level, module in imports(ast.parse(path.read_text("utf8"))):
        if level == 0:
            top = module.partition(".")[0]
            assert top not in own - {"tests"} or top == "host", f"absolute import of {module}"
            assert place.parts[0] == "nodes" or top not in COMFY, f"a core imports {module}"
            continue
        base = place.parts[:len(place.parts) - level]
        target = (*base, *module.split("."))[0]
        if place.parts[0] in LAYERS:
            assert target in LAYERS[place.parts[0]], f"{place} imports {target}"


@pytest.mark.parametrize("path", trees())
def test_no_broad_or_silent_except(path):
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
            raises = any(isinstance(part, ast.Raise) for part in ast.walk(node))
            assert not broad or raises, f"line {node.lineno} swallows everything"
            optional = getattr(node.type, "id", "") == "ImportError"  # "is this library here?" may have a silent no
            assert optional or not all(isinstance(part, ast.Pass) for part in node.body), f"line {node.lineno} passes silently"


def test_pyproject_lists_every_package_and_requirements_agree():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))
    folders = {path.parent.relative_to(ROOT) for path in [*SHIPPED, *ROOT.glob("host/**/*.py")] if path.name == "__init__.py"}
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
    patterns = ("host/**/*.py", "*.md", "*.toml", "workflows/**/*.json", "weights/*.json", "web/**/*.md", "benchmarks/**/*.py")
    for path in [*SHIPPED, *(path for pattern in patterns for path in ROOT.glob(pattern))]:
        text = path.read_text("utf8")
        assert not [word for word in bad if word in text], path


def test_imported_libraries_are_declared():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    names = {"cv2": "opencv-python-headless", "skimage": "scikit-image", "PIL": "pillow"}
    extras = [name for group in ("cpu", "cuda", "hubert", "train") for name in project["optional-dependencies"][group]]
    declared = {name.lower().replace("-", "_") for name in [*project["dependencies"], *extras]}
    for path in SHIPPED:
        for level, module in imports(ast.parse(path.read_text("utf8"))):
            top = module.partition(".")[0]
            if level == 0 and top not in sys.stdlib_module_names and top not in COMFY:
                assert names.get(top, top).lower().replace("-", "_") in declared, f"{path.name} imports {top}"


def test_the_doctor_asks_for_what_is_declared():
    tomllib = pytest.importorskip("tomllib")
    from talking_heads.host.doctor import _NEEDED

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    assert set(_NEEDED) == {*project["dependencies"], "torch", "numpy", "av", "pillow"}


JSON_READER = "media_core/json_files.py"  # the one place where JSON text becomes values


@pytest.mark.parametrize("path", [*trees(), *(pytest.param(path, id=path.relative_to(ROOT).as_posix())
                                              for path in sorted(ROOT.glob("host/**/*.py")))])
def test_json_is_read_in_one_place(path):
    """With its bounds: Python's own parser lets other errors out, and takes any depth, size and NaN."""
    if path.relative_to(ROOT).as_posix() == JSON_READER:
        return
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("json", "JSONDecoder"):
            assert node.attr not in ("load", "loads", "JSONDecoder", "decode"), f"line {node.lineno} reads JSON by itself"
        if isinstance(node, ast.ImportFrom):
            assert node.module != "json", f"line {node.lineno} imports parts of json"


@pytest.mark.parametrize("path", trees())
def test_arrays_are_read_without_pickles(path):
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
            told = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            assert told.get("allow_pickle") is False, f"line {node.lineno}"
