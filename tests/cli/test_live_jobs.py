"""`talking-heads live`: frames in real time to a pipe and to a WebSocket client; what is late is dropped and counted."""
from __future__ import annotations

import base64
import os
import socket
import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from talking_heads.cli import live_audio, live_jobs, main
from talking_heads.cli.live_socket import FrameServer, handshake
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.live import AvatarStream
from talking_heads.hmtalker_core.live_driving import LiveSettings
from talking_heads.media_core.errors import TalkingHeadsError

DEMO = Path(__file__).parents[2]
SHORT = ("--device", "cpu", "--size", "16")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """0.6 s of speech in an empty folder."""
    monkeypatch.chdir(tmp_path)
    samples, rate = soundfile.read(DEMO / "demo" / "demo_speech_short.wav", dtype="float32")
    soundfile.write("speech.wav", samples[:int(0.6 * rate)], rate)
    return tmp_path


def live(*options: str) -> int:
    return main.main(["live", str(DEMO / "weights" / "demo_avatar.safetensors"), *options, *SHORT])


def test_a_file_to_a_pipe(monkeypatch, capsys):
    monkeypatch.setattr(live_jobs, "LATE", 60.0)  # a busy machine draws every frame all the same
    assert live("--file", "speech.wav", "--pipe", "frames.rgb") == 0
    pixels = np.fromfile("frames.rgb", np.uint8)
    said = capsys.readouterr().err
    avatar = load_avatar(DEMO / "weights" / "demo_avatar.safetensors")
    stream = AvatarStream(avatar, LiveSettings(blinks="generated"), size=(16, 16))
    mono = live_audio.from_file("speech.wav", clock=lambda: 1e9)
    wanted = np.concatenate([*(stream.feed(piece) for piece, _ in mono), stream.flush()])
    assert np.array_equal(pixels.reshape(-1, 16, 16, 3), wanted) and len(wanted) == 15
    assert "rgb24 16x16 at 25 frames per second, 258 ms after the audio" in said
    assert "0.6 s of audio, 15 frames, 0 dropped (0 late, 0 by slow clients)" in said and "times real time" in said


def test_late_frames_are_dropped_and_counted():
    stream = AvatarStream(load_avatar(DEMO / "weights" / "demo_avatar.safetensors"), size=(8, 8))
    shown: list[int] = []

    class Sink:
        def show(self, number, pixels):
            shown.append(number)
            return True

    now = iter(np.arange(0, 100, 0.01))  # every look at the clock costs 10 ms, so a piece 20
    spoken = [0.04 * (k + 1) - (1.0 if 10 <= k < 15 else 0.0) for k in range(20)]  # five pieces reach us a second too late
    meter = live_jobs.Meter()
    live_jobs.play(stream, ((np.zeros(640, np.float32), when) for when in spoken), Sink(), meter, clock=lambda: next(now))
    assert meter.late == 5 and meter.shown == 15 == len(shown) and stream.frames == 20
    assert shown == sorted(set(range(20)) - {4, 5, 6, 7, 8})  # those that were due then
    assert meter.line(2).startswith("0.8 s of audio, 15 frames, 7 dropped (5 late, 2 by slow clients), ")


def test_a_reader_who_leaves_ends_it_quietly(capsys):
    read, write = os.pipe()
    os.close(read)
    assert live("--file", "speech.wav", "--pipe", f"/dev/fd/{write}") == 0
    os.close(write)
    assert "0 frames" in capsys.readouterr().err


def test_audio_comes_in_real_time():
    waits: list[float] = []
    now = [0.0]

    def wait(seconds):
        waits.append(seconds)
        now[0] += seconds

    pieces = list(live_audio.from_file("speech.wav", lambda: now[0], wait))
    assert [len(piece) for piece, _ in pieces] == [640] * 15 and np.allclose(waits, 0.04) and np.isclose(pieces[-1][1], 0.6)


