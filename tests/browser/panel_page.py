"""A page with a stand-in for ComfyUI's two scripts: the pack's panels in seconds, without ComfyUI."""
from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from comfy_server import ROOT

APP = """export const app = {
  queued: [], async queuePrompt(number) { this.queued.push(number) },
  extensions: [], registerExtension(one) { this.extensions.push(one) },
  graph: {nodes: {}, getNodeById(id) { return this.nodes[id] ?? null }},
  canvas: new (class { static link_type_colors = {}
    default_connection_color_byType = {}
    setDirty() {} })()
}
window.app = app"""
API = """class Api extends EventTarget {
  calls = []
  history = {}
  apiURL(path) { return `/api${path}` }
  async fetchApi(path, given) {
    this.calls.push([path, typeof given?.body === 'string' ? JSON.parse(given.body)
      : given?.body ? [...given.body].map(([name, value]) => [name, value.name ?? value]) : null])
    return {ok: true, json: async () => this.history}
  }
}
export const api = new Api()
window.api = api"""
INDEX = """<!doctype html><meta charset="utf8"><link rel="icon" href="data:,"><style>
:root {--input-text: #ddd; --descrip-text: #999; --comfy-input-bg: #222; --comfy-menu-bg: #353535; --border-color: #4e4e4e}
body {background: #202020} .node {width: 320px; background: #353535; padding: 10px; display: inline-block; vertical-align: top}
</style><script type="module">
import {app} from '/scripts/app.js'
for (const name of NAMES) await import(`/extensions/pack/js/${name}.js`)
for (const one of app.extensions) await one.setup?.()
window.make = (id, type, properties = {}) => {
  const box = document.createElement('div')
  box.className = 'node'
  document.body.append(box)
  const node = {
    id, comfyClass: type, properties, widgets: [], size: [340, 200], graph: app.graph,
    addDOMWidget(name, kind, element, options) {
      const holder = document.createElement('div')
      holder.append(element)
      box.append(holder)
      this.widgets.push({name, options, holder})
      return this.widgets.at(-1)
    },
    computeSize() {
      for (const {holder, options} of this.widgets) holder.style.height = `${options.getMinHeight() - 20}px`
      return [300, 100 + this.widgets.reduce((sum, {options}) => sum + options.getMinHeight(), 0)]
    },
    setSize(size) { this.size = size }
  }
  app.graph.nodes[id] = node
  for (const one of app.extensions) one.nodeCreated?.(node)
  node.onConfigure?.()
}
window.tell = (event, detail) => api.dispatchEvent(new CustomEvent(event, {detail}))
window.ready = true
</script>"""


class PanelServer(ThreadingHTTPServer):
    """`files`: name -> bytes that /view gives; what it does not name is 404. `asked`: (name, range) of each question."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.policy = ""
        self.asked: list[tuple[str, str | None]] = []
        self.names = sorted(path.stem for path in (ROOT / "web" / "js").glob("*.js")
                            if path.stem in ("colours", "node_text", "training_monitor", "video_player"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: PanelServer

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        if where.path == "/api/view":
            name = parse_qs(where.query)["filename"][0]
            self.server.asked.append((name, self.headers.get("Range")))
            self.give(self.server.files.get(name), "video/mp4" if name.endswith(".mp4") else "image/jpeg")
        elif where.path.startswith("/extensions/pack/"):
            self.give((ROOT / "web" / where.path.removeprefix("/extensions/pack/")).read_bytes(), "text/javascript")
        else:
            pages = {"/": (INDEX.replace("NAMES", repr(self.server.names)), "text/html"),
                     "/scripts/app.js": (APP, "text/javascript"), "/scripts/api.js": (API, "text/javascript")}
            self.give(pages[where.path][0].encode(), pages[where.path][1])

    def do_HEAD(self) -> None:
        self.send_response(200)
        if self.server.policy:
            self.send_header("Content-Security-Policy", self.server.policy)
        self.end_headers()

    def give(self, content: bytes | None, kind: str) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        begin = int(found[1]) if found else 0
        self.send_response(404 if content is None else 206 if found else 200)
        part = (content or b"")[begin:]
        if found and content:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *told: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def panel_server() -> Iterator[PanelServer]:
    server = PanelServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def jpeg(path: Path = ROOT / "demo" / "demo_portrait.jpg") -> bytes:
    return path.read_bytes()
