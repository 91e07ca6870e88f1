// Draws a frame of a player's file: face over mouth over body over background, as the pack's own renderer does on a processor.

import { Branch } from './branch.js'
import { dilationAt, recordedPixels, rotation, scaledLens, seen, turnedView } from './camera.js'
import { frameWeights } from './container.js'
import { arrayTexture, blendable, program, target, texture, use } from './graphics.js'
import { bodyShader, COMPOSE_FRAGMENT, DILATE_FRAGMENT, SPLAT_FRAGMENT, SPLAT_VERTEX, WHOLE_VERTEX } from './shaders.js'

const SETTINGS = { alpha: false, antialias: false, depth: false, stencil: false, preserveDrawingBuffer: true,
  powerPreference: 'high-performance' }

export class Renderer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{header: object, sections: object}} file of `readPlayerFile`
   * @param {ImageBitmap} plate the background
   */
  constructor(canvas, file, plate) {
    const gl = canvas.getContext('webgl2', SETTINGS)
    if (!gl) throw new Error('This browser shows no WebGL 2. Turn on hardware acceleration, or use another browser.')
    this.gl = gl
    this.canvas = canvas
    this.file = file
    const { header, sections } = file
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1)
    this.branches = ['face', 'mouth'].map(name => new Branch(gl, file, name))
    this.splats = program(gl, SPLAT_VERTEX, SPLAT_FRAGMENT)
    this.dilating = program(gl, WHOLE_VERTEX, DILATE_FRAGMENT)
    const [layers, high, wide] = header.sections['body.components'].shape
    this.states = layers
    this.composing = program(gl, WHOLE_VERTEX, COMPOSE_FRAGMENT)
    this.embodying = program(gl, WHOLE_VERTEX, bodyShader(layers))
    this.bodySize = [wide, high]
    this.bodyMean = texture(gl, gl.RGBA8, this.bodySize, gl.NEAREST, sections['body.mean'])
    this.bodyMoves = arrayTexture(gl, gl.RGBA8_SNORM, gl.RGBA, gl.BYTE, [wide, high, layers], sections['body.components'])
    this.body = target(gl, gl.RGBA8, this.bodySize, gl.LINEAR)
    this.format = blendable(gl)
    this.plate = texture(gl, gl.RGBA8, [plate.width, plate.height], gl.LINEAR, plate)
    this.nothing = gl.createVertexArray()
    this.resize(1)
  }

  /** The size of the frames, in multiples of the avatar's own. */
  resize(scale) {
    const [high, wide] = this.file.header.size
    const size = [Math.round(wide * scale), Math.round(high * scale)]
    if (this.size && size[0] === this.size[0] && size[1] === this.size[1]) return
    for (const { image, frame } of this.targets || []) {
      this.gl.deleteTexture(image)
      this.gl.deleteFramebuffer(frame)
    }
    this.size = size
    ;[this.canvas.width, this.canvas.height] = size
    this.targets = [0, 1, 2].map(() => target(this.gl, this.format, size))
  }

  /**
   * The camera of a frame, and where its pixels were in the recording.
   * @param {number} frame
   * @param {{yaw: number, pitch: number}} orbit degrees
   */
  camera(frame, { yaw, pitch }) {
    const { header, sections } = this.file
    const recorded = sections.cameras.subarray(12 * frame, 12 * frame + 12)
    const [across, down] = [this.size[0] / header.size[1], this.size[1] / header.size[0]]
    const lens = scaledLens(header.lens, across, down)
    const [turn, pivot] = [rotation(yaw, pitch), seen(recorded, header.centre)]
    return { view: turnedView(recorded, turn, pivot), lens, size: this.size, blur: header.blur * across * down,
      recorded: recordedPixels(turn, pivot, lens) }
  }

  /**
   * Draws a frame into the canvas.
   * @param {number} frame 0..frames - 1
   * @param {{yaw: number, pitch: number}} [orbit] degrees
   */
  draw(frame, orbit = { yaw: 0, pitch: 0 }) {
    const { gl, size } = this
    const { header, sections } = this.file
    const camera = this.camera(frame, orbit)
    const weights = frameWeights(sections.coefficients, header.weight_steps, frame)
    for (const branch of this.branches) branch.project(weights, camera)
    gl.viewport(0, 0, ...size)
    gl.useProgram(this.splats.program)
    gl.uniform2fv(this.splats.at('size'), size)
    gl.enable(gl.BLEND)
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
    for (const [i, branch] of this.branches.entries()) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.targets[i].frame)
      gl.clearColor(0, 0, 0, 0)
      gl.clear(gl.COLOR_BUFFER_BIT)
      branch.draw(this.splats)
    }
    gl.disable(gl.BLEND)
    gl.bindVertexArray(this.nothing)
    const reach = (dilationAt(size[1]) - 1) / 2
    const around = this.branches[1].covered(weights, camera, reach)
    this.embody(frame)
    this.dilate(reach, around)
    this.compose(camera, reach, around)
    gl.bindVertexArray(null)
  }

  /** The body of a frame, unless it is there already. */
  embody(frame) {
    if (this.embodied === frame) return
    const { gl, embodying: { program: used, at } } = this
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.body.frame)
    gl.viewport(0, 0, ...this.bodySize)
    gl.useProgram(used)
    use(gl, at('mean'), 0, gl.TEXTURE_2D, this.bodyMean)
    use(gl, at('moves'), 1, gl.TEXTURE_2D_ARRAY, this.bodyMoves)
    const states = this.file.sections['body.states'].subarray(this.states * frame, this.states * (frame + 1))
    if (this.states) gl.uniform1fv(at('states'), states)
    gl.drawArrays(gl.TRIANGLES, 0, 3)
    gl.viewport(0, 0, ...this.size)
    this.embodied = frame
  }

  /** The mouth's alpha, widened across; within a box. */
  dilate(reach, [left, top, right, bottom]) {
    const { gl, dilating: { program: used, at } } = this
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.targets[2].frame)
    gl.enable(gl.SCISSOR_TEST)
    gl.scissor(left, top, right - left, bottom - top)
    gl.useProgram(used)
    use(gl, at('mouth'), 0, gl.TEXTURE_2D, this.targets[1].image)
    gl.uniform1i(at('reach'), reach)
    gl.drawArrays(gl.TRIANGLES, 0, 3)
    gl.disable(gl.SCISSOR_TEST)
  }

  compose(camera, reach, around) {
    const { gl, composing: { program: used, at } } = this
    const { box, size } = this.file.header.body
    gl.bindFramebuffer(gl.FRAMEBUFFER, null)
    gl.useProgram(used)
    const images = { face: this.targets[0].image, mouth: this.targets[1].image, wide: this.targets[2].image, plate: this.plate,
      body: this.body.image }
    for (const [i, name] of Object.keys(images).entries()) use(gl, at(name), i, gl.TEXTURE_2D, images[name])
    gl.uniform1i(at('reach'), reach)
    gl.uniform4iv(at('around'), around)
    gl.uniform2fv(at('size'), this.size)
    gl.uniformMatrix3fv(at('recorded'), true, camera.recorded)
    gl.uniform4f(at('box'), box[2] / size[1], box[0] / size[0], (box[3] - box[2]) / size[1], (box[1] - box[0]) / size[0])
    gl.drawArrays(gl.TRIANGLES, 0, 3)
  }

  /** The pixels of the last frame, RGBA from the top; waits until it is drawn. */
  pixels() {
    const [width, height] = this.size
    const upside = new Uint8Array(4 * width * height)
    this.gl.readPixels(0, 0, width, height, this.gl.RGBA, this.gl.UNSIGNED_BYTE, upside)
    const out = new Uint8Array(upside.length)
    for (let y = 0; y < height; y++) out.set(upside.subarray(4 * width * (height - 1 - y), 4 * width * (height - y)), 4 * width * y)
    return out
  }

  /** Waits until the last frame is drawn. */
  finish() {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4))
  }

  /** Gives the graphics memory back: a page may have only a few such contexts. */
  dispose() {
    this.gl.getExtension('WEBGL_lose_context')?.loseContext()
  }
}

/**
 * A renderer for a file, once its background is decoded.
 * @param {HTMLCanvasElement} canvas
 * @param {{header: object, sections: object}} file
 * @returns {Promise<Renderer>}
 */
export async function openRenderer(canvas, file) {
  const image = new Blob([file.sections.plate], { type: file.header.plate })
  const plate = await createImageBitmap(image, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' })
  try {
    return new Renderer(canvas, file, plate)
  } finally {
    plate.close()
  }
}
