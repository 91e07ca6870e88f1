// The 68 points of one frame, edited: the page's twin of media_core/motion_edits.py, with the tables that a view brings.

const MM = 1000 // of a metre, the tables' unit

/** @typedef {object} View of readView */

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
const length = a => Math.max(Math.sqrt(dot(a, a)), 1e-12)
const scaled = (a, by) => [a[0] * by, a[1] * by, a[2] * by]
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
const at = (p, i) => [p[3 * i], p[3 * i + 1], p[3 * i + 2]]
/** a table's row i (metres of the mean face), along the axes */
const along = (table, i, axes) => [0, 1, 2].map(k =>
  table[3 * i] * axes[0][k] + table[3 * i + 1] * axes[1][k] + table[3 * i + 2] * axes[2][k])

/** The rigid points' middle, and where the mean face's x, y and z point; `flat` faces get a depth. */
function frameOf(view, p) {
  const { rigid } = view.indices, { fit } = view.data
  const middle = scaled(rigid.reduce((sum, i) => [sum[0] + p[3 * i], sum[1] + p[3 * i + 1], sum[2] + p[3 * i + 2]], [0, 0, 0]),
    1 / rigid.length)
  const axes = [0, 1, 2].map(row => rigid.reduce((sum, i, column) => {
    const weight = fit[row * rigid.length + column]
    return [0, 1, 2].map(k => sum[k] + weight * (p[3 * i + k] - middle[k]))
  }, [0, 0, 0]))
  if (view.flat) {
    const across = scaled(axes[0], 1 / length(axes[0]))
    const up = minus(axes[1], scaled(across, dot(axes[1], across)))
    axes[2] = scaled(cross(across, scaled(up, 1 / length(up))), length(axes[0]))
  }
  return { middle, axes }
}

/**
 * The points of one row at other values of the lanes.
 * @param {View} view of landmarks @param {number} row
 * @param {number[]} own values of the row's lanes, in the order of view.lanes @param {number[]} values what they shall be
 * @returns {Float64Array} [68 * 3] in the track's own coordinates
 */
export function editedPoints(view, row, own, values) {
  const base = view.data.points.slice(204 * row, 204 * row + 204).map((value, i) => value * view.flip[i % 3])
  const p = base.slice(), by = {}, names = view.lanes.map(lane => lane.name)
  names.forEach((name, i) => { by[name] = [own[i], values[i]] })
  const { middle, axes } = frameOf(view, base)
  moveLips(view, p, base, axes, ...by.lips)
  for (const name of ['jaw', 'brows']) push(p, view.data[name], axes, (by[name][1] - by[name][0]) / MM)
  moveLids(view, p, base, axes, ...by.blink)
  turn(view, p, middle, axes, by.yaw, by.pitch)
  return p.map((value, i) => value * view.flip[i % 3])
}

function push(p, table, axes, by, only) {
  if (!by) return
  for (let i = 0; i < 68; i++) {
    if (only && !only.has(i)) continue
    const move = along(table, i, axes)
    for (let k = 0; k < 3; k++) p[3 * i + k] += by * move[k]
  }
}

function moveLips(view, p, base, axes, own, value) {
  if (value > own) return push(p, view.data.lips, axes, (value - own) / MM)
  if (!(value < own) || own <= 0) return
  const shut = shutMouth(view, base, axes, own), share = Math.min(1, (own - value) / own)
  for (let i = 0; i < p.length; i++) p[i] += share * (shut[i] - base[i])
}

function shutMouth(view, base, axes, own) {
  const { upperPair, lowerPair, upperRim, lowerRim, mouth } = view.indices, out = base.slice()
  push(out, view.data.closing, axes, own / MM, new Set(mouth))
  const left = upperPair.map((upper, n) => minus(minus(at(out, upper), at(out, lowerPair[n])),
    minus(along(view.data.mean, upper, axes), along(view.data.mean, lowerPair[n], axes))))
  for (const [uppers, lowers] of [[upperPair, lowerPair], [upperRim, lowerRim]]) {
    left.forEach((gap, n) => {
      for (let k = 0; k < 3; k++) {
        out[3 * uppers[n] + k] -= view.upperShare * gap[k]
        out[3 * lowers[n] + k] += (1 - view.upperShare) * gap[k]
      }
    })
  }
  return out
}

function moveLids(view, p, base, axes, own, value) {
  if (value === own) return
  const { upperLids, lowerLids } = view.indices
  const share = value > own && own < 1 ? (value - own) / (1 - own) : 0
  const lift = Math.max(own - value, 0) * view.openEyes
  upperLids.forEach((upper, n) => {
    const gap = minus(at(base, upper), at(base, lowerLids[n]))
    for (let k = 0; k < 3; k++) {
      const move = lift * axes[1][k] - share * gap[k]
      p[3 * upper + k] += view.lidShare * move
      p[3 * lowerLids[n] + k] -= (1 - view.lidShare) * move
    }
  })
}

/** Rows of the rotation of a face that looks so far to the image's right, then so far up (degrees). */
function looking(yaw, pitch) {
  const a = yaw * Math.PI / 180, b = pitch * Math.PI / 180
  const c = Math.cos(a), s = Math.sin(a), d = Math.cos(b), u = Math.sin(b)
  return [[c, -s * u, s * d], [0, d, u], [-s, -c * u, c * d]]
}

/** Turns the head about its neck from one look to another; in place. */
function turn(view, p, middle, axes, yaw, pitch) {
  if (yaw[0] === yaw[1] && pitch[0] === pitch[1]) return
  const now = looking(yaw[1], pitch[1]), before = looking(yaw[0], pitch[0])
  const rotation = now.map(row => before.map(other => dot(row, other)))
  const neck = minus(view.data.neck, view.data.middle)
  const pivot = along(neck, 0, axes).map((value, k) => value + middle[k])
  for (let i = 0; i < 68; i++) {
    const point = at(p, i)
    if (view.flat) point[2] += along(minus(at(view.data.mean, i), view.data.middle), 0, axes)[2]
    const away = minus(point, pivot)
    rotation.forEach((row, k) => {
      if (k < 2 || !view.flat) p[3 * i + k] = dot(row, away) + pivot[k]
    })
  }
}

/**
 * A sketch of an avatar's face: the mean face with its action units, its head turned.
 * @param {View} view of an avatar @param {number[]} values of its lanes: 17 units (0 to 5), yaw, pitch (degrees)
 * @returns {Float64Array} [68 * 3] metres, x right, y up, z to the viewer
 */
export function sketchedPoints(view, values) {
  const p = Float64Array.from(view.data.mean), units = values.length - 2
  for (let unit = 0; unit < units; unit++) {
    const name = view.lanes[unit].name, strength = Number.isNaN(values[unit]) ? 0 : values[unit]
    const by = name === 'AU45' ? Math.min(strength, 2) : strength
    for (let i = 0; i < 204; i++) p[i] += by * view.data.sketch[204 * unit + i]
  }
  const axes = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
  turn({ ...view, flat: false }, p, [...view.data.middle], axes, [0, values[units]], [0, values[units + 1]])
  return p
}
