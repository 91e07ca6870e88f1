// The player's file: a header in JSON and compressed arrays behind it. Written by hmtalker_core/player_file.py; docs/player.md.

const MAGIC = 'THPLAYER'
const VERSION = 1
const HEAD = MAGIC.length + 8
const KINDS = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, float32: Float32Array }

/**
 * Reads a file.
 * @param {ArrayBuffer} buffer the whole file
 * @returns {Promise<{header: object, sections: Object<string, ArrayBufferView>}>} arrays as they were stored (shapes stand in
 *   header.sections), files as Uint8Array
 */
export async function readPlayerFile(buffer) {
  const { header, start } = readHeader(buffer)
  const names = Object.keys(header.sections)
  const read = await Promise.all(names.map(name => section(buffer, start, name, header.sections[name])))
  return { header, sections: Object.fromEntries(names.map((name, i) => [name, read[i]])) }
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {{header: object, start: number}} the description, and the byte at which the sections begin
 */
export function readHeader(buffer) {
  const bytes = new Uint8Array(buffer)
  const magic = String.fromCharCode(...bytes.subarray(0, MAGIC.length))
  if (bytes.length < HEAD || magic !== MAGIC) throw new Error('This is not a player file. Make it again.')
  const view = new DataView(buffer)
  const version = view.getUint32(MAGIC.length, true)
  const length = view.getUint32(MAGIC.length + 4, true)
  if (version !== VERSION) throw new Error(`The player file has version ${version}, this player reads ${VERSION}. Update it.`)
  if (HEAD + length > bytes.length) throw new Error('The player file is incomplete. Make it again.')
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(HEAD, HEAD + length)))
  return { header, start: HEAD + length }
}

async function section(buffer, start, name, entry) {
  const begin = start + entry.at
  if (begin + entry.bytes > buffer.byteLength) throw new Error(`The player file is incomplete (${name}). Make it again.`)
  const stored = new Uint8Array(buffer, begin, entry.bytes)
  if (!entry.shape) return stored
  const inflated = await inflate(stored)
  return new KINDS[entry.dtype](inflated)
}

async function inflate(bytes) { // zlib -> ArrayBuffer
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))
  return new Response(stream).arrayBuffer()
}

/**
 * Numbers of 16 bits as what they stand for: value = offset of the column + step of the column x number.
 * @param {Uint16Array} stored [C, n]
 * @param {{count: number, offsets: number[], steps: number[]}} branch of the header
 * @returns {Float32Array[]} C columns of n numbers
 */
export function columns(stored, { count, offsets, steps }) {
  return offsets.map((offset, c) => {
    const column = new Float32Array(count)
    for (let i = 0; i < count; i++) column[i] = offset + steps[c] * stored[c * count + i]
    return column
  })
}

/**
 * Coefficients of a frame as weights of the components' whole numbers.
 * @param {Int16Array} stored [T, K]
 * @param {number[]} steps [K]
 * @param {number} frame
 * @returns {Float32Array} [K]
 */
export function frameWeights(stored, steps, frame) {
  return Float32Array.from(steps, (step, k) => step * stored[frame * steps.length + k])
}
