"""What the pack publishes: ids, texts, help pages, labels; nothing published may change."""
from __future__ import annotations

import inspect
import json
import math
import re
from pathlib import Path

import pytest
from pack import english, own_object_info

IDS = sorted(json.loads((Path(__file__).parent / "object_info.json").read_text("utf8")))
FLOOR_KEYWORDS = {  # what Schema takes in ComfyUI 0.19
    "node_id", "display_name", "category", "description", "search_aliases", "inputs", "outputs", "hidden", "is_output_node",
    "is_input_list",
    "is_deprecated", "is_experimental", "not_idempotent", "enable_expand", "has_intermediate_output"}


@pytest.fixture
def infos(host):
    return own_object_info(host)


def inputs_of(info):
    return {**info["input"].get("required", {}), **info["input"].get("optional", {})}


def widened(before: str, now: str) -> bool:
    """Whether an input takes every type it took: FLOAT may become STRING,FLOAT, nothing may become narrower."""
    return set(before.split(",")) <= set(now.split(","))


def shown_digits(options) -> int:
    """Decimals the page shows of a FLOAT widget, and rounds to where `round` is not given (useFloatWidget.ts, 1.41-1.58)."""
    return max(0, -math.floor(math.log10(options.get("step", 0.5))))


def test_every_contracted_node_is_there(infos):
    assert {"TalkingHead_SyntheticSubject", "TalkingHead_EncodeSpeech", "HMTalker_TrainAvatar", "HMTalker_LoadAvatar",
            "HMTalker_DriveAvatar", "HMTalker_RenderAvatar", "HMTalker_RenderAvatarVideo",
            "HMTalker_AvatarFrameToSplat", "TalkingHead_TrackFace", "TalkingHead_PortraitLandmarks",
            "TalkingHead_ImportActionUnits", "TalkingHead_PrepareDataset", "TalkingHead_PickSegment", "TalkingHead_FaceCrop",
            "TalkingHead_FacePasteBack", "TalkingHead_PreviewLandmarks", "TalkingHead_PreviewCurves", "TalkingHead_Metrics",
            "TalkingHead_SpeechFromAudioEncoder", "MoDiTalker_LoadMToV", "MoDiTalker_ImportMToV", "MoDiTalker_MotionToVideo",
            "MoDiTalker_MotionToVideoFile", "MoDiTalker_MotionToFilm", "MoDiTalker_TrainMToV"} <= set(infos)


def test_what_is_published_only_grows(infos, root):
    """Ids, input names, types, order and outputs of the golden file are all still there; run tests/update_golden.py to add. What
    was required may become optional."""
    golden = json.loads((root / "tests" / "nodes" / "object_info.json").read_text("utf8"))
    for node_id, old in golden.items():
        new = infos[node_id]
        assert new["output"][:len(old["output"])] == old["output"], node_id
        assert new["output_name"][:len(old["output_name"])] == old["output_name"], node_id
        freed = set(old["input"].get("required", {})) & set(new["input"].get("optional", {}))
        for kind in ("required", "optional"):
            before, now = ({name: spec for name, spec in info["input"].get(kind, {}).items() if name not in freed}
                           for info in (old, new))
            assert list(now)[:len(before)] == list(before), f"{node_id}: {kind} inputs were renamed, reordered or removed"
            for name, spec in before.items():
                assert widened(spec[0], now[name][0]), f"{node_id}.{name} changed its type"
                gone = set(spec[1].get("options") or []) - set(now[name][1].get("options") or [])
                assert not gone, f"{node_id}.{name} lost {gone}"
        for name in freed:
            assert widened(old["input"]["required"][name][0], new["input"]["optional"][name][0]), f"{node_id}.{name}"
        grown = list(inputs_of(new).items())[len(inputs_of(old)):]
        assert all("default" in spec[1] or name in new["input"].get("optional", {}) for name, spec in grown), node_id


def test_a_type_may_widen_and_not_narrow():
    assert widened("FLOAT", "STRING,FLOAT,INT") and widened("INT", "INT")
    assert not widened("STRING,INT", "INT") and not widened("FLOAT", "STRING,INT")


