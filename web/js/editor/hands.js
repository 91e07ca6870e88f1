// What the pointer, the wheel and the keys do on the editor's lanes.

import { GUTTER, PHONES, Plot, RULER, WAVE, rowsOf } from './draw.js'
import { laidOver, pointAdded, pointMoved, shownValue, strokeCurve } from './strokes.js'

const REACH = 7 // px around a point
const MOVED = 4 // px that make a click a stroke

export class Hands {
  /** @param {import('./panel.js').EditorPanel} panel whose canvas they touch */
  constructor(panel) {
    this.panel = panel
    this.#listen()
  }

  get model() {
    return this.panel.model
  }

  #listen() {
    const { canvas, root } = this.panel
    for (const kind of ['pointerdown', 'mousedown', 'dblclick', 'contextmenu', 'wheel']) {
      root.addEventListener(kind, event => event.stopPropagation())
    }
    root.addEventListener('keydown', event => this.#key(event))
    canvas.addEventListener('pointerdown', event => this.#down(event))
    canvas.addEventListener('pointermove', event => this.#move(event))
    canvas.addEventListener('pointerup', event => this.#up(event))
    canvas.addEventListener('pointercancel', () => { this.drag = null })
    canvas.addEventListener('pointerleave', () => this.panel.act(() => { this.panel.hover = '' }))
    canvas.addEventListener('contextmenu', event => this.#context(event))
    canvas.addEventListener('wheel', event => this.#wheel(event), { passive: false })
  }

  /** Where an event is on the canvas, in its own px, however the page has scaled the node. */
  #place(event) {
    const box = this.panel.canvas.getBoundingClientRect()
    return { x: (event.clientX - box.left) * this.panel.canvas.clientWidth / box.width,
      y: (event.clientY - box.top) * this.panel.canvas.clientHeight / box.height }
  }

  #row() {
    return rowsOf(this.model)[this.model.active]
  }

  #value(y) {
    const { least, most } = this.model.lane, row = this.#row()
    return Math.min(most, Math.max(least, Plot.value(y, this.model.range(row.lane), row)))
  }

  #time(x) {
    return Math.min(this.model.view.duration, Math.max(0, this.panel.plot.time(x)))
  }

  #pointAt({ x, y }) {
    const row = this.#row(), range = this.model.range(row.lane), own = time => this.model.own(row.lane, time)
    let found = null, best = REACH
    this.panel.curves().forEach((curve, c) => curve.points.forEach(([time], i) => {
      const shown = shownValue(this.model.lane, curve, i, own)
      const away = Math.hypot(this.panel.plot.x(time) - x, Plot.y(shown, range, row) - y)
      if (away <= best) [found, best] = [{ curve: c, point: i }, away]
    }))
    return found
  }

