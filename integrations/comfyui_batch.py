"""Many talking videos through a running ComfyUI with the Talking Heads nodes; Python's standard library alone.

    python comfyui_batch.py http://127.0.0.1:8188 workflows/api/avatar_speech_to_video.json Speech.audio out a.wav b.wav

Uploads each file, puts it into the input TITLE.INPUT of the workflow (API format), queues all of them and writes each video to
OUT/NAME.mp4 as soon as it is made. `talking-heads batch --server` does the same with retries, resuming and a report.
"""
import json
import sys
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path


def call(url, body=None, kind="application/json"):
    """The answer to a GET or, with a body, to a POST."""
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": kind}), timeout=60) as answer:
        return answer.read()


def upload(server, path):
    """Puts a file into the server's input folder; its name there."""
    mark = uuid.uuid4().hex
    head = (f'--{mark}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--{mark}\r\n'
            f'Content-Disposition: form-data; name="image"; filename="{path.name}"\r\n\r\n')
    body = head.encode() + path.read_bytes() + f"\r\n--{mark}--\r\n".encode()
    return json.loads(call(f"{server}/upload/image", body, f"multipart/form-data; boundary={mark}"))["name"]


def queue(server, workflow, place, value):
    """Queues the workflow with that value in the input TITLE.INPUT; the prompt's id."""
    title, _, name = place.rpartition(".")
    prompt = json.loads(Path(workflow).read_text("utf8"))
    next(node for node in prompt.values() if node["_meta"]["title"] == title)["inputs"][name] = value
    return json.loads(call(f"{server}/prompt", json.dumps({"prompt": prompt}).encode()))["prompt_id"]


def fetch(server, prompt_id, target):
    """Waits for a prompt and writes the first file in its output folder to `target`."""
    while not (entry := json.loads(call(f"{server}/history/{prompt_id}")).get(prompt_id)):
        time.sleep(1)
    if entry["status"]["status_str"] != "success":
        failed = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
        raise RuntimeError(failed[0]["exception_message"] if failed else "interrupted")
    files = [file for shown in entry["outputs"].values() for file in shown.get("images", []) if file["type"] == "output"]
    part = target.with_suffix(".part")
    part.write_bytes(call(f"{server}/view?{urllib.parse.urlencode(files[0])}"))
    part.replace(target.with_suffix(Path(files[0]["filename"]).suffix))


def main(server, workflow, place, out, *files):
    """The number of videos that failed."""
    Path(out).mkdir(parents=True, exist_ok=True)
    queued = [(path, queue(server, workflow, place, upload(server, path))) for path in map(Path, files)]
    failed = 0
    for path, prompt_id in queued:
        try:
            fetch(server, prompt_id, Path(out) / f"{path.stem}.mp4")
            print(f"{path.name}: done")
        except (RuntimeError, IndexError, OSError) as error:
            failed += 1
            print(f"{path.name}: {error}")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
