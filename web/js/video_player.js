import { app } from '../../../scripts/app.js'
import { api } from '../../../scripts/api.js'
import { GrowingVideo, allowsBlobs } from './on_node/growing.js'
import { pageWords } from './on_node/language.js'
import { addPanel, after, element, keep, nodeOf, removeWidget, viewUrl } from './on_node/panels.js'
import { clock } from './on_node/words.js'

const MAKERS = new Set(['HMTalker_RenderAvatarVideo', 'MoDiTalker_MotionToVideoFile', 'MoDiTalker_MotionToFilm'])
const EVENT = 'talking_heads.video'
const KEPT = 'talking_heads_player' // the property that names the files of a node's videos
const LIVE_IMAGE = '$$canvas-image-preview' // ComfyUI's widget for the frames of a running node
const RECENT = 64 // runs of ComfyUI's history that are looked through after a reload
// Beside the player, Nodes 2.0 would go on showing the last frame that came while the video was made, over the node below.
const HIDES_FRAME = '[data-node-id]:has(.talking-heads-player) :is(img[src^="blob:"], img[src^="blob:"] + div) { display: none }'
const LATE = 12 // looks, within 3 s, for a frame that comes after its video
const SMALL = 220 // px that it makes do with: more would lay it over the node below
const LEAST = 1 // seconds of a growing file that are worth opening
const players = new WeakMap() // node -> its player
const heights = new WeakMap() // node -> px, as it was made or opened

// A player with sound on the nodes that make videos, from the first seconds that are there.
app.registerExtension({
  name: 'TalkingHeads.VideoPlayer',
  setup() {
    document.head.append(element('style', {}, HIDES_FRAME))
    api.addEventListener(EVENT, ({ detail }) => {
      const node = nodeOf(app.rootGraph ?? app.graph, detail.node)
      if (!node || node.comfyClass !== detail.node_type) return
      if (detail.state === 'growing') playerOf(node).growing(detail)
      else players.get(node)?.ended()
    })
  },
  nodeCreated(node) {
    if (!MAKERS.has(node.comfyClass)) return
    after(node, 'onExecuted', output => {
      if (output?.player?.length) playerOf(node).show(output.player)
    })
    heights.set(node, node.size[1])
    after(node, 'onConfigure', () => {
      heights.set(node, node.size[1])
      restore(node)
    })
    after(node, 'onRemoved', () => {
      players.get(node)?.stop()
      players.delete(node)
    })
  }
})

function playerOf(node) {
  if (!players.has(node)) players.set(node, new Player(node))
  return players.get(node)
}

/** After a reload: the videos in ComfyUI's temp folder are there as long as its history knows them. */
async function restore(node) {
  const files = node.properties?.[KEPT]
  if (!Array.isArray(files) || !files.length) return
  const known = await recentVideos()
  const there = files.filter(file => known.has(file.filename))
  if (there.length && node.graph) playerOf(node).show(there)
}

let allowed = null // whether the page's policy lets a MediaSource through; asked once

function blobs() {
  allowed ??= fetch(location.href, { method: 'HEAD' }).then(answer => allowsBlobs(answer.headers.get('Content-Security-Policy')))
  return allowed
}

let asked = null // the newest question for the history, shared by all nodes of a workflow that opens

function recentVideos() {
  asked ??= api.fetchApi(`/history?max_items=${RECENT}`).then(answer => answer.json()).then(history => {
    setTimeout(() => { asked = null }, 2000)
    const outputs = Object.values(history).flatMap(run => Object.values(run.outputs ?? {}))
    return new Set(outputs.flatMap(output => output.player ?? []).map(file => file.filename))
  })
  return asked
}

class Player {
  constructor(node) {
    this.node = node
    this.say = pageWords(app)
    this.files = []
    this.live = null
    this.panel = null
    this.shape = 1 // height through width
    this.video = element('video', { width: '100%', flex: '1', minHeight: '0', background: '#000', borderRadius: '6px', display: 'block' })
    Object.assign(this.video, { controls: true, playsInline: true, preload: 'metadata' })
    this.words = element('div', { flex: '1', minWidth: '0' })
    this.choice = element('select', { font: 'inherit', display: 'none' })
    this.choice.addEventListener('change', () => this.play(this.files[Number(this.choice.value)]))
    this.row = element('div', { display: 'flex', gap: '6px', height: '20px', alignItems: 'center', flex: 'none' }, this.words, this.choice)
    this.box = element('div', {
      display: 'flex', flexDirection: 'column', width: '100%', height: '100%', boxSizing: 'border-box',
      font: '11px/16px system-ui, sans-serif', color: 'var(--input-text)'
    }, this.video, this.row)
    this.box.className = 'talking-heads-player'
    this.video.addEventListener('loadedmetadata', () => this.measure())
    this.video.addEventListener('error', () => this.failed())
  }

