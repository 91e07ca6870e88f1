"""`talking-heads batch --server`: the lines of a manifest as prompts for a running ComfyUI, from the shipped workflows."""
from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from ..host.graph import REPOSITORY
from ..media_core.errors import Cancelled, TalkingHeadsError
from ..media_core.files import atomic_path
from ..media_core.json_files import read_json_object
from .batch_manifest import Job, ManifestError, parsed
from .comfy_client import ComfyClient
from .executor import SERVER, Again, Outcome, Result, Unit, Watch

Prompt = dict[str, dict[str, Any]]
FOLDER = "talking_heads_batch"  # of what is uploaded and made, below the server's input/ and output/
AHEAD = 2  # prompts in the queue: the server never waits for us
PAUSE = 0.5  # s between two looks
WORKFLOWS = {"avatar": "avatar_speech_to_video", "video": "portrait_to_talking_video"}
SAVER = {"avatar": "6", "video": "11"}  # nodes of those workflows
SOUND = {"avatar": "1", "video": "2"}
FORMAT = {"avatar": "5", "video": "10"}
PLACES: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]] = {  # setting -> (node, input) in those workflows
    "avatar": {**{name: [("4", name)] for name in ("blinks", "smoothing", "lip_gain", "seed")},
               **{name: [("5", name)] for name in ("background", "backend", "deformation", "crf", "label")},
               "gate": [("4", "silence_gate")]},
    "video": {"motion_steps": [("8", "steps")], "motion_sampler": [("8", "sampler")], "motion_eta": [("8", "eta")],
              "motion_overlap": [("8", "overlap")], "guidance": [("8", "guidance")], "clip": [("8", "clip")],
              "gate": [("8", "silence_gate")], "seed": [("8", "seed"), ("10", "seed")], "life": [("10", "life")],
              "label": [("10", "label")], "tracker": [("6", "tracker")], "face_index": [("6", "face_index")]}}
LOADERS = {"avatar": ("3", "HMTalker_LoadAvatar", "avatar_name"), "atom": ("3", "MoDiTalker_LoadAToM", "atom_name")}
ELSEWHERE = ("device", "size", "avatar", "atom", "id", "audio", "output", "portrait")  # what else a line may have