@pytest.mark.parametrize("node_id", IDS)
def test_number_widgets_show_what_they_hold(infos, node_id):
    """A value that the page cannot show exactly is changed silently when it is edited, or shown as another."""
    for name, (kind, options) in inputs_of(infos[node_id]).items():
        if kind not in ("INT", "FLOAT"):
            continue
        least, most = options["min"], options["max"]
        assert least < most and least <= options["default"] <= most, name
        if kind == "INT":  # the page rounds to steps from the least
            assert (options["default"] - least) % options.get("step", 1) == 0, name
            continue
        digits = shown_digits(options)
        assert digits > 0, f"{name}: a step of 1 hides every fraction"
        for key in {"default", "min", "max", "step", "round"} & set(options):
            assert round(options[key], digits) == options[key], f"{name}: {key} {options[key]} is shown with {digits} decimals"
        assert most <= 100_000 and options["step"] * 10 <= most - least, name


def test_the_golden_file_is_up_to_date(infos, root):
    golden = json.loads((root / "tests" / "nodes" / "object_info.json").read_text("utf8"))
    assert json.loads(json.dumps(infos)) == golden, "run: python tests/update_golden.py, and look at the difference"


@pytest.mark.parametrize("node_id", IDS)
def test_a_node_explains_itself(infos, node_id):
    info = infos[node_id]
    assert re.fullmatch(r"(TalkingHead|HMTalker|MoDiTalker)_[A-Za-z]+", node_id)
    assert info["category"].startswith("Talking Heads/")
    assert len(info["description"]) > 40 and info["search_aliases"] and info["display_name"]
    for name, spec in inputs_of(info).items():
        assert len(spec[1].get("tooltip") or "") > 10, f"input {name} has no tooltip"
    assert len(info["output_tooltips"]) == len(info["output"])
    assert all(len(tip or "") > 10 for tip in info["output_tooltips"])


@pytest.mark.parametrize("node_id", IDS)
def test_a_help_page_names_every_input_and_output(infos, root, node_id):
    page = (root / "web" / "docs" / f"{node_id}.md").read_text("utf8")
    assert page.startswith(f"# {infos[node_id]['display_name'].partition(' (')[0]}")
    for name in [*inputs_of(infos[node_id]), *infos[node_id]["output_name"]]:
        assert f"`{name}`" in page, f"{name} is not explained"


def test_no_help_page_is_left_over(infos, root):
    assert {path.stem for path in (root / "web" / "docs").glob("*.md")} == set(infos)


