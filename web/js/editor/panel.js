// The editor's element: toolbar, lanes, face. Hands and keys change the model; the model's changes are drawn.

import { GUTTER, PHONES, Plot, RULER, WAVE, drawFace, drawLanes, faceBox, heightOf } from './draw.js'
import { Hands } from './hands.js'
import { EditorModel } from './model.js'
import { Player } from './player.js'
import { pointRemoved, shownValue, smoothed } from './strokes.js'

const FACE = 172 // px
const MOST_HEIGHT = 430 // px of the lanes; more scroll
const NARROW = 600 // px of the element, below which the face is under the lanes
const CLOSEST = 0.2 // s, the shortest time that fills the plot
const STYLE = 'font:12px sans-serif;color:var(--input-text,#ddd);background:var(--comfy-menu-bg,#222);' +
  'border-radius:6px;display:flex;flex-direction:column;width:100%;height:100%;overflow:hidden;' +
  'box-sizing:border-box;padding:4px;outline:none'
const BUTTON = 'font:12px sans-serif;padding:2px 7px;border:1px solid var(--border-color,#555);cursor:pointer;' +
  'border-radius:4px;background:var(--comfy-input-bg,#333);color:inherit'

function element(tag, style, properties = {}) {
  const made = Object.assign(document.createElement(tag), properties)
  made.style.cssText = style
  return made
}

export class EditorPanel {
  /** @param {{words: function(string): string, save: function(string)}} given */
  constructor({ words, save }) {
    this.words = words
    this.model = new EditorModel(save)
    this.player = new Player(() => this.redraw())
    this.mode = 'add'
    this.shape = 'smooth'
    this.buttons = {}
    this.root = element('div', STYLE, { tabIndex: 0, className: 'talking-heads-motion-editor' })
    this.message = element('div', 'margin:auto;padding:24px;text-align:center;max-width:420px;line-height:1.5')
    this.root.append(this.#toolbar(), this.#main(), this.message, this.#foot())
    this.hands = new Hands(this)
    this.observer = new ResizeObserver(() => this.redraw())
    this.observer.observe(this.scroll)
    this.say('first')
  }

  /** The least height of the element, px; in a narrow node the face is below the lanes. */
  static height(lanes, width) {
    return 62 + Math.min(MOST_HEIGHT, WAVE + PHONES + RULER + (lanes - 1) * 26 + 132) + (width < NARROW ? FACE : 0)
  }

  /** A sentence instead of the lanes; '' for the lanes. */
  say(name) {
    this.said = name
    this.message.textContent = name ? this.words(name) : ''
    this.message.style.display = name ? '' : 'none'
    this.main.style.display = name ? 'none' : 'flex'
    this.foot.style.visibility = name ? 'hidden' : ''
    for (const [key, button] of Object.entries(this.buttons)) button.disabled = Boolean(name) && !(name === 'broken' && key === 'clear')
    this.redraw()
  }

  /** @param {object} view of readView @param {string} audio its URL, '' for none */
  show(view, audio) {
    const fresh = !this.model.view || Math.abs(this.model.view.duration - view.duration) > 0.01
    this.model.show(view)
    if (fresh) this.span = [0, view.duration]
    this.player.load(audio, view.duration)
    this.box = faceBox(this.model)
    this.#sentence()
  }

  /** Edits that came with the workflow. */
  read(text) {
    if (text === this.model.text && !this.model.broken) return
    this.model.read(text)
    if (this.model.view) this.model.show(this.model.view)
    this.#sentence()
  }

  #sentence() {
    this.say(this.model.broken ? 'broken' : this.model.view ? '' : this.said === 'gone' ? 'gone' : 'first')
  }

  close() {
    this.observer.disconnect()
    this.player.close()
  }

  // ------------------------------------------------------------------------------------------------------------- parts
  #toolbar() {
    const bar = element('div', 'display:flex;flex-wrap:wrap;gap:4px;align-items:center;padding-bottom:4px')
    const button = (name, act, label = this.words(name)) => {
      const title = this.words(`${name}Tip`)
      const made = element('button', BUTTON, { textContent: label, title, onclick: act, type: 'button' })
      made.dataset.name = name
      this.buttons[name] = made
      bar.append(made)
    }
    button('play', () => this.toggle(), `▶ ${this.words('play')}`)
    bar.append(this.#choice('mode', ['add', 'replace']), this.#choice('shape', ['smooth', 'linear', 'hold']))
    button('soften', () => this.#soften())
    button('remove', () => this.remove())
    button('mute', () => this.#mute())
    button('undo', () => this.act(() => this.model.undo()), '↶')
    button('redo', () => this.act(() => this.model.redo()), '↷')
    button('fit', () => this.act(() => { this.span = [0, this.model.view.duration] }))
    button('clear', () => this.act(() => {
      this.model.clear()
      if (this.said === 'broken') this.#sentence()
    }))
    return bar
  }

  #choice(name, options) {
    const made = element('select', BUTTON, { title: this.words(`${name}Tip`) })
    made.dataset.name = name
    for (const option of options) made.append(new Option(this.words(option), option))
    made.onchange = () => this.#choose(name, made.value)
    this.buttons[name] = made
    return made
  }

  #main() {
    this.main = element('div', 'display:flex;gap:4px;flex:1;min-height:0')
    this.scroll = element('div', 'flex:1;min-width:0;overflow-y:auto;overflow-x:hidden')
    this.canvas = element('canvas', 'display:block;touch-action:none;cursor:crosshair')
    this.canvas.dataset.name = 'lanes'
    this.scroll.append(this.canvas)
    this.side = element('div', 'flex:none')
    this.faceCanvas = element('canvas', 'display:block;flex:none')
    this.faceCanvas.dataset.name = 'face'
    this.note = element('div', 'font-size:11px;opacity:.75;padding:2px;white-space:pre-line;line-height:1.35')
    this.side.append(this.faceCanvas, this.note)
    this.main.append(this.scroll, this.side)
    return this.main
  }