  height() {
    return Math.round(Math.max(120, (this.node.size[0] - 20) * this.shape)) + 40
  }

  measure() {
    if (this.video.videoWidth) this.shape = Math.min(1.8, this.video.videoHeight / this.video.videoWidth)
    this.fit()
    if (!this.live) this.words.textContent = `${this.video.videoWidth} × ${this.video.videoHeight}, ${clock(this.video.duration)}`
  }

  fit() {
    this.panel ??= addPanel(this.node, 'talking_heads_player', this.box, () => this.height(),
      { grows: true, least: () => Math.min(this.height(), SMALL) })
    this.panel.fit()
  }

  /** A video that is being made. @param {object} told docs/comfyui.md#videos-while-they-are-made */
  async growing(told) {
    this.words.textContent = this.say('growing', clock(told.seconds), clock(told.total))
    if (this.live?.filename === told.filename) return this.more(told)
    this.stop()
    this.choice.style.display = 'none'
    this.fit()
    const live = this.live = { filename: told.filename, growing: null, plain: false }
    const streams = await blobs() && GrowingVideo.plays(told.mime)
    if (this.live !== live) return // the whole video came meanwhile
    if (!streams) {
      live.plain = true
      return this.more(told)
    }
    live.growing = new GrowingVideo(this.video, viewUrl(api, told), told.mime, told.total)
    await live.growing.open()
    await live.growing.pull()
  }

  /** There is more of it. Where no MediaSource may be used, the file is opened again, but not while it plays. */
  async more(told) {
    if (this.live.growing) return this.live.growing.pull()
    if (!this.live.plain || told.seconds < LEAST || !(this.video.paused || this.video.ended)) return
    const at = { time: this.video.currentTime, plays: this.video.ended }
    this.video.src = viewUrl(api, told, String(told.seconds))
    this.video.currentTime = at.time
    if (at.plays) this.video.play()
  }

  /** It is whole, or will never be. */
  ended() {
    this.live?.growing?.end()
    this.words.textContent = this.say('ended')
  }

  stop() {
    this.live?.growing?.end()
    this.live = null
  }

  /** Videos that are whole. @param {{filename: string, subfolder: string, type: string}[]} files */
  show(files) {
    const at = this.live ? { time: this.video.currentTime, plays: !this.video.paused } : null
    this.stop()
    this.files = files
    keep(app, this.node, KEPT, files)
    this.choice.replaceChildren(...files.map((file, i) => Object.assign(element('option', {}, this.say('choice', i + 1, files.length)), { value: i })))
    this.choice.value = String(files.length - 1)
    this.choice.style.display = files.length > 1 ? '' : 'none'
    this.play(files.at(-1), at)
    this.clearFrame()
    if (at && this.vue) this.shrink()
  }

  /** Takes away the last frame that was shown while the video was made (classic nodes). It may come late: it is an image that loads. */
  clearFrame(times = LATE) {
    if (this.live || !this.node.graph) return
    this.node.imgs = undefined
    const grown = this.node.widgets?.some(widget => widget.name === LIVE_IMAGE)
    removeWidget(this.node, LIVE_IMAGE)
    if (grown) this.shrink()
    if (times > 1) setTimeout(() => this.clearFrame(times - 1), 250)
  }

  /** Whether Nodes 2.0 draws the node. */
  get vue() {
    return this.box.closest('[data-node-id]') !== null
  }

  /** The room that ComfyUI made for the live image goes again: the node would lie over its neighbours. */
  shrink() {
    const before = heights.get(this.node) ?? 0
    const height = this.vue ? before : Math.max(this.node.computeSize()[1], before) // Nodes 2.0 itself leaves room for what is there
    if (height && height < this.node.size[1]) this.node.setSize([this.node.size[0], height])
  }

  play(file, at = null) {
    this.words.textContent = ''
    this.video.src = viewUrl(api, file)
    if (at) {
      this.video.currentTime = at.time
      if (at.plays) this.video.play()
    }
    this.fit()
  }

  failed() {
    if (this.live || !this.video.getAttribute('src')) return
    const file = this.files[Number(this.choice.value)] ?? this.files.at(-1)
    this.words.textContent = this.say(file?.filename.endsWith('.mov') ? 'proRes' : 'videoGone')
  }
}
