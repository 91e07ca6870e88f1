// Back to front: depths of the moved Gaussians, and a counting sort.

const NEAR = 0.01 // metres
const KEYS = 1 << 16

/**
 * One coordinate of each Gaussian in the camera after it was moved.
 * @param {Float32Array[]} position three columns of n numbers, metres
 * @param {Int8Array} moves [K, D, n] of which the first three rows of each component move the position
 * @param {number} rows D
 * @param {Float32Array} weights [K]
 * @param {number} unit metres
 * @param {ArrayLike<number>} view [12] world to camera
 * @param {number} axis 0 across, 1 down, 2 depth
 * @param {Float32Array} out [n], filled
 */
export function fillAxis([x, y, z], moves, rows, weights, unit, view, axis, out) {
  const n = out.length
  const [vx, vy, vz, shift] = [0, 1, 2, 3].map(column => view[4 * axis + column])
  for (let i = 0; i < n; i++) out[i] = vx * x[i] + vy * y[i] + vz * z[i] + shift
  for (let k = 0; k < weights.length; k++) {
    const at = k * rows * n
    const [a, b, c] = [vx, vy, vz].map(value => value * weights[k] * unit)
    const [mx, my, mz] = [0, 1, 2].map(row => moves.subarray(at + row * n, at + (row + 1) * n))
    for (let i = 0; i < n; i++) out[i] += a * mx[i] + b * my[i] + c * mz[i]
  }
}

/** Sorts again and again without new arrays. */
export class Order {
  /** @param {number} n most Gaussians */
  constructor(n) {
    this.keys = new Uint16Array(n)
    this.starts = new Uint32Array(KEYS + 1)
    this.order = new Uint32Array(n)
  }

  /**
   * Gaussians in front of the camera from the farthest to the nearest; equal keys in their own order.
   * @param {Float32Array} depth [n]
   * @returns {Uint32Array} [at most n] their numbers; valid until the next call
   */
  sorted(depth) {
    let [near, far] = [Infinity, -Infinity]
    for (let i = 0; i < depth.length; i++) {
      if (depth[i] <= NEAR) continue
      near = Math.min(near, depth[i])
      far = Math.max(far, depth[i])
    }
    const { keys, starts, order } = this
    const scale = far > near ? (KEYS - 1) / (far - near) : 0
    starts.fill(0)
    for (let i = 0; i < depth.length; i++) {
      if (depth[i] <= NEAR) continue
      keys[i] = (far - depth[i]) * scale
      starts[keys[i] + 1]++
    }
    for (let key = 0; key < KEYS; key++) starts[key + 1] += starts[key]
    const drawn = starts[KEYS]
    for (let i = 0; i < depth.length; i++) if (depth[i] > NEAR) order[starts[keys[i]]++] = i
    return order.subarray(0, drawn)
  }
}