  #foot() {
    this.foot = element('div', 'font-size:11px;opacity:.6;padding-top:3px;white-space:nowrap;overflow:hidden;' +
      'text-overflow:ellipsis;flex:none', { textContent: this.words('how') })
    return this.foot
  }

  // ----------------------------------------------------------------------------------------------------------- drawing
  redraw() {
    if (this.waiting) return
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0
      this.#draw()
    })
  }

  #draw() {
    this.buttons.play.textContent = this.player.playing ? `❚❚ ${this.words('pause')}` : `▶ ${this.words('play')}`
    if (this.said || !this.model.view) return
    const side = this.#arrange(), width = this.scroll.clientWidth
    if (width < GUTTER + 20) return
    this.#follow()
    const colour = getComputedStyle(this.root).color, height = heightOf(this.model)
    this.plot = new Plot(width, ...this.span)
    const pen = this.#sized(this.canvas, width, height)
    drawLanes(pen, this.model, this.plot, { now: this.player.now, colour, words: this.words, hover: this.hover })
    drawFace(this.#sized(this.faceCanvas, side, side), this.model, this.box, side, this.player.now, colour)
    this.#tell()
  }

  /** The face beside the lanes, or below them where there is no room. Returns its side, px. */
  #arrange() {
    const { clientWidth, clientHeight } = this.root, narrow = clientWidth < NARROW
    this.main.style.flexDirection = narrow ? 'column' : 'row'
    this.scroll.style.flex = narrow ? '0 1 auto' : '1'
    Object.assign(this.side.style, { width: narrow ? '100%' : `${FACE}px`, display: narrow ? 'flex' : 'block' })
    return narrow ? Math.max(100, Math.min(clientWidth - 120, clientHeight - heightOf(this.model) - 70)) : FACE
  }

  /** The plot goes along with the sound. */
  #follow() {
    const [from, to] = this.span, now = this.player.now
    if (this.player.playing && (now < from || now > to)) this.setSpan(now, to - from)
  }

  #sized(canvas, width, height) {
    const zoom = canvas.getBoundingClientRect().width / (canvas.clientWidth || 1) || 1
    const ratio = Math.min(3, Math.max(1, devicePixelRatio * zoom))
    const wide = Math.round(width * ratio), high = Math.round(height * ratio)
    if (canvas.width !== wide || canvas.height !== high) {
      Object.assign(canvas, { width: wide, height: high })
      canvas.style.width = `${width}px`
      canvas.style.height = `${height}px`
    }
    const pen = canvas.getContext('2d')
    pen.setTransform(ratio, 0, 0, ratio, 0, 0)
    return pen
  }

  #tell() {
    const { view } = this.model, muted = this.model.editsOf(this.model.lane.name).muted
    const lines = [`${this.player.now.toFixed(2)} / ${view.duration.toFixed(2)} s`]
    if (view.kind === 'avatar') lines.push(this.words('sketch'))
    if (view.stride > 1) lines.push(this.words('every').replace('{}', view.stride))
    if (view.phonesNote) lines.push(view.phonesNote)
    this.note.textContent = lines.join('\n')
    this.buttons.mute.style.outline = muted ? '2px solid #ffd166' : ''
    this.buttons.undo.disabled = !this.model.past.length
    this.buttons.redo.disabled = !this.model.future.length
    const chosen = this.model.selected && this.model.editsOf(this.model.lane.name).curves[this.model.selected.curve]
    this.buttons.mode.value = chosen ? chosen.mode : this.mode
    this.buttons.shape.value = chosen ? chosen.shape : this.shape
  }

  // ----------------------------------------------------------------------------------------------------------- actions
  act(act) {
    act()
    this.redraw()
  }

  toggle() {
    if (this.player.playing) this.player.pause()
    else this.player.play()
  }

  curves() {
    return this.model.editsOf(this.model.lane.name).curves
  }

  #soften() {
    this.act(() => this.model.setCurves(this.curves().map(smoothed)))
  }

  remove() {
    const { selected } = this.model
    this.act(() => this.model.setCurves(selected ? pointRemoved(this.curves(), selected.curve, selected.point) : []))
    this.model.selected = null
  }

  #mute() {
    const edits = this.model.editsOf(this.model.lane.name)
    this.act(() => this.model.setLane({ ...edits, muted: !edits.muted }))
  }

  /** For the selected curve and for those drawn from now on. In the other mode a curve keeps its place on the plot. */
  #choose(name, value) {
    this[name] = value
    const { selected, lane } = this.model, own = time => this.model.own(this.model.active, time)
    if (!selected) return
    const curve = this.curves()[selected.curve]
    const points = name !== 'mode' || curve.mode === value ? curve.points : curve.points.map(([time], i) => {
      const shown = shownValue(lane, curve, i, own)
      return [time, value === 'add' ? shown - (own(time) || 0) : Math.min(lane.most, Math.max(lane.least, shown))]
    })
    this.act(() => this.model.setCurves(this.curves().with(selected.curve, { ...curve, [name]: value, points })))
  }

  /** Shows `length` seconds from `from` on, as far as there are so many. */
  setSpan(from, length) {
    const { duration } = this.model.view, long = Math.min(duration, Math.max(CLOSEST, length))
    const start = Math.min(duration - long, Math.max(0, from))
    this.span = [start, start + long]
  }
}
