"""The documentation holds together: every page and section that is pointed at exists, and nothing points at papers not here."""
from __future__ import annotations

import re
import shlex
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".git", ".venv", "build", "dist", "output", "fixtures", "__pycache__"}  # folders, wherever they are
PAGE = re.compile(r"(?<!web/)docs/([\w-]+\.md)(?:#([\w-]+))?")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
NOWHERE = re.compile(r"\bspec/|\bspec(?:ification)?(?: sections?| facts?)? \d|\b(?:design|house|field)\.md|\b13 [AB]\d"
                     r"|\([AB]\d{1,2}\)", re.IGNORECASE)


def files(*endings: str) -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*")) if path.suffix in endings and path.is_file()
            and not LEFT_OUT & set(path.relative_to(ROOT).parts)]


PROSE = files(".md")
SOURCES = files(".py", ".toml", ".js")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    """Markdown without its fenced blocks, whose lines are no headings and hold no links."""
    return re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", text, flags=re.MULTILINE | re.DOTALL)


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    seen: Counter[str] = Counter()
    found = []
    for heading in re.findall(r"^#{1,6} +(.+?)(?: +#+)?$", without_code(page.read_text("utf8")), re.MULTILINE):
        anchor = slug(heading)
        found.append(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return frozenset(found)


def missing(page: Path, anchor: str | None) -> str | None:
    """What is wrong with a pointer; None: nothing."""
    if not page.exists():
        return "no such file"
    if anchor and page.suffix == ".md" and anchor not in anchors(page):
        return f"no section #{anchor}"
    return None


def test_there_is_something_to_look_at():
    assert len(PROSE) > 20
    assert len(SOURCES) > 200
    assert {"hmtalker.md", "moditalker.md", "capture.md", "rasterizer.md"} <= {page.name for page in ROOT.glob("docs/*.md")}


@pytest.mark.parametrize("heading, anchor", [
    ("Losses", "losses"), ("HTTP API", "http-api"), ("What `the host` can't do, ever", "what-the-host-cant-do-ever"),
    ("Tri-plane encoder", "tri-plane-encoder"), ("[AToM](x.md) network", "atom-network")])
def test_sections_are_named_as_on_github(heading: str, anchor: str):
    assert slug(heading) == anchor


def test_pages_that_are_named_exist():
    wrong = [f"{name(path)}: {hit[0]}: {why}" for path in [*SOURCES, *PROSE] if path != Path(__file__)
             for hit in PAGE.finditer(path.read_text("utf8")) if (why := missing(ROOT / "docs" / hit[1], hit[2]))]
    assert not wrong, "\n".join(wrong)


def test_links_lead_somewhere():
    wrong = []
    for path in PROSE:
        for link in LINK.finditer(without_code(path.read_text("utf8"))):
            target, _, anchor = unquote(link[1] or link[2]).partition("#")
            page = (path.parent / target).resolve() if target else path
            if not re.match(r"[a-z]+:", target) and (why := missing(page, anchor)):
                wrong.append(f"{name(path)}: {link[0]}: {why}")
    assert not wrong, "\n".join(wrong)


def test_nothing_points_at_what_is_not_here():
    wrong = [f"{name(path)}:{number}: {line.strip()}" for path in [*SOURCES, *PROSE] if path != Path(__file__)
             for number, line in enumerate(path.read_text("utf8").splitlines(), 1) if NOWHERE.search(line)]
    assert not wrong, "\n".join(wrong)


def test_the_archive_of_the_registry_holds_what_its_pages_point_at():
    """Of README and docs: no link leads to what `.comfyignore` leaves out; the pages for people who change the code may."""
    left_out = [line for line in (ROOT / ".comfyignore").read_text("utf8").splitlines() if line]
    wrong = []
    of_code = ("adding.md", "live.md", "batch.md")
    for page in [ROOT / "README.md", *(path for path in ROOT.glob("docs/*.md") if path.name not in of_code)]:
        for link in LINK.finditer(without_code(page.read_text("utf8"))):
            target = unquote(link[1] or link[2]).partition("#")[0]
            if target and not re.match(r"[a-z]+:", target):
                inside = (page.parent / target).resolve().relative_to(ROOT)
                wrong += [f"{name(page)}: {target}" for line in left_out if inside.match(line.rstrip("/")) or (
                    line.endswith("/") and inside.parts[0] == line.rstrip("/"))]
    assert not wrong, wrong


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text("utf8")
    assert not [page.name for page in ROOT.glob("docs/*.md") if page.name != "README.md" and f"({page.name})" not in index]


def test_modules_that_pages_name_exist():
    """`folder/module.py`, from the root or within some folder, or `module.py` alone."""
    known = [f"/{name(path)}" for path in SOURCES]
    pages = [page for page in ROOT.glob("docs/*.md") if page.name != "adding.md"]  # names files to come (test_adding.py)
    wrong = [f"{name(page)}: {named}" for page in pages
             for named in re.findall(r"`([\w/]+\.py)", page.read_text("utf8")) if not any(k.endswith(f"/{named}") for k in known)]
    assert not wrong, "\n".join(wrong)


def test_commands_of_the_readme_exist():
    from talking_heads.cli.main import parser

    pages = "\n".join((ROOT / page).read_text("utf8") for page in ("README.md", "docs/command_line.md"))
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", pages, re.MULTILINE | re.DOTALL)
    commands = [found[1] for language, block in blocks if not language
                for found in re.finditer(r"(?:/talking-heads|talking_heads\.cli) ([^#\n]*)", block)]
    assert len(commands) > 10
    for command in commands:
        parser().parse_args(shlex.split(command))  # another command or option ends in SystemExit


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """As it stands there, in a folder that has what it reads."""
    code = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf8"), re.MULTILINE | re.DOTALL)
    assert code
    assert len(code[1].splitlines()) <= 12
    for folder in ("weights", "demo"):
        (tmp_path / folder).symlink_to(ROOT / folder, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    exec(compile(code[1], "README.md", "exec"), {"__name__": "readme"})  # noqa: S102 - our own page
    assert (tmp_path / "out.mp4").stat().st_size > 10_000
    assert "frames per second" in capsys.readouterr().out
