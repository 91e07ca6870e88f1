// Draws the editor: waveform, phones, lanes and the face. Sizes are CSS pixels; times s.

import { shownValue } from './strokes.js'

export const GUTTER = 116, WAVE = 40, PHONES = 14, ROW = 26, TALL = 132, RULER = 14
const OWN = '#8a93a0', MINE = '#4fb3ff', MUTED = '#6f6f6f', POINT = '#ffd166', HEAD = '#ff5d5d'
// Lines through the 68 points: first, last, closed.
const LINES = [[0, 16], [17, 21], [22, 26], [27, 30], [31, 35], [36, 41, true], [42, 47, true], [48, 59, true], [60, 67, true]]

/** Where each lane's row is: [{lane, top, height}], below waveform and phones. */
export function rowsOf(model) {
  let top = WAVE + PHONES + RULER
  return model.view.lanes.map((_, lane) => {
    const height = lane === model.active ? TALL : ROW
    top += height
    return { lane, top: top - height, height }
  })
}

/** Height of everything, px. */
export const heightOf = model => WAVE + PHONES + RULER + (model.view.lanes.length - 1) * ROW + TALL

/** The plot's geometry: time to x and back, the active lane's value to y and back. */
export class Plot {
  constructor(width, from, to) {
    Object.assign(this, { width, from, to })
  }

  x(time) {
    return GUTTER + (time - this.from) / (this.to - this.from) * (this.width - GUTTER)
  }

  time(x) {
    return this.from + (x - GUTTER) / (this.width - GUTTER) * (this.to - this.from)
  }

  static y(value, [low, high], { top, height }) {
    return top + height - 3 - (value - low) / (high - low) * (height - 6)
  }

  static value(y, [low, high], { top, height }) {
    return low + (top + height - 3 - y) / (height - 6) * (high - low)
  }
}

export function drawLanes(pen, model, plot, { now, colour, words, hover }) {
  const height = heightOf(model)
  pen.clearRect(0, 0, plot.width, height)
  pen.font = '11px sans-serif'
  pen.textBaseline = 'middle'
  drawHeard(pen, model, plot, colour)
  drawRuler(pen, plot, colour)
  for (const row of rowsOf(model)) drawLane(pen, model, plot, row, colour, words)
  const x = plot.x(now)
  if (x >= GUTTER) line(pen, HEAD, [[x, 0], [x, height]])
  if (hover) {
    pen.fillStyle = colour
    pen.textAlign = 'right'
    pen.fillText(hover, plot.width - 4, WAVE + PHONES + RULER + 8 + model.active * ROW)
  }
}

function drawHeard(pen, model, plot, colour) {
  const { wave } = model.view.data, { waveSeconds, phones, silences } = model.view
  pen.save()
  pen.beginPath()
  pen.rect(GUTTER, 0, plot.width - GUTTER, WAVE + PHONES)
  pen.clip()
  pen.fillStyle = 'rgba(128,128,128,0.18)'
  for (const [start, end] of silences) pen.fillRect(plot.x(start), 0, plot.x(end) - plot.x(start), WAVE)
  pen.fillStyle = OWN
  for (let x = GUTTER; wave && x < plot.width; x++) {
    const first = Math.floor(plot.time(x) / waveSeconds * wave.length)
    const last = Math.max(first + 1, Math.floor(plot.time(x + 1) / waveSeconds * wave.length))
    let peak = 0
    for (let i = Math.max(0, first); i < Math.min(last, wave.length); i++) peak = Math.max(peak, wave[i])
    const half = peak / 255 * (WAVE / 2 - 1)
    if (half) pen.fillRect(x, WAVE / 2 - half, 1, 2 * half)
  }
  pen.textAlign = 'center'
  for (const [name, start, end] of phones) {
    const left = plot.x(start), right = plot.x(end)
    if (right < GUTTER || left > plot.width) continue
    pen.fillStyle = 'rgba(128,128,128,0.35)'
    pen.fillRect(left, WAVE, 1, PHONES)
    pen.fillStyle = colour
    if (right - left > pen.measureText(name).width + 1) pen.fillText(name, (left + right) / 2, WAVE + PHONES / 2)
  }
  pen.restore()
}

function drawRuler(pen, plot, colour) {
  const wanted = (plot.to - plot.from) * 70 / (plot.width - GUTTER)
  const step = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300].find(s => s >= wanted) || 600
  pen.fillStyle = colour
  pen.textAlign = 'left'
  pen.globalAlpha = 0.6
  for (let i = Math.ceil(plot.from / step); i * step <= plot.to; i++) {
    const x = plot.x(i * step)
    pen.fillRect(x, WAVE + PHONES, 1, RULER)
    pen.fillText(`${Math.round(i * step * 100) / 100} s`, x + 3, WAVE + PHONES + RULER / 2)
  }
  pen.globalAlpha = 1
}

