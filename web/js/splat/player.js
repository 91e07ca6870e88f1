// The player: canvas, buttons, the clock, turning the head by dragging.

import { FARTHEST_PITCH, FARTHEST_YAW, within } from './camera.js'
import { readPlayerFile } from './container.js'
import { openRenderer } from './renderer.js'

const STYLE = `
.thp { display: flex; flex-direction: column; gap: 4px; height: 100%; min-height: 0; color: #ddd; font: 13px/1.3 system-ui, sans-serif }
.thp canvas { flex: 1; min-height: 0; min-width: 0; width: 100%; object-fit: contain; background: #111; cursor: grab;
  touch-action: none; border-radius: 6px }
.thp canvas:active { cursor: grabbing }
.thp-bar { display: flex; gap: 6px; align-items: center; flex: none }
.thp-bar input { flex: 1; min-width: 40px; accent-color: #6cf }
.thp-bar button { background: #333; color: #eee; border: 1px solid #555; border-radius: 5px; padding: 3px 9px; cursor: pointer;
  font: inherit }
.thp-bar button:hover { background: #444 }
.thp-bar span { font-variant-numeric: tabular-nums; white-space: nowrap }
.thp-note { font-size: 11px; color: #aaa; text-align: center; flex: none }
.thp-failed { padding: 1em; text-align: center }
.thp:fullscreen { background: #000; padding: 8px }
`
const ENGLISH = { play: 'Play', pause: 'Pause', time: 'Time', turn: 'Drag to turn the head', front: 'Front',
  frontTip: 'Look from the front again', full: 'Full size' }
const SLOW = 40 // ms a frame: a slower machine gets frames of the avatar's own size
const TIMED = 6 // enlarged frames that are timed, the first one (which waits for compilers) not counted
const LARGEST = 2 // times the avatar's own size
const DEGREES = 0.4 // a px of dragging
const WAKES = 500 // ms in which a browser that allows sound has begun