class Client:
    """A WebSocket client, as small as can be."""

    def __init__(self, port: int):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(bytes(16)).decode()
        self.link.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self._bytes(1)
        assert answer.startswith(b"HTTP/1.1 101") and b"ICX+Yqv66kxgM0FcWaLWlFLwTAI=" in answer  # of 16 zero bytes

    def _bytes(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.link.recv(count - len(data))
            assert piece, "the server went away"
            data += piece
        return data

    def message(self) -> tuple[int, bytes]:
        kind, size = self._bytes(2)
        size = int.from_bytes(self._bytes({126: 2, 127: 8}[size]), "big") if size > 125 else size
        return kind & 15, self._bytes(size)

    def send(self, kind: int, data: bytes = b"") -> None:
        mask = b"abcd"
        self.link.sendall(bytes([128 | kind, 128 | len(data)]) + mask + bytes(b ^ mask[k % 4] for k, b in enumerate(data)))


def test_a_websocket_client_gets_header_and_frames():
    server = FrameServer(0, "127.0.0.1", {"width": 4, "height": 2})
    try:
        client = Client(server.port)
        assert client.message() == (1, b'{"width": 4, "height": 2}')
        client.send(9, b"there?")
        assert client.message() == (10, b"there?")  # by now it listens
        for number, size in ((7, 24), (8, 200), (9, 70000)):
            server.send(number, bytes(size))
            assert client.message() == (2, struct.pack("<I", number) + bytes(size))
        client.send(8)
        assert client.message() == (8, struct.pack(">H", 1000))
        with pytest.raises(TalkingHeadsError, match="a port that nobody uses"):
            FrameServer(server.port, "127.0.0.1", {})
    finally:
        server.close()
    assert server.clients == 0


def test_a_slow_client_misses_frames_and_others_do_not():
    server = FrameServer(0, "127.0.0.1", {})
    try:
        slow, quick = Client(server.port), Client(server.port)
        for client in (slow, quick):
            client.message()
            client.send(9)
            assert client.message()[0] == 10
        for number in range(40):
            server.send(number, bytes(1 << 20))
            assert quick.message()[1][:4] == struct.pack("<I", number)
        assert server.clients == 2 and 0 < server.dropped < 40
    finally:
        server.close()


def request(**more: str) -> bytes:
    lines = {"Host": "127.0.0.1:9", "Upgrade": "websocket", "Sec-WebSocket-Key": "AA==", **more}
    return ("GET / HTTP/1.1\r\n" + "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())).encode()


@pytest.mark.parametrize("origin, status", [("https://evil.example", b"403"), ("null", b"403"), ("http://localhost:3000", b"101"),
                                            ("http://127.0.0.1:9", b"101")])
def test_pages_of_other_sites_are_refused(origin, status):
    assert handshake(request(Origin=origin)).split()[1] == status


def test_what_is_no_websocket_is_refused():
    assert handshake(request(Upgrade="h2c")).split()[1] == handshake(b"POST / HTTP/1.1\r\n").split()[1] == b"426"


def test_the_websocket_of_the_command(monkeypatch, capsys):
    """The frames of a whole session reach a client that was there in time."""
    numbers: list[int] = []

    class Server(FrameServer):
        def __init__(self, *where):
            super().__init__(*where)
            self.client = Client(self.port)
            self.client.message()
            self.client.send(9)
            self.client.message()

        def send(self, number, pixels):
            super().send(number, pixels)
            numbers.append(struct.unpack("<I", self.client.message()[1][:4])[0])

    monkeypatch.setattr(live_jobs, "LATE", 60.0)
    monkeypatch.setattr("talking_heads.cli.live_socket.FrameServer", Server)
    assert live("--file", "speech.wav", "--websocket", "0") == 0
    assert numbers == list(range(15)) and "at ws://127.0.0.1:" in capsys.readouterr().err


def test_a_microphone_needs_sounddevice(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert live("--microphone", "--pipe", "out.rgb", "--seconds", "0.1") == 1
    said = capsys.readouterr().err
    assert "needs the package sounddevice" in said and "pip install sounddevice" in said and "--file" in said


def test_a_microphone_is_heard(monkeypatch, capsys):
    class InputStream:
        def __init__(self, callback, samplerate, channels, blocksize, **others):
            assert (samplerate, channels, blocksize) == (16000, 1, 640)
            self.callback = callback

        def __enter__(self):
            for _ in range(12):
                self.callback(np.zeros((640, 1), np.float32), 640, None, None)

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(live_jobs, "LATE", 60.0)
    monkeypatch.setitem(sys.modules, "sounddevice", types.SimpleNamespace(InputStream=InputStream, PortAudioError=OSError))
    assert live("--microphone", "2", "--pipe", "out.rgb", "--seconds", "1.5") == 0
    assert Path("out.rgb").stat().st_size == 12 * 16 * 16 * 3 and "0.5 s of audio, 12 frames" in capsys.readouterr().err


@pytest.mark.parametrize("options, said", [
    (("--file", "speech.wav", "--pipe", "x", "--seconds", "3"), "--seconds belongs to --microphone"),
    (("--file", "none.wav", "--pipe", "x"), "none.wav"),
    (("--file", "speech.wav", "--pipe", "x", "--causal", "no.safetensors"), "no.safetensors"),
    (("--file", "speech.wav", "--websocket", "99999"), "a port that nobody uses")])
def test_wrong_usage_is_told(options, said, capsys):
    assert live(*options) in (1, 2) and said in capsys.readouterr().err


def test_causal_nets_are_made_and_used(capsys):
    avatar = str(DEMO / "weights" / "demo_avatar.safetensors")
    long = str(DEMO / "demo" / "demo_speech_short.wav")
    assert main.main(["train", "causal", avatar, "nets.safetensors", long, "--steps", "2"]) == 0
    assert "nets.safetensors" in capsys.readouterr().out
    assert live("--file", "speech.wav", "--pipe", "frames.rgb", "--causal", "nets.safetensors") == 0
    assert "138 ms after the audio" in capsys.readouterr().err
    assert main.main(["train", "causal", avatar, avatar, long]) == 1 and "demo_avatar" in capsys.readouterr().err


def test_audio_and_a_place_for_frames_must_be_named():
    for options in (["--file", "a"], ["--pipe"], ["--file", "a", "--microphone", "--pipe"],
                    ["--file", "a", "--pipe", "--websocket", "1"]):
        with pytest.raises(SystemExit):
            main.main(["live", "a", *options])
