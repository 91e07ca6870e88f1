// One set of Gaussians (face, or inside of the mouth): its data on the graphics card, and how a frame of it is drawn.

import { behindMouth } from './camera.js'
import { columns } from './container.js'
import { ACROSS, NO_FRAGMENT, arrayTexture, program, rowsFor, texture, use } from './graphics.js'
import { fillAxis, Order } from './order.js'
import { projectShader } from './shaders.js'

const FLOATS = 12 // of a projected Gaussian: three texels
const BESIDE = 512 // projected Gaussians in a row of their texture
const FACE_ROWS = 10 // numbers that a component of the face moves: position 3, rotation 4, scale 3

export class Branch {
  /**
   * @param {WebGL2RenderingContext} gl
   * @param {{header: object, sections: object}} file
   * @param {string} name face or mouth
   */
  constructor(gl, { header, sections }, name) {
    const own = header.branches[name]
    this.gl = gl
    this.count = own.count
    this.moves = sections[`${name}.moves`]
    this.rows = header.sections[`${name}.moves`].shape[1]
    this.parts = this.rows === FACE_ROWS ? 3 : 1
    this.components = header.weight_steps.length
    this.units = this.parts === 3 ? header.units.slice(0, 3) : [header.units[3], 0, 0]
    const values = columns(sections[`${name}.base`], own)
    this.position = values.slice(0, 3)
    this.widest = widest(values.slice(7, 10)) // metres; of the mouth no scale moves
    this.mouth = name === 'face' ? header.mouth : undefined // files of before know nothing of it
    this.depth = new Float32Array(own.count)
    this.order = new Order(own.count)
    const layers = 3 + (own.degree + 1) ** 2
    const size = [ACROSS, rowsFor(own.count)]
    this.base = arrayTexture(gl, gl.RGBA32F, gl.RGBA, gl.FLOAT, [...size, layers],
      baseTexels(values, sections[`${name}.harmonics`], own, size[1], layers))
    this.motion = arrayTexture(gl, gl.RGBA8I, gl.RGBA_INTEGER, gl.BYTE, [...size, this.components * this.parts],
      moveTexels(this.moves, own.count, this.rows, this.components, size[1]))
    const setting = { components: this.components, parts: this.parts, degree: own.degree }
    this.projecting = program(gl, projectShader(setting), NO_FRAGMENT, ['place', 'shape', 'paint'])
    this.makeBuffers()
  }

