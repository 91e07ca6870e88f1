"""integrations/livetalking_avatar.py in a stand-in of what it needs of LiveTalking: registry, base class, audio queue."""
from __future__ import annotations

import importlib.util
import queue
import sys
import threading
import types
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from talking_heads.hmtalker_core.live import AvatarStream
from talking_heads.hmtalker_core.live_driving import LiveSettings

ROOT = Path(__file__).resolve().parents[1]
CHUNK = 320


@dataclass
class AudioFrameData:
    data: np.ndarray
    type: int = 0  # 0: speech, 1: silence
    userdata: dict = field(default_factory=dict)


class BaseAvatar:
    def __init__(self, opt):
        self.opt, self.batch_size, self.chunk = opt, opt.batch_size, CHUNK
        self.res_frame_queue = queue.Queue(1000)

    def flush_talk(self):
        self.asr.queue.queue.clear()

    def shown(self, count):
        """What the base class would send: frames, and the audio beside them."""
        out = []
        for _ in range(count):
            frame, audio, index = self.res_frame_queue.get(timeout=120)
            assert len(audio) == 2
            silent = audio[0].type != 0 and audio[1].type != 0
            out.append((self.frame_list_cycle[index] if silent else self.paste_back_frame(frame, index), audio))
        return out


class BaseASR:
    def __init__(self, opt, parent):
        self.batch_size, self.queue, self.feat_queue = opt.batch_size, queue.Queue(), queue.Queue(1000)

    def get_audio_frame(self):
        try:
            return self.queue.get_nowait()
        except queue.Empty:
            return AudioFrameData(np.zeros(CHUNK, np.float32), 1)


@pytest.fixture
def adapter(monkeypatch):
    """The example, loaded as LiveTalking would, and what it registered."""
    registered = {}

    def register(category, name):
        return lambda cls: registered.setdefault((category, name), cls)

    for name, parts in (("registry", {"register": register}), ("avatars", {}), ("avatars.audio_features", {}),
                        ("avatars.base_avatar", {"BaseAvatar": BaseAvatar, "AudioFrameData": AudioFrameData}),
                        ("avatars.audio_features.base_asr", {"BaseASR": BaseASR})):
        module = types.ModuleType(name)
        vars(module).update(parts)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("livetalking_avatar", ROOT / "integrations" / "livetalking_avatar.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, registered[("avatar", "talkingheads")]


def test_the_example_is_short():
    assert len((ROOT / "integrations" / "livetalking_avatar.py").read_text("utf8").splitlines()) <= 80


def test_frames_and_audio_stay_together_and_interruption_silences(adapter, tiny_avatar):
    module, kind = adapter
    avatar = module.load_avatar(tiny_avatar)
    session = kind(types.SimpleNamespace(batch_size=2, fps=25), module.load_model("x.pth"), avatar)
    module.warm_up(2, None, 256)
    speech = np.random.default_rng(0).normal(0, 0.1, 50 * CHUNK).astype(np.float32)  # 1 s
    for at in range(50):
        session.asr.queue.put(AudioFrameData(speech[at * CHUNK:(at + 1) * CHUNK], 0, {"at": at}))
    for _ in range(13):  # 1.04 s: the last piece is silence
        session.asr.run_step()
    quit_event = threading.Event()
    thread = threading.Thread(target=session.inference, args=(quit_event,))
    thread.start()
    try:
        shown = session.shown(20)
        stream = AvatarStream(avatar, LiveSettings(blinks="generated"))
        wanted = np.concatenate([stream.feed(speech), stream.feed(np.zeros(2 * CHUNK, np.float32))])
        assert len(wanted) == 20 and np.array_equal(np.stack([frame for frame, _ in shown]), wanted[..., ::-1])
        assert [one.userdata["at"] for _, audio in shown for one in audio] == list(range(40))
        session.flush_talk()
        rest = session.shown(6)
        assert np.array_equal(np.stack([frame for frame, _ in rest]), stream.interrupt()[..., ::-1])
        assert all(one.type == 1 and not one.data.any() for _, audio in rest for one in audio)
        assert not session.waiting and rest[0][0].flags.writeable and rest[0][0].flags.c_contiguous
    finally:
        quit_event.set()
        thread.join()
