// The curves of the motion editor and their values in time: the page's twin of media_core/edit_curves.py.

export const VERSION = 1
export const MODES = ['add', 'replace']
export const SHAPES = ['smooth', 'linear', 'hold']
export const FADE = 0.2 // s, unless a curve says otherwise
const LONGEST_TIME = 36000 // s
const MOST_POINTS = 5000

/**
 * @typedef {{mode: string, shape: string, fade: number, points: number[][]}} Curve points: [time s, value], times increasing
 * @typedef {{muted: boolean, curves: Curve[]}} LaneEdits
 * @typedef {{version: number, lanes: Object<string, LaneEdits>}} Edits
 * @typedef {{name: string, least: number, most: number, unit: string}} Lane
 */

/** @returns {Edits} the edits in a text; null where it holds none that this version reads */
export function parsed(text) {
  if (!text || !text.trim()) return { version: VERSION, lanes: {} }
  let value
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (!value || !(value.version <= VERSION) || typeof value.lanes !== 'object' || !value.lanes) return null
  const lanes = {}
  for (const [name, lane] of Object.entries(value.lanes)) {
    if (!lane || !Array.isArray(lane.curves)) return null
    const curves = lane.curves.map(completed)
    if (curves.some(curve => !curve)) return null
    lanes[name] = { muted: lane.muted === true, curves: curves.filter(curve => curve.points.length) }
  }
  return { version: VERSION, lanes }
}

function completed(curve) {
  const points = curve && curve.points
  if (!Array.isArray(points) || !points.every(p => Array.isArray(p) && p.length === 2 && p.every(Number.isFinite))) return null
  const rising = points.every((p, i) => p[0] >= 0 && p[0] <= LONGEST_TIME && (i === 0 || p[0] > points[i - 1][0]))
  const { mode = 'add', shape = 'smooth', fade = FADE } = curve
  const fits = MODES.includes(mode) && SHAPES.includes(shape) && fade >= 0 && fade <= 5
  return rising && fits && points.length <= MOST_POINTS ? { mode, shape, fade, points: points.map(p => [...p]) } : null
}

/** The text that goes into the workflow; '' for no edits. Lanes without curves are left out. */
export function written(edits) {
  const lanes = Object.fromEntries(Object.entries(edits.lanes).filter(([, lane]) => lane.curves.length))
  return Object.keys(lanes).length ? JSON.stringify({ version: VERSION, lanes }) : ''
}

/** Slopes at the points (per s): the monotone cubic of Fritsch and Butland, level at both ends. */
function slopes(points) {
  const found = new Array(points.length).fill(0)
  for (let i = 1; i + 1 < points.length; i++) {
    const before = points[i][0] - points[i - 1][0], after = points[i + 1][0] - points[i][0]
    const a = (points[i][1] - points[i - 1][1]) / before, b = (points[i + 1][1] - points[i][1]) / after
    if (a * b <= 0) continue
    const p = 2 * after + before, q = after + 2 * before
    found[i] = (p + q) / (p / a + q / b)
  }
  return found
}

/** The number of the last point at or before a time; points are at least two. */
function leftOf(points, time) {
  let low = 0, high = points.length - 2
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (points[middle][0] <= time) low = middle
    else high = middle - 1
  }
  return low
}

/** A curve's value at a time (s); before its first and after its last point theirs. */
export function valueAt(curve, time) {
  const { points } = curve, last = points.length - 1
  if (time <= points[0][0]) return points[0][1]
  if (time >= points[last][0]) return points[last][1]
  const left = leftOf(points, time), [start, a] = points[left], [end, b] = points[left + 1]
  if (curve.shape === 'hold') return a
  const width = end - start, x = (time - start) / width
  if (curve.shape === 'linear') return a * (1 - x) + b * x
  const near = slopes(points.slice(Math.max(0, left - 1), left + 3)), at = left > 0 ? 1 : 0
  const m = (left > 0 ? near[at] : 0) * width, n = (left + 1 < last ? near[at + 1] : 0) * width
  return ((2 * x - 3) * x * x + 1) * a + ((x - 2) * x + 1) * x * m + (3 - 2 * x) * x * x * b + (x - 1) * x * x * n
}

/** How far a curve acts at a time, 0 to 1. */
export function weightAt(curve, time) {
  const { points, fade } = curve
  const away = Math.max(points[0][0] - time, time - points[points.length - 1][0], 0)
  if (!fade) return away === 0 ? 1 : 0
  const x = Math.min(1, Math.max(0, 1 - away / fade))
  return x * x * (3 - 2 * x)
}

/**
 * A lane's value with its curves applied.
 * @param {Lane} lane @param {LaneEdits} [edits] none or muted: nothing changes
 * @param {number} own the motion's own value, NaN where it is not known @param {number} time s
 */
export function edited(lane, edits, own, time) {
  if (!edits || edits.muted) return own
  let out = own
  for (const curve of edits.curves) {
    const weight = weightAt(curve, time)
    if (!weight) continue
    const value = valueAt(curve, time)
    if (curve.mode === 'add') out += weight * value
    else if (weight === 1) out = value
    else {
      const known = Number.isNaN(out) ? value : out
      out = known + weight * (value - known)
    }
  }
  if (out === own || Number.isNaN(out)) return own
  const least = Number.isNaN(own) ? lane.least : Math.min(lane.least, own)
  const most = Number.isNaN(own) ? lane.most : Math.max(lane.most, own)
  return Math.min(most, Math.max(least, out))
}
