"""The exported page, opened from the disk in Chromium: it draws what the processor draws, plays, turns, and loads nothing."""
from __future__ import annotations

import time

import numpy as np
import pytest
from comfy_page import chromium
from comfy_server import ROOT, chromium_path
from player_frames import PLAYER, drawn

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LEAST = 40.0  # dB
SECONDS = 1.2


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """(the demo avatar with a small basis, a motion, its page)."""
    from talking_heads.hmtalker_core import basis_fit
    from talking_heads.hmtalker_core.checkpoints import load_avatar
    from talking_heads.hmtalker_core.player_page import save_page
    from talking_heads.media_core.audio import load_sound
    from talking_heads.media_core.speech import encode_speech

    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: nothing was tried in a browser")
    if chromium_path() is None:
        pytest.skip("no Chromium found (CHROMIUM_PATH): nothing was tried in a browser")
    sound = load_sound(ROOT / "demo" / "demo_speech_short.wav").cut(0.6, 0.6 + SECONDS)
    avatar, frames = load_avatar(ROOT / "weights" / "demo_avatar.safetensors"), basis_fit.FRAMES
    basis_fit.FRAMES = 60
    try:
        avatar = avatar.with_basis(basis_fit.fit_basis(avatar, 8, [encode_speech(sound), encode_speech(sound)]))
    finally:
        basis_fit.FRAMES = frames
    motion = avatar.drive(encode_speech(sound))
    return avatar, motion, save_page(avatar, motion, tmp_path_factory.mktemp("page") / "page.html", sound, title="Test")


@pytest.fixture(scope="module")
def opened(said):
    """The page, once it shows a frame, and what it complained of and asked for."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 600, "height": 720})
        page.set_default_timeout(120_000)
        heard, asked = [], []
        page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(said[2].as_uri())
        until(page, f"{PLAYER} && {PLAYER}.shown.frame >= 0")
        yield page, heard, asked


def until(page, condition: str, limit: float = 120.0) -> None:
    """Playwright's own wait evaluates strings in the page, which the page's policy forbids."""
    end = time.monotonic() + limit
    while not page.evaluate(f"!!({condition})"):
        assert time.monotonic() < end, f"Not within {limit:.0f} s: {condition}"
        page.wait_for_timeout(100)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(a - b).mean()))


def test_it_draws_what_the_processor_draws(said, opened):
    avatar, motion, _ = said
    for frame in (0, 11, len(motion) - 1):
        shown = drawn(opened[0], avatar.size, frame)
        rendered = next(avatar.render(motion, frame, frame + 1, deformation="basis"))[0][0].numpy()
        assert psnr(shown, rendered) >= LEAST, f"frame {frame}"
    assert psnr(*(drawn(opened[0], avatar.size, frame) for frame in (0, 11))) < 45, "frames differ: the measure can fail"


def test_gaussians_lie_where_the_processor_projects_them(said, opened):
    """Centres, conics and colours of the face, from the buffer on the graphics card."""
    import torch
    from talking_heads.hmtalker_core.model.camera import film_cameras
    from talking_heads.hmtalker_core.rasterizer.projection import project, sh_colors

    avatar, motion, _ = said
    got = opened[0].evaluate(f"""() => {{
      const {{ renderer }} = {PLAYER}
      renderer.resize(1)
      renderer.draw(5)
      const {{ values, order }} = renderer.branches[0].readResults()
      return [Array.from(values), Array.from(order)]
    }}""")
    values = np.empty((len(got[1]), 12), np.float32)
    values[got[1]] = np.array(got[0], np.float32).reshape(-1, 12)
    seen = avatar.face.opacities >= 1 / 255
    moved = {name: value[seen] for name, value in avatar.face.deformed(
        *(offset[0] for offset in avatar.offsets(motion, 5, 6, "basis")[0])).items()}
    camera = film_cameras(motion.poses, 5, 6, avatar.size, avatar.size, torch.device("cpu"))
    view = camera["viewmats"][0, 0]
    wanted = project(moved["means"], moved["quats"], moved["scales"], moved["opacities"], view, camera["Ks"][0, 0],
                     camera["width"], camera["height"])
    colours = sh_colors(moved["colors"], moved["means"], view, avatar.face.active_sh_degree)
    assert len(values) == int(seen.sum())
    assert np.abs(values[:, :2] - wanted.means2d.detach().numpy()).max() < 0.05  # px
    conics = wanted.conics.detach().numpy()
    assert np.median(np.abs(values[:, 4:7] - conics) / (np.abs(conics).max(1, keepdims=True) + 1e-6)) < 0.002
    assert np.abs(values[:, 8:11] - colours.detach().numpy()).mean() < 0.004


def test_turning_and_time_change_the_picture(said, opened):
    page, avatar = opened[0], said[0]
    page.evaluate(f"{PLAYER}.turn(0, 0)")
    front = drawn(page, avatar.size, 0)
    turned = drawn(page, avatar.size, 0, {"yaw": 25, "pitch": 0})
    assert psnr(front, turned) < 25 and turned.std() > 0.1
    box = page.locator(".thp canvas").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 200, steps=3)
    page.mouse.up()
    assert page.evaluate(f"{PLAYER}.orbit.yaw") == pytest.approx(20, abs=1)
    page.get_by_role("button", name="Front").click()
    assert page.evaluate(f"{PLAYER}.orbit") == {"yaw": 0, "pitch": 0}


def test_it_plays_with_sound_to_the_end_and_again(said, opened):
    page, frames = opened[0], len(said[1])
    assert page.evaluate(f"{PLAYER}.clock.sound.duration") == pytest.approx(SECONDS, abs=0.12)
    page.get_by_role("button", name="Play").click()
    until(page, f"{PLAYER}.shown.frame > 3")
    assert page.evaluate(f"[{PLAYER}.clock.context.state, !!{PLAYER}.clock.source]") == ["running", True], "it is heard"
    until(page, f"!{PLAYER}.clock.playing && {PLAYER}.frame >= {frames - 2}")
    page.get_by_role("button", name="Play").click()
    until(page, f"{PLAYER}.clock.playing && {PLAYER}.clock.time < 0.9 || {PLAYER}.frame < {frames - 2}")
    until(page, f"!{PLAYER}.clock.playing")
    page.evaluate(f"{PLAYER}.seek(10)")
    until(page, f"{PLAYER}.shown.frame === 10")


def test_it_says_what_it_is_and_loads_nothing(said, opened):
    page, heard, asked = opened
    assert "Synthetic video made with Talking Heads" in page.locator("main").inner_text()
    assert not heard
    assert not [address for address in asked if not address.startswith(("blob:", "data:", said[2].as_uri()))]