  makeBuffers() {
    const { gl, count } = this
    this.lines = Math.max(1, Math.ceil(count / BESIDE))
    this.numbers = gl.createBuffer()
    this.results = gl.createBuffer()
    gl.bindBuffer(gl.ARRAY_BUFFER, this.results)
    gl.bufferData(gl.ARRAY_BUFFER, 4 * FLOATS * BESIDE * this.lines, gl.DYNAMIC_COPY)
    this.sources = gl.createVertexArray()
    gl.bindVertexArray(this.sources)
    gl.bindBuffer(gl.ARRAY_BUFFER, this.numbers)
    gl.bufferData(gl.ARRAY_BUFFER, 4 * Math.max(count, 1), gl.DYNAMIC_DRAW)
    const number = gl.getAttribLocation(this.projecting.program, 'number')
    gl.enableVertexAttribArray(number)
    gl.vertexAttribIPointer(number, 1, gl.UNSIGNED_INT, 0, 0)
    gl.bindVertexArray(null)
    this.feedback = gl.createTransformFeedback()
    this.projected = texture(gl, gl.RGBA32F, [3 * BESIDE, this.lines], gl.NEAREST)
    this.quads = gl.createVertexArray()
    gl.bindVertexArray(this.quads)
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer())
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners(count), gl.STATIC_DRAW)
    gl.bindVertexArray(null)
  }

  fill(weights, { view }, axis, out) {
    fillAxis(this.position, this.moves, this.rows, weights, this.units[0], view, axis, out)
  }

  /**
   * A box around all that a frame's projected Gaussians may cover, `more` px larger; after `project`.
   * @returns {number[]} [4] whole px: left, top, right, bottom
   */
  covered(weights, camera, more) {
    const [across, down] = [0, 1].map(axis => {
      const out = this.side ??= new Float32Array(this.count)
      this.fill(weights, camera, axis, out)
      let [low, high, near] = [Infinity, -Infinity, Infinity]
      for (let i = 0; i < this.count; i++) {
        if (this.depth[i] <= 0.01) continue
        const at = out[i] / this.depth[i]
        low = Math.min(low, at)
        high = Math.max(high, at)
        near = Math.min(near, this.depth[i])
      }
      const [focal, middle, size] = [camera.lens[axis], camera.lens[2 + axis], camera.size[axis]]
      const slant = Math.hypot(1, Math.max(Math.abs(low), Math.abs(high)))
      const reach = 3.34 * Math.hypot(slant * this.widest * focal / near, Math.sqrt(camera.blur)) + more + 1
      return low > high ? [0, 0] : [Math.max(Math.floor(focal * low + middle - reach), 0),
        Math.min(Math.ceil(focal * high + middle + reach), size)]
    })
    return [across[0], down[0], Math.max(across[1], across[0]), Math.max(down[1], down[0])]
  }

  /**
   * Sorts, moves and projects the Gaussians of a frame.
   * @param {Float32Array} weights [K]
   * @param {{view: number[], lens: number[], size: number[], blur: number}} camera
   */
  project(weights, camera) {
    const { gl, projecting: { program: used, at } } = this
    this.fill(weights, camera, 2, this.depth)
    const order = this.order.sorted(this.depth)
    this.drawn = order.length
    gl.useProgram(used)
    use(gl, at('base'), 0, gl.TEXTURE_2D_ARRAY, this.base)
    use(gl, at('moves'), 1, gl.TEXTURE_2D_ARRAY, this.motion)
    gl.uniform1fv(at('weights'), weights)
    gl.uniform3fv(at('units'), this.units)
    gl.uniform4fv(at('view'), camera.view)
    gl.uniform4fv(at('lens'), camera.lens)
    gl.uniform2fv(at('size'), camera.size)
    gl.uniform1f(at('blur'), camera.blur)
    const mouth = behindMouth(camera.view, this.mouth)
    gl.uniform4fv(at('inside'), mouth.middle)
    gl.uniform3fv(at('far'), mouth.far)
    gl.bindVertexArray(this.sources)
    gl.bindBuffer(gl.ARRAY_BUFFER, this.numbers)
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, order)
    gl.bindBuffer(gl.ARRAY_BUFFER, null)
    gl.bindTransformFeedback(gl.TRANSFORM_FEEDBACK, this.feedback)
    gl.bindBufferBase(gl.TRANSFORM_FEEDBACK_BUFFER, 0, this.results)
    gl.enable(gl.RASTERIZER_DISCARD)
    gl.beginTransformFeedback(gl.POINTS)
    gl.drawArrays(gl.POINTS, 0, this.drawn)
    gl.endTransformFeedback()
    gl.disable(gl.RASTERIZER_DISCARD)
    gl.bindBufferBase(gl.TRANSFORM_FEEDBACK_BUFFER, 0, null)
    gl.bindTransformFeedback(gl.TRANSFORM_FEEDBACK, null)
    gl.bindVertexArray(null)
    this.copy()
  }

  /** From the buffer of results into the texture that the next program reads, without leaving the graphics card. */
  copy() {
    const { gl } = this
    gl.activeTexture(gl.TEXTURE0)
    gl.bindTexture(gl.TEXTURE_2D, this.projected)
    gl.bindBuffer(gl.PIXEL_UNPACK_BUFFER, this.results)
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 3 * BESIDE, this.lines, gl.RGBA, gl.FLOAT, 0)
    gl.bindBuffer(gl.PIXEL_UNPACK_BUFFER, null)
  }

  /** Draws the projected Gaussians with the program that is in use; not instanced: small instances are slow on many machines. */
  draw(splats) {
    const { gl } = this
    use(gl, splats.at('projected'), 0, gl.TEXTURE_2D, this.projected)
    gl.bindVertexArray(this.quads)
    gl.drawElements(gl.TRIANGLES, 6 * this.drawn, gl.UNSIGNED_INT, 0)
    gl.bindVertexArray(null)
  }

  /** What `project` made, for tests: [drawn, 12] floats from the farthest to the nearest, and the Gaussians' numbers. */
  readResults() {
    const { gl } = this
    const values = new Float32Array(FLOATS * this.drawn)
    gl.bindBuffer(gl.ARRAY_BUFFER, this.results)
    gl.getBufferSubData(gl.ARRAY_BUFFER, 0, values)
    gl.bindBuffer(gl.ARRAY_BUFFER, null)
    return { values, order: this.order.order.slice(0, this.drawn) }
  }
}