/** Seconds as 1:02.3. */
export function clock(seconds) {
  const tenths = Math.max(0, Math.round(10 * seconds))
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, '0')}.${tenths % 10}`
}

/** The frame that is seen at a time. */
export function frameAt(seconds, fps, frames) {
  return Math.min(Math.max(Math.floor(seconds * fps + 1e-6), 0), frames - 1)
}

/**
 * Where a film is. With sound, what the loudspeaker plays is the clock, else the computer's. The sound is decoded and played by Web
 * Audio: the addresses that an <audio> element needs are forbidden where a page's policy allows its own host only.
 */
export class Clock {
  /** @param {number} length seconds  @param {AudioBuffer} [sound] */
  constructor(length, sound) {
    this.length = length
    this.sound = sound
    this.at = 0 // s, of the film, when it was started or stopped
    this.begun = null // s, of the clock, since which it runs
  }

  get playing() {
    return this.begun !== null
  }

  /** Seconds of what counts the time. */
  get now() {
    return this.source ? this.context.currentTime - (this.context.outputLatency || 0) : performance.now() / 1000
  }

  /** Seconds of the film. */
  get time() {
    return this.playing ? Math.min(this.at + Math.max(0, this.now - this.begun), this.length) : this.at
  }

  get ended() {
    return this.time >= this.length
  }

  async play() {
    if (this.playing) return
    if (this.ended) this.seek(0)
    if (this.sound && await this.heard()) this.start()
    this.begun = this.source ? this.context.currentTime : this.now
  }

  /** Whether the browser lets sound out: it does after somebody has clicked; without that the film runs silently. */
  async heard() {
    this.context ??= new AudioContext()
    await Promise.race([this.context.resume(), new Promise(resolve => setTimeout(resolve, WAKES))])
    return this.context.state === 'running'
  }

  start() {
    this.source = this.context.createBufferSource()
    this.source.buffer = this.sound
    this.source.connect(this.context.destination)
    this.source.start(0, this.at)
  }

  pause() {
    this.at = this.time
    this.begun = null
    this.source?.stop()
    this.source = undefined
  }

  seek(seconds) {
    const { playing, source } = this
    this.pause()
    this.at = Math.min(seconds, this.length)
    if (source) this.start()
    if (playing) this.begun = source ? this.context.currentTime : this.now
  }

  close() {
    this.pause()
    this.context?.close()
  }
}

/**
 * @param {Uint8Array} bytes of an audio file
 * @returns {Promise<AudioBuffer>}
 */
function decodedSound(bytes) {
  return new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes.slice().buffer)
}

function made(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

export class Player {
  /**
   * @param {HTMLElement} host is filled
   * @param {{header: object, sections: object}} file
   * @param {function(string): string} [say] the controls' words by their names
   */
  constructor(host, file, say = name => ENGLISH[name]) {
    this.host = host
    this.say = say
    this.file = file
    const { fps, frames, note } = file.header
    this.clock = new Clock(frames / fps)
    this.orbit = { yaw: 0, pitch: 0 }
    this.shown = { frame: -1 }
    this.timed = [] // ms
    this.canvas = made('canvas', { title: say('turn') })
    this.button = made('button', { textContent: '▶', onclick: () => this.toggle() })
    this.button.setAttribute('aria-label', say('play'))
    this.slider = made('input', { type: 'range', min: 0, max: frames - 1, step: 1, value: 0 })
    this.slider.setAttribute('aria-label', say('time'))
    this.slider.oninput = () => this.seek(Number(this.slider.value))
    this.time = made('span', { textContent: clock(0) })
    const front = made('button', { textContent: say('front'), title: say('frontTip'), onclick: () => this.turn(0, 0) })
    const full = made('button', { textContent: say('full'), onclick: () => this.fullSize() })
    this.root = made('div', { className: 'thp' }, made('style', { textContent: STYLE }), this.canvas,
      made('div', { className: 'thp-bar' }, this.button, this.slider, this.time, front, full),
      made('div', { className: 'thp-note', textContent: note }))
    this.root.player = this
    host.replaceChildren(this.root)
    this.listen()
  }

  listen() {
    const { canvas } = this
    let from = null
    canvas.onpointerdown = event => {
      from = { x: event.clientX, y: event.clientY, ...this.orbit }
      canvas.setPointerCapture(event.pointerId)
      event.stopPropagation()
    }
    canvas.onpointermove = event => {
      if (from) this.turn(from.yaw + DEGREES * (event.clientX - from.x), from.pitch - DEGREES * (event.clientY - from.y))
    }
    canvas.onpointerup = canvas.onpointercancel = () => { from = null }
    canvas.addEventListener('webglcontextlost', event => event.preventDefault())
    canvas.addEventListener('webglcontextrestored', () => this.start())
    this.resized = new ResizeObserver(() => this.refresh())
    this.resized.observe(canvas)
  }

  /** Makes the renderer and shows the first frame. */
  async start() {
    this.renderer = await openRenderer(this.canvas, this.file)
    if (this.file.header.sound) this.clock.sound ??= await decodedSound(this.file.sections.sound)
    this.shown.frame = -1
    this.refresh()
    return this
  }

  get frame() {
    return frameAt(this.clock.time, this.file.header.fps, this.file.header.frames)
  }

  async toggle() {
    if (this.clock.playing) this.clock.pause()
    else await this.clock.play()
    this.refresh()
  }

  seek(frame) {
    this.clock.seek((frame + 0.01) / this.file.header.fps)
    this.refresh()
  }

  /** @param {number} yaw, @param {number} pitch degrees */
  turn(yaw, pitch) {
    this.orbit = { yaw: within(yaw, FARTHEST_YAW), pitch: within(pitch, FARTHEST_PITCH) }
    this.refresh()
  }

  async fullSize() {
    if (document.fullscreenElement) await document.exitFullscreen()
    else await this.root.requestFullscreen()
  }

  /** Draws with the next picture of the screen. */
  refresh() {
    if (this.waiting === undefined && this.renderer) this.waiting = requestAnimationFrame(() => this.update())
  }

  update() {
    this.waiting = undefined
    if (this.closed) return
    if (this.clock.ended) this.clock.pause()
    const { clock: { playing, time } } = this
    this.button.textContent = playing ? '⏸' : '▶'
    this.button.setAttribute('aria-label', this.say(playing ? 'pause' : 'play'))
    this.time.textContent = `${clock(time)} / ${clock(this.clock.length)}`
    this.slider.value = this.frame
    this.show(this.frame)
    if (playing) this.refresh()
  }

  /** Draws a frame unless it is there already. */
  show(frame) {
    const scale = this.scale()
    const wanted = { frame, ...this.orbit, scale }
    if (Object.keys(wanted).every(key => wanted[key] === this.shown[key])) return
    const begun = performance.now()
    this.renderer.resize(scale)
    this.renderer.draw(frame, this.orbit)
    if (scale > 1 && this.timed.length <= TIMED) this.measure(begun)
    this.shown = wanted
  }

  /** Notes how long an enlarged frame took; after some the size is settled. */
  measure(begun) {
    this.renderer.finish()
    this.timed.push(performance.now() - begun)
    if (this.timed.length > TIMED) this.small = this.timed.slice(1).sort((a, b) => a - b)[TIMED >> 1] > SLOW
  }

  /** Frames are as large as they are shown, within 1 to 2 times the avatar's own size. */
  scale() {
    if (this.small) return 1
    const [high] = this.file.header.size
    const across = this.canvas.clientHeight * (globalThis.devicePixelRatio || 1)
    return Math.min(Math.max(Math.round(2 * across / high) / 2, 1), LARGEST)
  }

  /** Stops, and gives everything back. */
  close() {
    this.closed = true
    this.clock.close()
    if (this.waiting !== undefined) cancelAnimationFrame(this.waiting)
    this.resized.disconnect()
    this.renderer?.dispose()
    this.root.remove()
  }
}

/**
 * A player for a file's bytes.
 * @param {HTMLElement} host is filled; where it fails, with a sentence
 * @param {ArrayBuffer} buffer
 * @param {function(string): string} [say] the controls' words by their names; English without
 * @returns {Promise<Player>}
 */
export async function openPlayer(host, buffer, say) {
  try {
    return await new Player(host, await readPlayerFile(buffer), say).start()
  } catch (error) {
    host.replaceChildren(made('div', { className: 'thp-failed', textContent: error.message }))
    throw error
  }
}
