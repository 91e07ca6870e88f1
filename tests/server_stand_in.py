"""A stand-in for the queue of ComfyUI: keeps what it is sent, and makes a "video" of each prompt when asked for the history."""
from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

AVATARS, ATOMS = ["demo_avatar.safetensors", "team/me.safetensors"], ["demo_atom.safetensors"]


class StandIn:
    """Listens on a free port; `fail` holds how often prompts that name a file fail, `held` keeps prompts in the queue."""

    def __init__(self):
        self.uploads, self.prompts, self.calls, self.fail, self.held, self.pack = {}, {}, [], {}, False, True
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(stand_in.get(self.path))

            def do_POST(self):
                self.answer(stand_in.post(self.path, self.rfile.read(int(self.headers["Content-Length"]))))

            def answer(self, told):
                status, body = told if isinstance(told, tuple) else (200, told)
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def get(self, path):
        parts = urlsplit(path)
        if parts.path.startswith("/object_info/"):
            return self.info(parts.path.rpartition("/")[2]) if self.pack else {}
        if parts.path == "/queue":
            ids = [key for key in self.prompts if self.held]
            return {"queue_running": [[0, key] for key in ids[:1]], "queue_pending": [[1, key] for key in ids[1:]]}
        if parts.path.startswith("/history/"):
            return {} if self.held else self.history(parts.path.rpartition("/")[2])
        if parts.path == "/view":
            return f"video {parse_qs(parts.query)['filename'][0]}".encode()
        return 404, {}

    def info(self, node):
        name, files = ("avatar_name", AVATARS) if node == "HMTalker_LoadAvatar" else ("atom_name", ATOMS)
        return {node: {"input": {"required": {name: ["COMBO", {"options": files}]}}}}

    def history(self, key):
        if key not in self.prompts:
            return {}
        text = json.dumps(self.prompts[key])
        for word in self.fail:
            if word in text and self.fail[word]:
                self.fail[word] -= 1
                return {key: {"status": {"status_str": "error", "messages": [
                    ["execution_error", {"exception_message": "The speech must last longer. Got: none. Record more.\n"}]]}}}
        (saver, node), = [(n, one) for n, one in self.prompts[key].items() if one["class_type"] == "TalkingHead_SaveVideoFile"]
        file = {"filename": f"{node['inputs']['filename_prefix']}_1.mp4", "subfolder": "", "type": "output"}
        return {key: {"status": {"status_str": "success"}, "outputs": {saver: {"images": [file]}}}}

    def post(self, path, body):
        self.calls.append((path, body))
        if path == "/upload/image":
            (name,) = re.findall(rb'filename="([^"]+)"', body)
            (folder,) = re.findall(rb'name="subfolder"\r\n\r\n([^\r]*)', body)
            self.uploads[name.decode()] = body
            return {"name": name.decode(), "subfolder": folder.decode(), "type": "input"}
        if path == "/prompt":
            prompt = json.loads(body)["prompt"]
            if "refused" in body.decode():
                return 400, {"error": {"message": "bad"}, "node_errors": {"4": {
                    "class_type": "X", "errors": [{"message": "Value not in list", "details": "blinks"}]}}}
            key = f"p{len(self.prompts)}"
            self.prompts[key] = prompt
            return {"prompt_id": key, "node_errors": {}}
        return {}