def test_chinese_help_uses_the_labels_that_the_page_shows(infos, root):
    labels = json.loads((root / "locales" / "zh" / "nodeDefs.json").read_text("utf8"))
    nodes = {entry["display_name"] for entry in labels.values()}
    pages = sorted((root / "web" / "docs").glob("*/zh.md"))
    assert len(pages) >= 10
    shown = {label["name"] for entry in labels.values() for part in ("inputs", "outputs") for label in entry[part].values()}
    for page in pages:
        text, node = page.read_text("utf8"), labels[page.parent.name]
        own = {label["name"] for part in ("inputs", "outputs") for label in node[part].values()}
        assert text.startswith(f"# {node['display_name']}\n"), page
        bold = set(re.findall(r"\*\*([^*]+)\*\*", text))
        assert bold & own, page
        assert bold <= shown, (page, bold - shown)
        named = {name for name in re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", text) if not name.isascii()}
        assert named <= nodes, (page, named - nodes)


def test_english_labels_are_the_schemas_own(infos, root):
    labels = json.loads((root / "locales" / "en" / "nodeDefs.json").read_text("utf8"))
    assert labels == english(infos), "run: python tests/update_golden.py"


def test_chinese_labels_are_complete(infos, root):
    def shape(value):
        return {key: shape(item) for key, item in value.items()} if isinstance(value, dict) else bool(value)

    chinese = json.loads((root / "locales" / "zh" / "nodeDefs.json").read_text("utf8"))
    assert shape(chinese) == shape(english(infos))
    for node_id, entry in chinese.items():
        assert re.search("[\u4e00-\u9fff]", entry["display_name"] + entry["description"]), node_id


def test_categories_are_labelled_in_both_languages(infos, root):
    parts = {part for info in infos.values() for part in info["category"].split("/")}
    for language in ("en", "zh"):
        assert parts <= set(json.loads((root / "locales" / language / "main.json").read_text("utf8"))["nodeCategories"])


def test_socket_types_have_names_in_both_languages(infos, root):
    sockets = {kind for info in infos.values() for kind in [*info["output"], *(spec[0] for spec in inputs_of(info).values())]}
    ours = {kind for kind in sockets if kind.startswith("TH_")}
    assert len(ours) > 10
    for language in ("en", "zh"):
        named = json.loads((root / "locales" / language / "main.json").read_text("utf8"))["dataTypes"]
        assert set(named) == ours and all(named.values()) and len(set(named.values())) == len(ours)


def test_nodes_are_short_and_need_nothing_newer_than_the_floor(host):
    for node_id, node in host.packs[0].nodes.items():
        lines = inspect.getsource(node)
        assert len(lines.splitlines()) < 60, f"{node_id} has {len(lines.splitlines())} lines"
        schema = inspect.getsource(node.define_schema)
        used = set(re.findall(r"^            (\w+)=", schema, re.MULTILINE))
        assert used <= FLOOR_KEYWORDS, f"{node_id} uses {used - FLOOR_KEYWORDS}"


def test_choices_spelled_out_in_nodes_are_the_cores_own(host):
    """The node files spell these out so that registering the pack imports no model code."""
    from talking_heads.hmtalker_core.backend_registry import CHOICES
    from talking_heads.hmtalker_core.training.config import FORMERLY, presets
    from talking_heads.hmtalker_core.training.train_avatar import unfinished_path
    from talking_heads.media_core.capture.settings import ORDERS, POLICIES
    from talking_heads.media_core.face.action_units.au_files import FORMATS
    from talking_heads.media_core.mouth import REGIONS
    from talking_heads.media_core.speech.audio_encoder_output import AUTO, LAYERS
    from talking_heads.media_core.speech.registry import KINDS
    from talking_heads.media_core.video_formats import FORMATS as FORMATS_OF_VIDEO
    from talking_heads.moditalker_core.atom.diffusion import SAMPLERS
    from talking_heads.moditalker_core.atom.train_config import presets as atom_presets
    from talking_heads.moditalker_core.choices import CARRIERS, NOISES
    from talking_heads.moditalker_core.data.images import CROPS
    from talking_heads.moditalker_core.mtov.conditions import RESIZES
    from talking_heads.moditalker_core.mtov.diffusion import SAMPLERS as video_samplers
    from talking_heads.moditalker_core.mtov.train_config import PRECISIONS, STAGES
    from talking_heads.moditalker_core.mtov.train_config import presets as mtov_presets
    from talking_heads.moditalker_core.official import WEIGHTS

    def options(node_id, name):
        return inputs_of(host.object_info([node_id])[node_id])[name][1]["options"]

    assert options("TalkingHead_EncodeSpeech", "encoder") == list(KINDS)
    assert options("TalkingHead_SpeechFromAudioEncoder", "encoder") == [AUTO, *LAYERS]
    assert options("HMTalker_TrainAvatar", "preset") == [*presets(), *FORMERLY]
    assert options("HMTalker_RenderAvatarVideo", "backend") == list(CHOICES)
    assert options("TalkingHead_TrackFace", "policy") == list(POLICIES)
    assert options("TalkingHead_TrackFace", "order") == list(ORDERS)
    assert set(options("TalkingHead_ImportActionUnits", "tool")) == {"auto", *FORMATS}
    assert options("MoDiTalker_GenerateMotion", "sampler")[1:] == list(SAMPLERS)
    assert options("MoDiTalker_ImportAToM", "weights") == list(WEIGHTS)
    assert options("MoDiTalker_TrainAToM", "preset") == list(atom_presets())
    assert options("TalkingHead_BlendLandmarks", "region") == list(REGIONS)
    for node_id in ("TalkingHead_MotionDataset", "HMTalker_TrainAvatar"):
        assert options(node_id, "encoder") == options("TalkingHead_EncodeSpeech", "encoder")
    for node_id in ("MoDiTalker_MotionToVideo", "MoDiTalker_MotionToVideoFile", "MoDiTalker_MotionToFilm"):
        assert options(node_id, "sampler")[1:] == list(video_samplers)
        assert node_id == "MoDiTalker_MotionToFilm" or options(node_id, "resize") == list(RESIZES)
        assert options(node_id, "carrier") == list(CARRIERS) and options(node_id, "noise") == list(NOISES)
    assert [f".{name}" for name in options("MoDiTalker_MotionToVideoFile", "format")] == list(FORMATS_OF_VIDEO)
    assert options("MoDiTalker_TrainMToV", "stage") == list(STAGES)
    assert options("MoDiTalker_TrainMToV", "preset") == list(mtov_presets())
    assert options("MoDiTalker_TrainMToV", "precision")[1:] == list(PRECISIONS)
    assert options("TalkingHead_MotionDataset", "crop") == list(CROPS)
    assert unfinished_path("x/a.safetensors").name == "a.training.safetensors"
