// What hands do to curves: freehand strokes become few control points; points are added, moved, smoothed, removed. Every
// function returns new curves and leaves the given ones alone.

import { FADE, edited } from './curves.js'

const FINEST = 0.02 // s between points of a stroke
const CALM = 0.08 // s, over which the difference of a stroke to a lively motion is averaged
const TOLERANCE = 0.012 // of the lane's shown range
const rounded = ([time, value]) => [Math.round(time * 1000) / 1000, Math.round(value * 1000) / 1000]

/**
 * A freehand stroke as a curve.
 * @param {number[][]} stroke [time s, value in the lane's unit] in the order of drawing
 * @param {{mode: string, shape: string, own: function(number): number, range: number}} how `own`: the motion's value at a time;
 *   `range`: of the lane as shown
 * @returns {import('./curves.js').Curve} null for an empty stroke
 */
export function strokeCurve(stroke, { mode, shape, own, range }) {
  const line = resampled(stroke)
  if (!line.length) return null
  const values = mode === 'add' ? averaged(line.map(([time, value]) => [time, value - known(own(time))])) : line
  return { mode, shape, fade: FADE, points: spread(simplified(values, TOLERANCE * range).map(rounded)) }
}

const known = value => (Number.isNaN(value) ? 0 : value)

/** One value every FINEST seconds from the first to the last moment; where the hand went back, what it drew last counts. */
function resampled(stroke) {
  const cells = new Map(), put = (time, value) => cells.set(Math.max(0, Math.round(time / FINEST)), value)
  stroke.forEach(([time, value], i) => {
    const [before, old] = stroke[Math.max(0, i - 1)]
    const steps = Math.max(1, Math.ceil(Math.abs(time - before) / FINEST))
    for (let k = 1; k <= steps; k++) put(before + (time - before) * k / steps, old + (value - old) * k / steps)
  })
  return [...cells].sort((a, b) => a[0] - b[0]).map(([cell, value]) => [cell * FINEST, value])
}

function averaged(line) {
  return line.map(([time]) => {
    const near = line.filter(([other]) => Math.abs(other - time) <= CALM + 1e-9)
    return [time, near.reduce((sum, [, value]) => sum + value, 0) / near.length]
  })
}

/** Ramer, Douglas and Peucker: the fewest points whose straight lines stay within the tolerance. */
export function simplified(line, tolerance) {
  if (line.length < 3) return line
  const [start, a] = line[0], [end, b] = line[line.length - 1]
  let worst = 0, place = 0
  line.forEach(([time, value], i) => {
    const off = Math.abs(value - (a + (b - a) * (time - start) / (end - start)))
    if (off > worst) [worst, place] = [off, i]
  })
  if (worst <= tolerance) return [line[0], line[line.length - 1]]
  return [...simplified(line.slice(0, place + 1), tolerance).slice(0, -1), ...simplified(line.slice(place), tolerance)]
}

/** Times increase, whatever rounding did. */
function spread(points) {
  return points.filter((point, i) => i === 0 || point[0] > points[i - 1][0])
}

/** Lays a new curve over others: what it covers goes, what touches it and is of its kind is joined to it. */
export function laidOver(curves, fresh) {
  const start = fresh.points[0][0], end = fresh.points[fresh.points.length - 1][0]
  const rest = []
  let before = [], after = []
  for (const curve of curves) {
    const left = curve.points.filter(([time]) => time < start), right = curve.points.filter(([time]) => time > end)
    const covered = left.length + right.length < curve.points.length
    const meets = left.length && right.length || covered
    if (meets && curve.mode === fresh.mode) {
      before = before.concat(left)
      after = after.concat(right)
    } else for (const points of [left, right]) if (points.length) rest.push({ ...curve, points })
  }
  const byTime = (a, b) => a[0] - b[0]
  const joined = { ...fresh, points: spread([...before.sort(byTime), ...fresh.points, ...after.sort(byTime)]) }
  return inOrder([...rest, joined])
}

function inOrder(curves) {
  return [...curves].sort((a, b) => a.points[0][0] - b.points[0][0])
}

/** The number of the curve that acts at a time, within its fades; -1: none. */
export function curveAt(curves, time) {
  return curves.findIndex(({ points, fade }) => time >= points[0][0] - fade && time <= points[points.length - 1][0] + fade)
}

/** Whether a place is taken: points of a curve stand at least this far apart. */
const taken = (points, time, except) => points.some(([other], i) => i !== except && Math.abs(other - time) < FINEST / 2)

/**
 * A new point, in the curve that acts there or in one of its own.
 * @param {function(string): number} value of the point in a curve of a mode
 * @returns {{curves: Curve[], curve: number, point: number}} and where it is
 */
export function pointAdded(curves, time, value, { mode, shape }) {
  const found = curveAt(curves, time)
  if (found < 0) {
    const fresh = { mode, shape, fade: FADE, points: [rounded([time, value(mode)])] }
    const all = inOrder([...curves, fresh])
    return { curves: all, curve: all.indexOf(fresh), point: 0 }
  }
  const curve = curves[found]
  if (taken(curve.points, time, -1)) return { curves, curve: found, point: nearest(curve.points, time) }
  const fresh = rounded([time, value(curve.mode)]), points = [...curve.points, fresh].sort((a, b) => a[0] - b[0])
  return { curves: curves.with(found, { ...curve, points }), curve: found, point: points.indexOf(fresh) }
}

function nearest(points, time) {
  return points.reduce((best, [other], i) => (Math.abs(other - time) < Math.abs(points[best][0] - time) ? i : best), 0)
}

/** A point elsewhere, between its neighbours. */
export function pointMoved(curves, curve, point, time, value) {
  const { points } = curves[curve], gap = FINEST / 2
  const least = point > 0 ? points[point - 1][0] + gap : 0
  const most = point + 1 < points.length ? points[point + 1][0] - gap : Infinity
  const moved = rounded([Math.min(most, Math.max(least, time)), value])
  return curves.with(curve, { ...curves[curve], points: points.with(point, moved) })
}

/** Without one point; a curve without points goes too. */
export function pointRemoved(curves, curve, point) {
  const points = curves[curve].points.filter((_, i) => i !== point)
  return points.length ? curves.with(curve, { ...curves[curve], points }) : curves.filter((_, i) => i !== curve)
}

/** Every inner point half way to the mean of its neighbours; the ends stay. */
export function smoothed(curve) {
  const { points } = curve
  const value = i => (points[i - 1][1] + 2 * points[i][1] + points[i + 1][1]) / 4
  return { ...curve, points: points.map((p, i) => (i && i + 1 < points.length ? rounded([p[0], value(i)]) : p)) }
}

/** Where a point stands on the plot: its own value, or on top of the motion's. */
export function shownValue(lane, curve, point, own) {
  const [time, value] = curve.points[point]
  return edited(lane, { muted: false, curves: [{ ...curve, points: [[time, value]] }] }, known(own(time)), time)
}