class OnServer:
    """The executor that lets a server work.

    Args:
        url: of a ComfyUI with this pack.
        name: of the manifest, for errors; jobs: its lines.
    Raises:
        TalkingHeadsError: it does not answer, lacks the pack, or cannot do all of the jobs.
    """

    def __init__(self, url: str, name: str, jobs: Sequence[Job]):
        self._client = ComfyClient(url)
        self._models = {kind: self._client.choices(node, widget) for kind, (_, node, widget) in LOADERS.items()}
        if None in self._models.values():
            raise TalkingHeadsError(f"ComfyUI at {url} must have the Talking Heads nodes", "it has none of them",
                                    "Install the pack there, and start it again")
        wrong = [f"line {job.line}: {said}" for job in jobs for said in self._wrong(job)]
        if wrong:
            raise ManifestError(name, wrong)
        self._uploaded: dict[str, str] = {}

    def run(self, worker: str, units: Sequence[Unit], *, watch: Watch, again: Again, retries: int = 0,
            ordered: bool = True) -> Generator[Outcome, None, None]:
        """See `Executor`; a server works through its queue in order. `worker` does not matter."""
        running: list[_Sent] = []
        left = list(enumerate(units))
        try:
            while left or running:
                while left and len(running) < AHEAD:
                    number, unit = left.pop(0)
                    watch(number, 0, 0, {})
                    running.append(_Sent(number, unit))
                watch(running[0].number, 0, 0, {SERVER: 1})
                for sent in running:
                    outcome = self._looked(sent, again, retries)
                    if outcome is not None:
                        running.remove(sent)
                        yield outcome
                        break
                else:
                    time.sleep(PAUSE)
        except (Cancelled, KeyboardInterrupt):
            self._client.cancel([sent.prompt_id for sent in running if sent.prompt_id])
            raise

    def _looked(self, sent: _Sent, again: Again, retries: int) -> Outcome | None:
        """How a prompt ended; None: it has not. One that is not in the queue is put there."""
        try:
            if sent.prompt_id is None:
                sent.began = time.perf_counter()
                sent.prompt_id = self._client.submit(self.prompt(sent.unit))
                return None
            outputs = self._client.ended(sent.prompt_id)
            if outputs is None:
                self._check_queued(sent.prompt_id)
                return None
            return sent.outcome(self._fetched(sent.unit, outputs), None)
        except TalkingHeadsError as error:
            sent.prompt_id = None
            if sent.attempts > retries:
                return sent.outcome(None, error)
            sent.attempts += 1
            again(sent.number, error)
            return None

    def _check_queued(self, prompt_id: str) -> None:
        """Raises:
            TalkingHeadsError: the server has forgotten the prompt.
        """
        running, pending = self._client.waiting()
        if prompt_id not in (*running, *pending) and self._client.ended(prompt_id) is None:
            raise TalkingHeadsError("The server must keep its queue", "it no longer knows the job: it was restarted, or its "
                                    "queue was cleared", "Run the same command again")

    def _fetched(self, unit: Unit, outputs: Mapping[str, Any]) -> Result:
        """Downloads the video."""
        shown = outputs.get(SAVER[unit["command"]], {})
        files = shown.get("images") or shown.get("videos") or []
        if not files:
            raise TalkingHeadsError("The server must name the video it made", "it names none", "See the server's log")
        with atomic_path(unit["output"]) as temporary:
            self._client.download(files[0], temporary)
        return {"note": ""}

    def prompt(self, unit: Unit) -> Prompt:
        """The workflow of a line, its files uploaded."""
        command, given = unit["command"], unit["given"]
        options = vars(parsed(command, unit["arguments"]))
        prompt = deepcopy(_workflow(command))
        for name, places in PLACES[command].items():
            for node, widget in places:
                if options[name] not in (None, ""):
                    prompt[node]["inputs"][widget] = options[name]
        kind = "avatar" if command == "avatar" else "atom"
        if given.get(kind):
            prompt[LOADERS[kind][0]]["inputs"][LOADERS[kind][2]] = self._model(kind, given[kind])
        if command == "avatar":
            prompt["5"]["inputs"].update(zip(("width", "height"), options["size"]))
        else:
            prompt["1"]["inputs"]["image"] = self._upload(given["portrait"])
        prompt[SOUND[command]]["inputs"]["audio"] = self._upload(given["audio"])
        prompt[FORMAT[command]]["inputs"]["format"] = Path(unit["output"]).suffix[1:].lower()
        prompt[SAVER[command]] = {"class_type": "TalkingHead_SaveVideoFile", "_meta": {"title": "Save Video File"}, "inputs": {
            "video": [FORMAT[command], 0], "filename_prefix": f"{FOLDER}/{Path(unit['output']).stem}"}}
        return prompt

    def _upload(self, file: str) -> str:
        if file not in self._uploaded:
            from .digests import digest_of

            name = digest_of(Path(file))[:24] + Path(file).suffix.lower()
            self._uploaded[file] = self._client.upload(Path(file), name, FOLDER)
        return self._uploaded[file]

    def _model(self, kind: str, asked: str) -> str | None:
        """The server's name of a model file: as it is asked for, or of the same last part."""
        names = self._models[kind] or []
        same = [name for name in names if Path(name.replace("\\", "/")).name == Path(asked).name]
        return asked if asked in names else same[0] if same else None

    def _wrong(self, job: Job) -> Iterator[str]:
        """Why the server cannot do a job."""
        if "video" in job.given:
            yield "a server makes videos of avatars and portraits; run lines with 'video' without --server"
            return
        for name in job.given:
            if name not in PLACES[job.command] and name not in ELSEWHERE:
                yield f"{name!r} has no effect on a server; leave it out, or run without --server"
        for kind in LOADERS:
            if job.given.get(kind) and self._model(kind, job.given[kind]) is None:
                yield (f"the server has no {kind} {Path(job.given[kind]).name}, only "
                       f"{', '.join(self._models[kind] or []) or 'none'}")


class _Sent:
    """A unit and the prompt that does it."""

    def __init__(self, number: int, unit: Unit):
        self.number, self.unit = number, unit
        self.prompt_id: str | None = None
        self.attempts, self.began = 1, time.perf_counter()

    def outcome(self, result: Result | None, error: Exception | None) -> Outcome:
        return Outcome(self.number, result, error, time.perf_counter() - self.began, self.attempts)


def _workflow(command: str) -> Prompt:
    return read_json_object(Path(REPOSITORY, "workflows", "api", f"{WORKFLOWS[command]}.json"))
