/**
 * A training's curves as charts: numbers in, lines in a box of WIDTH x HEIGHT out. Nothing here touches the page.
 */
export const WIDTH = 300
export const HEIGHT = 60
const EDGE = 3
const COLOURS = ['#4c9be8', '#e0803c', '#58a64a', '#b06fd8', '#c9a227']
const LOGARITHMIC = 10 // largest through smallest value from which on a scale is logarithmic

/**
 * @param {number[]} values
 * @returns {{low: number, high: number, log: boolean}}
 */
export function scaleOf(values) {
  let low = Math.min(...values)
  let high = Math.max(...values)
  const log = low > 0 && high / low >= LOGARITHMIC
  if (low === high) {
    const room = Math.abs(low) * 0.1 || 1
    low -= room
    high += room
  }
  return { low, high, log }
}

/**
 * @param {number} value
 * @param {{low: number, high: number, log: boolean}} scale
 * @returns {number} px from the top
 */
export function heightOf(value, { low, high, log }) {
  const part = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low)
  return EDGE + (1 - part) * (HEIGHT - 2 * EDGE)
}

/**
 * @param {number} step
 * @param {number} last the step at the right edge
 * @returns {number} px from the left
 */
export const placeOf = (step, last) => WIDTH * step / Math.max(1, last)

/**
 * A line that goes on level to the newest step, since a value that has not changed is not sent again.
 * @param {{steps: number[], values: number[]}} curve
 * @param {{low: number, high: number, log: boolean}} scale
 * @param {number} newest step
 * @returns {string} of an SVG path
 */
export function pathOf(curve, scale, newest) {
  const at = (step, value) => `${placeOf(step, newest).toFixed(1)},${heightOf(value, scale).toFixed(1)}`
  const points = curve.steps.map((step, i) => at(step, curve.values[i]))
  if (newest > curve.steps.at(-1)) points.push(at(newest, curve.values.at(-1)))
  return points.length === 1 ? `M${points[0]}h0.01` : `M${points.join('L')}`
}

/**
 * @param {number} value
 * @returns {string} short: '0.0312', '27.9', '1.2e-5'
 */
export function short(value) {
  const size = Math.abs(value)
  if (size && (size < 1e-3 || size >= 1e5)) return value.toExponential(1).replace('+', '')
  return String(Number(value.toPrecision(3)))
}

/**
 * The charts of a training's record, in the order in which their curves come.
 * @param {{step: number, curves: {label: string, chart: string, steps: number[], values: number[]}[],
 *          phases: [number, string][]}} record
 * @returns {{title: string, log: boolean, low: string, high: string, phases: {x: number, words: string}[],
 *            lines: {label: string, colour: string, path: string, last: string}[]}[]}
 */
export function charts(record) {
  const groups = new Map()
  for (const curve of record.curves) groups.set(curve.chart, [...(groups.get(curve.chart) ?? []), curve])
  const newest = Math.max(record.step, ...record.curves.map(curve => curve.steps.at(-1)))
  const phases = record.phases.slice(1).map(([step, words]) => ({ x: placeOf(step, newest), words }))
  return [...groups].map(([title, curves]) => {
    const scale = scaleOf(curves.flatMap(curve => curve.values))
    const lines = curves.map((curve, i) => ({
      label: curve.label, colour: COLOURS[i % COLOURS.length], path: pathOf(curve, scale, newest),
      last: short(curve.values.at(-1))
    }))
    return { title, log: scale.log, low: short(scale.low), high: short(scale.high), phases, lines }
  })
}