/** The largest standard deviation of all Gaussians, metres, from three columns of raw scales. */
export function widest(columns) {
  const most = columns.reduce((high, column) => column.reduce((a, b) => Math.max(a, b), high), -Infinity)
  return most > 20 ? most : Math.log1p(Math.exp(most))
}

/** Vertices 4 i to 4 i + 3 are the corners of quad i: two triangles each. @returns {Uint32Array} [6 n] */
export function corners(n) {
  const numbers = new Uint32Array(6 * n)
  for (let i = 0; i < n; i++) numbers.set([4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 2, 4 * i + 1, 4 * i + 3], 6 * i)
  return numbers
}

/**
 * What a Gaussian is at rest as texels: xyz opacity, rotation, raw scales, then three numbers a harmonic.
 * @param {Float32Array[]} values 14 columns of n numbers
 * @param {Int8Array} harmonics [K - 1, 3, n]
 * @param {{count: number, harmonics_step: number}} own
 * @param {number} rows of the texture, @param {number} layers
 * @returns {Float32Array} [layers, rows, 1024, 4]
 */
export function baseTexels(values, harmonics, { count, harmonics_step: step }, rows, layers) {
  const texels = new Float32Array(4 * ACROSS * rows * layers)
  const layer = 4 * ACROSS * rows
  const order = [0, 1, 2, 10, 3, 4, 5, 6, 7, 8, 9, -1, 11, 12, 13, -1] // the columns of the first four layers
  for (const [to, from] of order.entries()) {
    if (from < 0) continue
    const start = layer * (to >> 2) + (to & 3)
    for (let i = 0; i < count; i++) texels[start + 4 * i] = values[from][i]
  }
  for (let h = 4; h < layers; h++) {
    for (let c = 0; c < 3; c++) {
      const from = ((h - 4) * 3 + c) * count
      for (let i = 0; i < count; i++) texels[layer * h + 4 * i + c] = step * harmonics[from + i]
    }
  }
  return texels
}

/**
 * The components as texels of four whole numbers: position, and for the face rotation and scale.
 * @param {Int8Array} moves [K, D, n]
 * @returns {Int8Array} [K x (1 or 3), rows, 1024, 4]
 */
export function moveTexels(moves, count, wide, components, rows) {
  const places = wide === FACE_ROWS ? [0, 1, 2, 4, 5, 6, 7, 8, 9, 10] : [0, 1, 2] // of a component's 12 or 4 numbers
  const parts = wide === FACE_ROWS ? 3 : 1
  const layer = 4 * ACROSS * rows
  const texels = new Int8Array(layer * parts * components)
  for (let k = 0; k < components; k++) {
    for (const [row, place] of places.entries()) {
      const to = layer * (parts * k + (place >> 2)) + (place & 3)
      const from = (k * wide + row) * count
      for (let i = 0; i < count; i++) texels[to + 4 * i] = moves[from + i]
    }
  }
  return texels
}
