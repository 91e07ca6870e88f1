"""No private word in what users read: the texts use the words of the field."""
from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Iterator

import make_workflows
import pytest
from pack import ROOT, own_object_info, temporary_host
from pages.blueprints import BLUEPRINTS
from pages.catalogue import PAGES

WORDS = {  # a pattern: what the field says
    r"films?": "video",
    r"sounds?": "audio",
    r"pictures?": "image, or frame of a video",
    r"data sets?": "dataset",
    r"(frames?|times|images|pictures) a second": "frames per second",
    r"(one|row|sets?|units|points|face|pose|file|images?|degrees|time) a (film )?frame": "per frame",
    r"(clips|windows|windows of motion) a step": "per step",
    r"rate of learning|learning[- ]rates? of chance": "learning rate",
    r"(share|ratio) of (fresh )?noise": "strength, or fraction of noise",
    r"calls of (the )?(network|ddim|sampler)|\d+ calls?": "steps",
    r"judges?": "discriminators",
    r"(clips|people|kept) aside|held clips?": "held-out",
    r"verdicts?": "evaluation result",
    r"lively|livel(ier|iest)": "motion-weighted, or expressive",
    r"anchored|unanchored": "with the detail residual",
    r"settled": "resolved",
    r"undelayed|without delay(?!:)": "zero-phase",
    r"to and fro": "ping-pong",
    r"anew": "start over (resume off), or again",
    r"(graphics )?cards?": "GPU",
    r"learnt|has learned|was learned": "trained",
    r"not told|what came|is told by name|tells it": "a plain phrase",
    r"drowned": "how much noise is added",
    r"invented (person|people|face|identity)": "synthetic",
    r"published": "official",
    r"half-written": "partial",
}
ALLOWED = (  # where such a word is right
    "Film people only with their consent",  # the verb
    "smoothly and without delay",
    "demo, standard or published", "demo, standard, published or finetune",  # presets
    "speech sounds",
    "the carrier picture", "picture moves the image's own pixels", "default: picture", "for picture only",  # the stored value
)
CODE = re.compile(r"```.*?```|`[^`]*`|https?://\S+|<!--.*?-->", re.DOTALL)  # ids, commands, stored values, file names
FORBIDDEN = re.compile(r"(?<![\w/.-])(" + "|".join(f"(?:{pattern})" for pattern in WORDS) + r")(?![\w/-]|\.\w)", re.IGNORECASE)
MESSAGES = {"TalkingHeadsError", "FileFormatError"}

Texts = Iterator[tuple[str, str]]  # (where, text)


def schemas() -> Texts:
    """Display names, descriptions, tooltips and labels of `/object_info`; an input's own choices are ids."""
    for name, info in own_object_info(temporary_host()).items():
        yield name, info["display_name"]
        yield name, info["description"]
        yield from ((name, tip) for tip in info["output_tooltips"])
        for key, spec in {**info["input"].get("required", {}), **info["input"].get("optional", {})}.items():
            choices = "|".join(map(re.escape, sorted(filter(None, spec[1].get("options") or []), key=len, reverse=True)))
            tip = re.sub(rf"(?<=[\s(])({choices})(?=[\s:;,).])", "", f" {spec[1]['tooltip']}") if choices else spec[1]["tooltip"]
            yield f"{name}.{key}", f"{spec[1].get('display_name', '')}\n{tip}"


def labels() -> Texts:
    """The English labels, which are what the page shows."""
    for name, entry in json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text("utf8")).items():
        yield name, entry["display_name"]
        yield from ((f"{name}.{key}", own["name"]) for part in ("inputs", "outputs") for key, own in entry[part].items())


def help_pages() -> Texts:
    """The prose; the tables of inputs and outputs are the schemas'."""
    for path in sorted((ROOT / "web" / "docs").glob("*.md")):
        yield path.name, path.read_text("utf8").partition("## Inputs")[0]


def readme() -> Texts:
    yield "README.md", (ROOT / "README.md").read_text("utf8")


def workflows() -> Texts:
    yield from make_workflows.NOTES.items()
    yield from ((one.title, f"{one.description}\n{' '.join(one.aliases)}") for one in BLUEPRINTS)
    yield from ((page.title, "\n".join(shown for *_, shown in page.app.inputs)) for page in PAGES if page.app)
    for path in sorted((ROOT / "workflows" / "api").glob("*.json")):
        yield from ((path.name, node["_meta"]["title"]) for node in json.loads(path.read_text("utf8")).values())


def captions() -> Texts:
    """What stands below the previews; a counted name is shown in its own word."""
    from talking_heads.media_core.captions import COUNTED, FIGURES, STAGES, caption

    yield from ((f"{key} {value}", words) for (key, value), words in STAGES.items())
    yield from ((name, show(1.0)) for name, show in FIGURES.items())
    yield from ((one, caption({one: 1, all_of: 2})) for one, all_of in COUNTED)


def node_messages() -> Texts:
    yield from messages("nodes")


def method_pages() -> Texts:
    """Of papers and of what was published with them; FiLM is a layer."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        yield path.name, re.sub(r"FiLMs?|[Pp]ublished", "", path.read_text("utf8"))


def command_line() -> Texts:
    """The help of every command."""
    from talking_heads.cli.main import parser

    waiting = [("talking-heads", parser())]
    while waiting:
        name, one = waiting.pop()
        yield name, re.sub(r"\{[^}]*\}|--[\w-]+|\b[A-Z_]{2,}\b", "", one.format_help())  # choices, options, placeholders
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += [(f"{name} {key}", below) for key, below in action.choices.items()]


def core_messages() -> Texts:
    for folder in ("cli", "hmtalker_core", "host", "media_core", "moditalker_core", "training_core"):
        yield from messages(folder)


def messages(folder: str) -> Texts:
    """What the errors of a folder say, without what is filled in."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", None) in MESSAGES:
                parts = (part.value for value in call.args for part in ast.walk(value) if isinstance(part, ast.Constant))
                yield f"{path.relative_to(ROOT)}:{call.lineno}", " ".join(part for part in parts if isinstance(part, str))


SOURCES = [schemas, labels, help_pages, readme, workflows, captions, node_messages, command_line, method_pages, core_messages]


def private(text: str) -> list[str]:
    """The private words of a text, outside of code and of what is allowed."""
    return [found[0] for found in FORBIDDEN.finditer(prose(text))]


def prose(text: str) -> str:
    """A text in one line, without code and what is allowed."""
    plain = CODE.sub(" ", text)
    for phrase in ALLOWED:
        plain = re.sub(r"\s+".join(map(re.escape, phrase.split())), " ", plain)
    return re.sub(r"[ \t\n]+", " ", plain)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_users_read_the_words_of_the_field(source):
    texts = list(source())
    assert texts, "nothing was read"
    found = [f"{where}: {word[0]!r} in ...{plain[max(0, word.start() - 60):word.end() + 40]}..."
             for where, plain in ((where, prose(text)) for where, text in texts) for word in FORBIDDEN.finditer(plain)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text, words", [
    ("The film is played to and fro.", ["film", "to and fro"]),
    ("25 frames a second, a row a film frame", ["frames a second", "row a film frame"]),
    ("A data set of pictures\nwith sound", ["data set", "pictures", "sound"]),
    ("Film people only with their\nconsent; `film.mp4` and `pictures` are names.", []),
    ("A second video; talking_heads/pictures; the audio in every frame.", []),
])
def test_private_words_are_found_and_ids_are_not(text, words):
    assert private(text) == words