function drawLane(pen, model, plot, row, colour, words) {
  const lane = model.view.lanes[row.lane], edits = model.editsOf(lane.name), active = row.lane === model.active
  pen.fillStyle = active ? 'rgba(128,128,128,0.16)' : 'rgba(128,128,128,0.05)'
  pen.fillRect(0, row.top + 1, plot.width, row.height - 2)
  drawName(pen, lane, edits, row, active, colour, words)
  const range = model.range(row.lane), y = value => Plot.y(value, range, row)
  pen.save()
  pen.beginPath()
  pen.rect(GUTTER, row.top, plot.width - GUTTER, row.height)
  pen.clip()
  if (range[0] < 0 && range[1] > 0) line(pen, 'rgba(128,128,128,0.4)', [[GUTTER, y(0)], [plot.width, y(0)]])
  const columns = Array.from({ length: Math.ceil(plot.width - GUTTER) }, (_, i) => plot.time(GUTTER + i))
    .filter(time => time >= 0 && time <= model.view.duration)
  line(pen, OWN, columns.map(time => [plot.x(time), y(model.own(row.lane, time))]))
  if (edits.curves.length) {
    const changed = columns.map(time => [plot.x(time), y(model.value(row.lane, time))])
    line(pen, edits.muted ? MUTED : MINE, changed, active ? 2 : 1.3)
    if (active) drawPoints(pen, model, plot, row, lane, edits, y)
  }
  pen.restore()
}

function drawName(pen, lane, edits, row, active, colour, words) {
  pen.textAlign = 'left'
  pen.fillStyle = edits.curves.length && !edits.muted ? MINE : colour
  pen.globalAlpha = lane.known === false || edits.muted ? 0.45 : 1
  const short = lane.name.startsWith('AU') ? lane.name : ''
  pen.fillText(short ? `${short} ${words(lane.name)}` : words(lane.name), 6, row.top + ROW / 2, GUTTER - 10)
  if (active) {
    pen.globalAlpha = 0.6
    const notes = [lane.unit, edits.muted && words('mute'), lane.known === false && words('unknown')].filter(Boolean)
    notes.forEach((note, i) => pen.fillText(note, 6, row.top + ROW + 8 + 14 * i, GUTTER - 10))
  }
  pen.globalAlpha = 1
}

function drawPoints(pen, model, plot, row, lane, edits, y) {
  for (const [c, curve] of edits.curves.entries()) {
    for (const [i, [time]] of curve.points.entries()) {
      const chosen = model.selected && model.selected.curve === c && model.selected.point === i
      pen.beginPath()
      pen.arc(plot.x(time), y(shownValue(lane, curve, i, at => model.own(row.lane, at))), chosen ? 5 : 3.5, 0, 7)
      pen.fillStyle = chosen ? '#ffffff' : POINT
      pen.fill()
    }
  }
}

function line(pen, colour, points, width = 1) {
  pen.beginPath()
  let on = false
  for (const [x, y] of points) {
    if (Number.isNaN(y)) on = false
    else if (on) pen.lineTo(x, y)
    else {
      pen.moveTo(x, y)
      on = true
    }
  }
  pen.strokeStyle = colour
  pen.lineWidth = width
  pen.stroke()
}

/** The box that a face stays in over the whole motion: {x, y, size} in the points' unit. */
export function faceBox(model) {
  let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity
  const shots = 12
  for (let i = 0; i < shots; i++) {
    const { points } = model.face((i + 0.5) / shots * model.view.duration, false)
    for (let k = 0; k < 68; k++) {
      left = Math.min(left, points[3 * k])
      right = Math.max(right, points[3 * k])
      low = Math.min(low, points[3 * k + 1])
      high = Math.max(high, points[3 * k + 1])
    }
  }
  return { x: (left + right) / 2, y: (low + high) / 2, size: 1.35 * Math.max(right - left, high - low) }
}

/** The 68 points as lines: the motion as it came in grey, with the edits in colour. */
export function drawFace(pen, model, box, side, now, colour) {
  pen.clearRect(0, 0, side, side)
  const scale = side / box.size
  for (const withEdits of [false, true]) {
    const { points, down } = model.face(now, withEdits)
    const upright = down ? scale : -scale
    const place = i => [side / 2 + (points[3 * i] - box.x) * scale, side / 2 + (points[3 * i + 1] - box.y) * upright]
    pen.globalAlpha = withEdits ? 1 : 0.3
    for (const [first, last, closed] of LINES) {
      const drawn = Array.from({ length: last - first + 1 }, (_, i) => place(first + i))
      line(pen, withEdits ? MINE : colour, closed ? [...drawn, drawn[0]] : drawn, 1.5)
    }
  }
  pen.globalAlpha = 1
}
