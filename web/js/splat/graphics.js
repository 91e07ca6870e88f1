// Small helpers over WebGL 2.

export const ACROSS = 1024 // Gaussians in a row of a texture

/**
 * @param {WebGL2RenderingContext} gl
 * @param {string} vertex, @param {string} fragment sources
 * @param {string[]} [captured] outputs of the vertex shader that go into one buffer
 * @returns {{program: WebGLProgram, at: function(string): WebGLUniformLocation}}
 */
export function program(gl, vertex, fragment, captured) {
  const made = gl.createProgram()
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind)
    gl.shaderSource(shader, source)
    gl.compileShader(shader)
    gl.attachShader(made, shader)
    gl.deleteShader(shader)
  }
  if (captured) gl.transformFeedbackVaryings(made, captured, gl.INTERLEAVED_ATTRIBS)
  gl.linkProgram(made)
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
    const logs = gl.getAttachedShaders(made).map(shader => gl.getShaderInfoLog(shader))
    throw new Error(`The graphics driver refused a program: ${gl.getProgramInfoLog(made)} ${logs.join(' ')}`)
  }
  const places = new Map()
  const at = name => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(made, name))
    return places.get(name)
  }
  return { program: made, at }
}

export const NO_FRAGMENT = `#version 300 es
precision mediump float;
out vec4 unused;
void main() { unused = vec4(0.0); }
`

/** Numbers of Gaussians, padded to whole rows of a texture. */
export function rowsFor(count) {
  return Math.max(1, Math.ceil(count / ACROSS))
}

/**
 * An array texture without filtering.
 * @param {WebGL2RenderingContext} gl
 * @param {number} inner sized format, @param {number} format, @param {number} type
 * @param {number} width, @param {number} height, @param {number} layers
 * @param {ArrayBufferView} data
 * @param {number} [filter]
 */
export function arrayTexture(gl, inner, format, type, [width, height, layers], data, filter = gl.NEAREST) {
  const texture = gl.createTexture()
  gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture)
  gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, inner, width, height, Math.max(layers, 1))
  if (layers) gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, 0, 0, width, height, layers, format, type, data)
  settings(gl, gl.TEXTURE_2D_ARRAY, filter)
  return texture
}

/** The same of one layer; `source` may be an image. */
export function texture(gl, inner, [width, height], filter, source) {
  const made = gl.createTexture()
  gl.bindTexture(gl.TEXTURE_2D, made)
  gl.texStorage2D(gl.TEXTURE_2D, 1, inner, width, height)
  if (ArrayBuffer.isView(source)) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, source)
  else if (source) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, source)
  settings(gl, gl.TEXTURE_2D, filter)
  return made
}

function settings(gl, target, filter) {
  gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, filter)
  gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, filter)
  gl.texParameteri(target, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE)
  gl.texParameteri(target, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE)
}

/**
 * The format to blend in: 16-bit floats, or 8 bits where the driver has none. Programs that draw without a GPU convert 16-bit
 * floats with much effort: there 32 bits.
 */
export function blendable(gl) {
  const whole = gl.getExtension('EXT_color_buffer_float')
  if (!whole && !gl.getExtension('EXT_color_buffer_half_float')) return gl.RGBA8
  const told = gl.getExtension('WEBGL_debug_renderer_info')
  const software = told && /swiftshader|llvmpipe|software/i.test(gl.getParameter(told.UNMASKED_RENDERER_WEBGL))
  return software && whole && gl.getExtension('EXT_float_blend') ? gl.RGBA32F : gl.RGBA16F
}

/** A texture that can be drawn into: a sized format, [width, height] px. */
export function target(gl, format, size, filter = gl.NEAREST) {
  const image = texture(gl, format, size, filter)
  const frame = gl.createFramebuffer()
  gl.bindFramebuffer(gl.FRAMEBUFFER, frame)
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, image, 0)
  return { image, frame }
}

/** Puts a texture where a program looks for it. */
export function use(gl, place, unit, kind, image) {
  gl.activeTexture(gl.TEXTURE0 + unit)
  gl.bindTexture(kind, image)
  gl.uniform1i(place, unit)
}
