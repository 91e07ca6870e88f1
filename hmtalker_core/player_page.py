"""One HTML file that plays an avatar: our player's modules, the player's file and nothing else. It loads nothing from anywhere.

The modules in `web/js/splat/` are put one after the other, each in a function of its own: browsers open no modules beside a page
that lies on a disk.
"""
from __future__ import annotations

import base64
import html
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..media_core.files import atomic_path
from ..media_core.progress import Report, silent
from .player_file import NOTE, player_file

if TYPE_CHECKING:
    from ..media_core.audio import Sound
    from .avatar import Avatar
    from .avatar_motion import AvatarMotion

SCRIPTS = Path(__file__).parents[1] / "web" / "js" / "splat"
MODULES = ("container", "camera", "order", "shaders", "graphics", "branch", "renderer", "player", "page")
_IMPORT = re.compile(r"^import (\{[^}]*\}) from '\./(\w+)\.js'$", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|class) (\w+))", re.MULTILINE)
_POLICY = ("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; media-src blob:; img-src blob:; "
           "connect-src 'none'")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="Talking Heads">
<meta name="description" content="{note}">
<title>{title}</title>
<style>
html, body {{ margin: 0; height: 100%; background: #181818; color: #ddd; font: 14px/1.4 system-ui, sans-serif }}
main {{ box-sizing: border-box; height: 100%; max-width: 960px; margin: auto; padding: 12px; display: flex;
  flex-direction: column; gap: 6px }}
h1 {{ font-size: 16px; margin: 0; text-align: center }}
#player {{ flex: 1; min-height: 0 }}
footer {{ font-size: 11px; color: #888; text-align: center }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<div id="player"><noscript>The player needs JavaScript.</noscript></div>
<footer>{note}. Likeness: {licence} Player: Talking Heads, Apache-2.0.</footer>
</main>
<script type="text/plain" id="film">{film}</script>
<script type="module">
{script}
</script>
</body>
</html>
"""


def bundled(folder: Path = SCRIPTS) -> str:
    """The player's modules as one script that opens the page's film."""
    parts = []
    for name in MODULES:
        source = (folder / f"{name}.js").read_text("utf8")
        exported = ", ".join(_EXPORT.findall(source))
        body = _EXPORT.sub("", _IMPORT.sub(r"const \1 = \2", source))
        parts.append(f"const {name} = (() => {{\n{body}\nreturn {{ {exported} }}\n}})()")
    return "\n".join([*parts, "page.openPage()"])


def player_page(content: bytes, title: str, licence: str) -> str:
    """The page.

    Args:
        content: `player_file.player_file`.
        title: of the page.
        licence: of the likeness, a sentence.
    """
    return _PAGE.format(policy=_POLICY, note=html.escape(NOTE), title=html.escape(title), licence=html.escape(licence),
                        film=base64.b64encode(content).decode("ascii"), script=bundled())


def save_page(avatar: Avatar, motion: AvatarMotion, path: str | os.PathLike, sound: Sound | None = None, *, title: str = "",
              report: Report = silent) -> Path:
    """Writes the page of an avatar's motion, whole or not at all; arguments as `player_file.player_file`."""
    content = player_file(avatar, motion, sound, title=title, report=report)
    with atomic_path(path) as temporary:
        temporary.write_text(player_page(content, title, avatar.licence), "utf8")
    return Path(path)
