"""A Talking Heads avatar in LiveTalking (github.com/lipku/LiveTalking, version of July 2026).

Copy this file to its avatars/talkingheads_avatar.py and add the module to those that its app.py lists (musetalk, ...). Its
base class pastes a face into recorded frames; here the avatar draws whole frames, in silence too.
"""
import queue
from collections import deque

import numpy as np
from avatars.audio_features.base_asr import BaseASR
from avatars.base_avatar import AudioFrameData, BaseAvatar
from registry import register
from talking_heads.hmtalker_core.checkpoints import load_avatar as open_avatar
from talking_heads.hmtalker_core.live import AvatarStream
from talking_heads.hmtalker_core.live_driving import LiveSettings


def load_model(path=None):
    """LiveTalking's hook for weights beside the avatars: there are none."""


def warm_up(*_):
    """LiveTalking's hook; `load_avatar` has done it."""


def load_avatar(avatar_id):
    """LiveTalking's hook for what all sessions of an avatar share: here the path of its file."""
    avatar = open_avatar(avatar_id)
    AvatarStream(avatar).prepare()
    return avatar


class Audio(BaseASR):
    """Hands the audio on as it is, in pieces of 20 ms."""

    def run_step(self):
        self.feat_queue.put([self.get_audio_frame() for _ in range(2 * self.batch_size)])


class Same:
    """In the place of recorded frames, which are shown in silence: a frame is its own index."""

    def __getitem__(self, frame):
        return frame


@register("avatar", "talkingheads")
class TalkingHeadsAvatar(BaseAvatar):
    """One session."""

    def __init__(self, opt, model, avatar):
        super().__init__(opt)
        self.frame_list_cycle, self.asr = Same(), Audio(opt, self)
        self.stream, self.stop = AvatarStream(avatar, LiveSettings(blinks="generated")), False
        self.waiting: deque[AudioFrameData] = deque()  # audio that no frame has shown yet

    def flush_talk(self):
        super().flush_talk()
        self.stop = True  # the stream belongs to the thread below

    def paste_back_frame(self, frame, idx):
        return frame

    def inference(self, quit_event):
        while not quit_event.is_set():
            if self.stop:
                self.stop, silence = False, np.zeros(self.chunk, np.float32)
                self.waiting = deque(AudioFrameData(silence, 1, one.userdata) for one in self.waiting)
                self._show(self.stream.interrupt())
            try:
                heard = self.asr.feat_queue.get(timeout=0.1)
            except queue.Empty:
                continue
            self.waiting.extend(heard)
            self._show(self.stream.feed(np.concatenate([one.data for one in heard]).astype(np.float32)))

    def _show(self, frames):
        for frame in frames[..., ::-1]:  # OpenCV's order of colours
            frame = np.ascontiguousarray(frame)
            self.res_frame_queue.put((frame, [self.waiting.popleft() for _ in range(2)], frame))
