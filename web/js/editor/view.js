// Reads the file that the node leaves for the page (media_core/motion_view.py): motion, lanes, waveform, tables.

const MAGIC = 'THMV'
const VERSION = 1
const TYPES = { f4: Float32Array, i2: Int16Array, u1: Uint8Array }

/**
 * @param {ArrayBuffer} buffer
 * @returns {object} the header, with `data` (name -> typed array); `data.points` of landmarks in the track's unit [rows * 204]
 */
export function readView(buffer) {
  const bytes = new Uint8Array(buffer)
  const magic = String.fromCharCode(...bytes.slice(0, 4))
  if (bytes.length < 8 || magic !== MAGIC) throw new Error('not a view of motion')
  const length = new DataView(buffer).getUint32(4, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)))
  if (header.version > VERSION) throw new Error(`a view of version ${header.version}`)
  header.data = {}
  for (const [name, block] of Object.entries(header.blocks)) {
    const count = block.shape.reduce((product, side) => product * side, 1)
    header.data[name] = new TYPES[block.type](buffer, 8 + length + block.at, count)
  }
  header.rows = header.blocks.own.shape[1]
  if (header.kind === 'landmarks') header.data.points = unpacked(header)
  return header
}

function unpacked({ data, middle, reach }) {
  return Float64Array.from(data.points, (value, i) => value / 32767 * reach + middle[i % 3])
}

/** The time of a row's middle, s. */
export function timeOf(view, row) {
  return (row * view.stride + 0.5) / view.fps
}

/** The row that is shown at a time. */
export function rowAt(view, time) {
  return Math.min(view.rows - 1, Math.max(0, Math.round((time * view.fps - 0.5) / view.stride)))
}

/** A lane's own value at a time, linear between rows; NaN where it is not known. */
export function ownAt(view, lane, time) {
  const place = Math.min(view.rows - 1, Math.max(0, (time * view.fps - 0.5) / view.stride))
  const low = Math.floor(place), high = Math.min(view.rows - 1, low + 1), from = lane * view.rows
  const a = view.data.own[from + low], b = view.data.own[from + high]
  return Number.isNaN(b) || low === place ? a : a + (b - a) * (place - low)
}
