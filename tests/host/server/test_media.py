"""Files: what is shown, what is taken, and what nobody may reach."""
from __future__ import annotations

import io
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import FormData
from PIL import Image

HOSTILE = ["../secret.txt", "/etc/passwd", "..\\secret.txt", "C:\\secret.txt", "a/../../secret.txt", "\0", "x" * 5000,
           "./../secret.txt", "link/secret.txt", "link.txt"]


def picture(mode="RGBA", colour=(10, 200, 30, 90), size=(12, 8)):
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def form(content, name, **fields):
    data = FormData({key: str(value) for key, value in fields.items()})
    data.add_field("image", content, filename=name)
    return data


@pytest.fixture
def trap(served):
    """A secret beside the folders, and links to it from within."""
    (served.base / "secret.txt").write_text("secret")
    for kind in ("input", "output", "temp", "user/default"):
        folder = served.base / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").symlink_to(served.base)
        (folder / "link.txt").symlink_to(served.base / "secret.txt")
    return served


def by_hand(name, subfolder):
    """A form that no library has tidied."""
    parts = [f'name="{key}"\r\n\r\n{value}' for key, value in (("subfolder", subfolder), ("overwrite", "true"),
                                                            ("original_ref", "{}"))]
    parts.append(f'name="image"; filename="{name}"\r\nContent-Type: image/png\r\n\r\npicture')
    return ("".join(f"--B\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + "--B--\r\n").encode()


def quoted(name):
    return quote(name.encode("utf8", "surrogatepass"), safe="")


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leads_out_of_its_folder(trap, name):
    async def scenario(client):
        got = []
        for kind in ("input", "output", "temp"):
            got += [await client.get(f"/view?filename={quoted(name)}&type={kind}"),
                    await client.get(f"/view?filename=secret.txt&subfolder={quoted(name)}&type={kind}"),
                    await client.get(f"/api/view?filename={quoted(name)}%20[{kind}]")]
        got += [await client.get(f"/view_metadata/checkpoints?filename={quoted(name)}"),
                await client.get(f"/userdata/{quoted(name)}"), await client.get(f"/userdata?dir={quoted(name)}"),
                await client.get(f"/v2/userdata?path={quoted(name)}"), await client.delete(f"/userdata/{quoted(name)}"),
                await client.post(f"/userdata/{quoted(name)}", data=b"x"),
                await client.post(f"/userdata/{quoted(name)}/move/mine.json"),
                await client.post(f"/userdata/comfy.settings.json/move/{quoted(name)}"),
                await client.get(f"/extensions/Every%20Thing/{quoted(name)}"),
                await client.get(f"/api/workflow_templates/Every%20Thing/{quoted(name)}"),
                await client.get(f"/{quoted(name)}"), await client.get(f"/assets/{quoted(name)}")]
        statuses = [answer.status for answer in got]
        texts = [await answer.text() for answer in got]
        again = await client.get("/queue")
        return statuses, texts, again.status

    statuses, texts, alive = trap.run(scenario)
    assert alive == 200
    assert "secret" not in [text.strip() for text in texts]
    assert set(statuses) <= {400, 403, 404, 409}, statuses
    assert (trap.base / "secret.txt").read_text() == "secret"
    assert (trap.base / "user" / "default" / "comfy.settings.json").exists()


@pytest.mark.parametrize("name, subfolder", [("../up.png", ""), ("a.png", ".."), ("a.png", "/"), ("/a.png", ""),
                                             ("a.png", "link"), ("link.txt", ""), ("", ""), (".", ""), ("a\0.png", "")])
def test_no_upload_leads_out_of_its_folder(trap, name, subfolder):
    async def scenario(client):
        answers = [await client.post(path, data=by_hand(name, subfolder), headers={
            "Content-Type": "multipart/form-data; boundary=B"}) for path in ("/upload/image", "/upload/mask")]
        return [answer.status for answer in answers]

    statuses = trap.run(scenario)
    assert set(statuses) <= {200, 400, 404}, statuses  # 200: the library has left out what leads out
    assert not [path for path in trap.base.rglob("*.png") if path.parent != trap.base / "input"]
    assert not Path("/a.png").exists()
    assert (trap.base / "secret.txt").read_text() == "secret"


def test_uploads_keep_what_is_there(served):
    async def scenario(client):
        names = []
        for content, name, fields in ((b"one", "a.wav", {}), (b"one", "a.wav", {}), (b"two", "a.wav", {}), (b"three", "a.wav", {
                "overwrite": "true"}), (b"sub", "b.wav", {"subfolder": "my/files"}), (b"t", "c.txt", {"type": "temp"})):
            answer = await client.post("/upload/image", data=form(content, name, **fields))
            assert answer.status == 200
            names.append(await answer.json())
        bad = await client.post("/upload/image", data=form(b"x", "d.wav", type="models"))
        none = await client.post("/upload/image", data=FormData({"image": "text"}))
        return names, bad.status, none.status

    names, *refused = served.run(scenario)
    assert refused == [400, 400]
    assert [entry["name"] for entry in names] == ["a.wav", "a.wav", "a (1).wav", "a.wav", "b.wav", "c.txt"]
    assert names[4] == {"name": "b.wav", "subfolder": "my/files", "type": "input"}
    folder = served.base / "input"
    assert [(folder / name).read_bytes() for name in ("a.wav", "a (1).wav", "my/files/b.wav")] == [b"three", b"two", b"sub"]
    assert (served.base / "temp" / "c.txt").read_bytes() == b"t"


def test_an_upload_has_a_limit(served):
    async def scenario(client):
        answer = await client.post("/upload/image", data=form(bytes(3 << 20), "big.bin"))
        return answer.status, (await client.get("/features")).status

    assert served.run(scenario, upload_limit=2) == (413, 200)
    assert not list((served.base / "input").iterdir())


def test_a_video_can_be_read_from_its_middle(served):
    (served.base / "output" / "films").mkdir(parents=True)
    (served.base / "output" / "films" / "x.mp4").write_bytes(bytes(range(200)))

    async def scenario(client):
        where = "/view?filename=x.mp4&subfolder=films&type=output&rand=0.5"
        part = await client.get(where, headers={"Range": "bytes=10-19"})
        beyond = await client.get(where, headers={"Range": "bytes=500-"})
        return part, await part.read(), beyond.status, await (await client.get(where)).read()

    part, content, beyond, whole = served.run(scenario)
    assert part.status == 206
    assert part.headers["Content-Range"] == "bytes 10-19/200"
    assert part.headers["Content-Type"] == "video/mp4"
    assert part.headers["Content-Disposition"].startswith("inline")
    assert content == bytes(range(10, 20))
    assert beyond == 416
    assert whole == bytes(range(200))


def test_what_could_run_as_a_script_is_a_download(served):
    for name in ("a.html", "a.svg", "a.js", 'a"b.xml'):
        (served.base / "input").mkdir(exist_ok=True)
        (served.base / "input" / name).write_text("<script>1</script>")

    async def scenario(client):
        return [(await client.get("/view", params={"filename": name, "type": "input"})).headers
                for name in ("a.html", "a.svg", "a.js", 'a"b.xml')]

    for headers in served.run(scenario):
        assert headers["Content-Disposition"].startswith("attachment")
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_images_are_made_smaller_or_opaque(served):
    (served.base / "input").mkdir()
    (served.base / "input" / "a.png").write_bytes(picture())
    (served.base / "input" / "b.txt").write_bytes(b"no image")

    async def scenario(client):
        found = {}
        for query in ("preview=webp;90", "preview=jpeg", "channel=rgb", "channel=a", "preview=webp;90&channel=a"):
            answer = await client.get(f"/view?filename=a.png&type=input&{query}")
            image = Image.open(io.BytesIO(await answer.read()))
            found[query] = answer.headers["Content-Type"], image.mode, image.convert("RGBA").getpixel((0, 0))
        bad = await client.get("/view?filename=b.txt&type=input&preview=webp")
        return found, bad.status

    found, bad = served.run(scenario)
    assert bad == 400
    assert found["preview=webp;90"][0] == "image/webp"
    assert found["preview=jpeg"][:2] == ("image/jpeg", "RGB")
    assert found["channel=rgb"] == ("image/png", "RGB", (10, 200, 30, 255))
    assert found["channel=a"][2][3] == 90


def test_a_mask_is_laid_over_its_image(served):
    (served.base / "input").mkdir()
    (served.base / "input" / "face.png").write_bytes(picture("RGB", (1, 2, 3)))

    async def scenario(client):
        where = json.dumps({"filename": "face.png", "subfolder": "", "type": "input"})
        fields = {"original_ref": where, "subfolder": "clipspace"}
        good = await client.post("/upload/mask", data=form(picture(colour=(0, 0, 0, 50)), "mask.png", **fields))
        lost = await client.post("/upload/mask", data=form(picture(), "m.png", original_ref='{"filename": "nowhere.png"}'))
        return await good.json(), lost.status

    told, lost = served.run(scenario)
    assert told == {"name": "mask.png", "subfolder": "clipspace", "type": "input"}
    assert Image.open(served.base / "input" / "clipspace" / "mask.png").getpixel((3, 3)) == (1, 2, 3, 50)
    assert lost == 404


def test_a_model_says_what_it_says_of_itself(served):
    import torch
    from safetensors.torch import save_file

    folder = served.base / "models" / "vae"
    folder.mkdir(parents=True)
    save_file({"a": torch.zeros(2)}, folder / "a.safetensors", metadata={"title": "mine"})
    (folder / "broken.safetensors").write_bytes(b"\xff" * 100)

    async def scenario(client):
        good = await client.get("/view_metadata/vae?filename=a.safetensors")
        bad = [await client.get(f"/view_metadata/{where}") for where in (
            "vae?filename=broken.safetensors", "vae?filename=b.safetensors", "nowhere?filename=a.safetensors", "vae")]
        models, nowhere = await client.get("/experiment/models/vae"), await client.get("/models/nowhere")
        return await good.json(), [answer.status for answer in bad], await models.json(), nowhere.status

    good, bad, models, nowhere = served.run(scenario)
    assert good == {"title": "mine"}
    assert bad == [404] * 4
    assert {model["name"] for model in models} == {"a.safetensors", "broken.safetensors"}
    assert nowhere == 404