  #down(event) {
    this.panel.root.focus({ preventScroll: true })
    if (event.button !== 0 || !this.panel.plot) return
    const place = this.#place(event)
    this.panel.canvas.setPointerCapture(event.pointerId)
    if (place.y < WAVE + PHONES + RULER) {
      this.drag = { kind: 'seek' }
      return this.panel.player.seek(this.#time(place.x))
    }
    const row = rowsOf(this.model).find(({ top, height }) => place.y >= top && place.y < top + height)
    if (!row) return
    if (row.lane !== this.model.active || place.x < GUTTER) {
      this.model.active = row.lane
      this.model.selected = null
      return this.panel.redraw()
    }
    const point = this.#pointAt(place)
    this.model.selected = point
    this.drag = point ? { kind: 'point', ...point } : { kind: 'stroke', start: place, line: [this.#at(place)] }
    this.drag.before = this.panel.curves()
    this.panel.redraw()
  }

  #at({ x, y }) {
    return [this.#time(x), this.#value(y)]
  }

  #move(event) {
    if (!this.panel.plot || this.panel.said) return
    const place = this.#place(event), [time, value] = this.#at(place)
    this.panel.hover = place.x > GUTTER && place.y > WAVE + PHONES + RULER ? `${time.toFixed(2)} s   ${value.toFixed(2)}` : ''
    const { drag } = this
    if (drag?.kind === 'seek') this.panel.player.seek(time)
    else if (drag?.kind === 'point') this.#dragPoint(drag, time, value)
    else if (drag?.kind === 'stroke') this.#dragStroke(drag, place)
    this.panel.redraw()
  }

  #dragPoint(drag, time, value) {
    const { mode } = drag.before[drag.curve]
    drag.moved = true
    const curves = pointMoved(drag.before, drag.curve, drag.point, time, this.#stored(mode, time, value))
    this.#quietly(curves)
  }

  #dragStroke(drag, place) {
    if (!drag.moved && Math.hypot(place.x - drag.start.x, place.y - drag.start.y) < MOVED) return
    drag.moved = true
    drag.line.push(this.#at(place))
    const [low, high] = this.model.range(this.model.active)
    const fresh = strokeCurve(drag.line, { mode: this.panel.mode, shape: this.panel.shape, range: high - low,
      own: time => this.model.own(this.model.active, time) })
    if (fresh) this.#quietly(laidOver(drag.before, fresh))
  }

  /** Shown, but not yet a step of its own; the plot keeps its range meanwhile. */
  #quietly(curves) {
    const range = this.model.range(this.model.active)
    this.model.setCurves(curves, true)
    this.model.ranges.set(this.model.lane.name, range)
  }

  /** A value on the plot as a curve of that mode has it. */
  #stored(mode, time, value) {
    return mode === 'replace' ? value : value - (this.model.own(this.model.active, time) || 0)
  }

  #up(event) {
    const { drag } = this
    this.drag = null
    if (!drag || !drag.before) return
    const place = this.#place(event)
    if (drag.kind === 'stroke' && !drag.moved) {
      const [time, value] = this.#at(place)
      const added = pointAdded(drag.before, time, mode => this.#stored(mode, time, value), this.panel)
      this.model.setCurves(added.curves)
      this.model.selected = { curve: added.curve, point: added.point }
    } else if (drag.moved) this.model.setCurves(this.panel.curves())
    this.panel.redraw()
  }

  #context(event) {
    event.preventDefault()
    if (!this.panel.plot) return
    const point = this.#pointAt(this.#place(event))
    if (!point) return
    this.model.selected = point
    this.panel.remove()
  }

  #wheel(event) {
    if (!this.panel.plot || this.panel.said) return
    const { x } = this.#place(event)
    if (x < GUTTER) return
    event.preventDefault()
    const [from, to] = this.panel.span, length = to - from
    const { deltaX, deltaY } = event
    const sideways = event.shiftKey ? deltaY || deltaX : Math.abs(deltaX) > Math.abs(deltaY) && deltaX
    if (sideways) return this.panel.act(() => this.panel.setSpan(from + Math.sign(sideways) * 0.1 * length, length))
    const fixed = this.panel.plot.time(x), longer = length * 1.2 ** Math.sign(deltaY)
    this.panel.act(() => this.panel.setSpan(fixed - (fixed - from) * longer / length, longer))
  }

  #key(event) {
    if (['SELECT', 'INPUT'].includes(event.target.tagName)) return event.stopPropagation()
    const control = event.ctrlKey || event.metaKey, key = event.key.toLowerCase()
    const act = this.panel.said ? null
      : control && key === 'z' ? () => (event.shiftKey ? this.model.redo() : this.model.undo())
        : control && key === 'y' ? () => this.model.redo()
          : key === ' ' ? () => this.panel.toggle()
            : key === 'delete' || key === 'backspace' ? () => this.panel.remove() : null
    if (!act) return
    event.preventDefault()
    event.stopPropagation()
    this.panel.act(act)
  }
}
