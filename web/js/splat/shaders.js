// The programs of the renderer. Conventions (docs/rasterizer.md): OpenCV camera, pixel i covers i..i + 1, images from the top.

const HEAD = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler2DArray;
precision highp isampler2DArray;
`

/**
 * Moves, projects and colours one Gaussian a vertex; its outputs are what the next program draws.
 * @param {{components: number, parts: number, degree: number}} branch parts: texels of a component, 3 where rotation and scale
 *   move too, else 1
 */
export function projectShader({ components, parts, degree }) {
  return `${HEAD}
in uint number;
uniform sampler2DArray base;    // xyz opacity, rotation wxyz, raw scales, then the harmonics
uniform isampler2DArray moves;  // component by component
uniform float weights[${components}];
uniform vec3 units;             // metres, raw rotation, raw scale
uniform vec4 view[3];           // rows, world to camera
uniform vec4 lens;              // fx, fy, cx, cy in px
uniform vec2 size;              // px
uniform float blur;             // px^2
uniform vec4 inside;            // the mouth's middle in the camera, and the depth from which it hides what it covers
uniform vec3 far;               // how it spreads
out vec4 place;  // centre px, opacity, length of the minor axis px
out vec4 shape;  // conic, then the major axis' x in px
out vec4 paint;  // colour, then its y

float softplus(float x) { return x > 20.0 ? x : x < -8.0 ? exp(x) * (1.0 - 0.5 * exp(x)) : log(1.0 + exp(x)); }

vec3 colour(ivec2 at, vec3 direction) {
  float x = direction.x, y = direction.y, z = direction.z;
  vec3 sum = 0.28209479177387814 * texelFetch(base, ivec3(at, 3), 0).xyz + 0.5;
${harmonics(degree)}
  return max(sum, 0.0);
}

void main() {
  ivec2 at = ivec2(int(number) % 1024, int(number) / 1024);
  vec4 first = texelFetch(base, ivec3(at, 0), 0);
  vec3 mean = first.xyz;
  vec4 turn = texelFetch(base, ivec3(at, 1), 0);
  vec3 raw = texelFetch(base, ivec3(at, 2), 0).xyz;
  for (int k = 0; k < ${components}; k++) {
    mean += units.x * weights[k] * vec3(texelFetch(moves, ivec3(at, ${parts} * k), 0).xyz);
    ${parts === 3 ? `turn += units.y * weights[k] * vec4(texelFetch(moves, ivec3(at, 3 * k + 1), 0));
    raw += units.z * weights[k] * vec3(texelFetch(moves, ivec3(at, 3 * k + 2), 0).xyz);` : ''}
  }
  vec3 seen = vec3(dot(view[0], vec4(mean, 1.0)), dot(view[1], vec4(mean, 1.0)), dot(view[2], vec4(mean, 1.0)));
  vec3 scale = vec3(softplus(raw.x), softplus(raw.y), softplus(raw.z));
  turn /= max(length(turn), 1e-12);
  float w = turn.x, i = turn.y, j = turn.z, k = turn.w;
  mat3 rotated = mat3(1.0 - 2.0 * (j * j + k * k), 2.0 * (i * j + w * k), 2.0 * (i * k - w * j),
                      2.0 * (i * j - w * k), 1.0 - 2.0 * (i * i + k * k), 2.0 * (j * k + w * i),
                      2.0 * (i * k + w * j), 2.0 * (j * k - w * i), 1.0 - 2.0 * (i * i + j * j));
  mat3 world = transpose(mat3(view[0].xyz, view[1].xyz, view[2].xyz));
  mat3 factor = transpose(world * rotated * mat3(scale.x, 0, 0, 0, scale.y, 0, 0, 0, scale.z)); // its columns are the rows
  vec2 focal = lens.xy, middle = lens.zw, flat_ = seen.xy / seen.z;
  vec2 margin = 0.15 * size / focal;
  vec2 near = clamp(flat_, -(middle / focal + margin), (size - middle) / focal + margin);
  vec3 across = focal.x / seen.z * (factor[0] - near.x * factor[2]);
  vec3 down = focal.y / seen.z * (factor[1] - near.y * factor[2]);
  float xx = dot(across, across) + blur, yy = dot(down, down) + blur, xy = dot(across, down);
  float determinant = xx * yy - xy * xy;
  float opacity = first.w;
  float half_ = 0.5 * (xx - yy), spread = sqrt(half_ * half_ + xy * xy), mid = 0.5 * (xx + yy);
  float reach = sqrt(2.0 * log(max(255.0 * opacity, 1.0)));
  vec2 major = spread < 1e-9 ? vec2(1.0, 0.0) : normalize(half_ > 0.0 ? vec2(half_ + spread, xy) : vec2(xy, spread - half_));
  major *= reach * sqrt(mid + spread);
  float minor = reach * sqrt(max(determinant / (mid + spread), 0.0));
  vec3 eye = -(view[0].xyz * view[0].w + view[1].xyz * view[1].w + view[2].xyz * view[2].w);
  vec2 off = inside.z * flat_ - inside.xy;
  bool hidden = seen.z > inside.w && far.x * off.x * off.x + 2.0 * far.y * off.x * off.y + far.z * off.y * off.y < 1.0;
  bool drawn = seen.z > 0.01 && determinant > 0.0 && opacity >= 1.0 / 255.0 && !hidden;
  place = vec4(focal * flat_ + middle, drawn ? opacity : 0.0, drawn ? minor : 0.0);
  shape = vec4(vec3(yy, -xy, xx) / max(determinant, 1e-12), drawn ? major.x : 0.0);
  paint = vec4(colour(at, normalize(mean - eye)), drawn ? major.y : 0.0);
  gl_Position = vec4(0.0);
}
`
}

const SECOND = ['-0.48860251190292 * y', '0.48860251190292 * z', '-0.48860251190292 * x']
const THIRD = ['1.0925484305920792 * x * y', '-1.092548430592079 * y * z', '0.9461746957575601 * z * z - 0.3153915652525201',
  '-1.092548430592079 * x * z', '0.5462742152960395 * (x * x - y * y)']
const Q = '(0.4570457994644658 - 2.285228997322329 * z * z)'
const FOURTH = ['-0.5900435899266435 * y * (3.0 * x * x - y * y)', '2.890611442640554 * x * y * z', `${Q} * y`,
  'z * (1.865881662950577 * z * z - 1.119528997770346)', `${Q} * x`, '1.445305721320277 * z * (x * x - y * y)',
  '-0.5900435899266435 * x * (x * x - 3.0 * y * y)']

function harmonics(degree) { // the terms behind the constant one
  const terms = [SECOND, THIRD, FOURTH].slice(0, degree).flat()
  return terms.map((term, i) => `  sum += (${term}) * texelFetch(base, ivec3(at, ${4 + i}), 0).xyz;`).join('\n')
}

export const SPLAT_VERTEX = `${HEAD}
uniform sampler2D projected;  // three texels a Gaussian, 512 Gaussians a row
uniform vec2 size;
flat out vec2 centre;
flat out vec4 form;
flat out vec3 tint;
void main() {
  int number = gl_VertexID >> 2;
  ivec2 texel = ivec2(3 * (number & 511), number >> 9);
  vec4 place = texelFetch(projected, texel, 0);
  vec4 shape = texelFetch(projected, texel + ivec2(1, 0), 0);
  vec4 paint = texelFetch(projected, texel + ivec2(2, 0), 0);
  vec2 major = vec2(shape.w, paint.w), minor = vec2(0.0);
  float wide = length(major);
  if (wide > 0.0) minor = vec2(-major.y, major.x) / wide * (place.w + 0.1);
  vec2 corner = vec2(gl_VertexID & 1, (gl_VertexID >> 1) & 1) * 2.0 - 1.0;
  vec2 at = place.xy + corner.x * major * (wide > 0.0 ? 1.0 + 0.1 / wide : 0.0) + corner.y * minor;
  centre = place.xy;
  form = vec4(shape.xyz, place.z);
  tint = paint.xyz;
  gl_Position = vec4(at / size * 2.0 - 1.0, 0.0, 1.0);
}
`

export const SPLAT_FRAGMENT = `${HEAD}
flat in vec2 centre;
flat in vec4 form;
flat in vec3 tint;
out vec4 light;
void main() {
  vec2 d = gl_FragCoord.xy - centre;
  float alpha = min(form.w * exp(-0.5 * (form.x * d.x * d.x + form.z * d.y * d.y) - form.y * d.x * d.y), 0.999);
  if (alpha < 1.0 / 255.0) discard;
  light = vec4(tint * alpha, alpha);
}
`

export const WHOLE_VERTEX = `${HEAD}
void main() {
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0);
}
`

export const DILATE_FRAGMENT = `${HEAD}
uniform sampler2D mouth;
uniform int reach;
out vec4 widest;
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy), last = textureSize(mouth, 0) - 1;
  float most = 0.0;
  for (int i = max(at.x - reach, 0); i <= min(at.x + reach, last.x); i++) most = max(most, texelFetch(mouth, ivec2(i, at.y), 0).a);
  widest = vec4(most);
}
`

/**
 * The body of a frame, in its own size.
 * @param {number} states of the body
 */
export function bodyShader(states) {
  return `${HEAD}
uniform sampler2D mean;
uniform sampler2DArray moves;
uniform float states[${Math.max(states, 1)}];
out vec4 body;
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  body = texelFetch(mean, at, 0);
  for (int l = 0; l < ${states}; l++) body += states[l] * 127.0 * texelFetch(moves, ivec3(at, l), 0);
  body = clamp(body, 0.0, 1.0);
  body.rgb = min(body.rgb, vec3(body.a));
}
`
}

/** Face over mouth over body over the background, turned the right way up. */
export const COMPOSE_FRAGMENT = `${HEAD}
uniform sampler2D face, mouth, wide, plate, body;
uniform int reach;
uniform ivec4 around;   // px that the dilated mouth may cover: left, top, right, bottom
uniform vec2 size;
uniform mat3 recorded;  // px of this view -> px of the recorded image, both of this size
uniform vec4 box;       // of the body in the image, 0..1: left, top, width, height
out vec4 shown;

vec4 bodyAt(vec2 px) {
  vec3 was = recorded * vec3(px, 1.0);
  vec2 at = (clamp(was.xy / was.z / size, vec2(0.0), vec2(1.0)) - box.xy) / box.zw;  // beyond the image it goes on as at its edge
  if (was.z <= 0.0 || any(lessThan(at, vec2(0.0))) || any(greaterThan(at, vec2(1.0)))) return vec4(0.0);
  return textureLod(body, at, 0.0);
}

void main() {
  vec2 px = vec2(gl_FragCoord.x, size.y - gl_FragCoord.y);
  ivec2 at = ivec2(px);
  float cover = 0.0;
  if (at.x >= around.x && at.y >= around.y && at.x < around.z && at.y < around.w) {
    int first = max(at.y - reach, around.y), last = min(at.y + reach, around.w - 1);
    for (int i = first; i <= last; i++) cover = max(cover, texelFetch(wide, ivec2(at.x, i), 0).a);
  }
  vec4 front = texelFetch(face, at, 0), inside = texelFetch(mouth, at, 0), below = bodyAt(px);
  vec3 behind = below.rgb + textureLod(plate, px / size, 0.0).rgb * (1.0 - below.a);
  shown = vec4(front.rgb + (inside.rgb + behind * (1.0 - cover)) * (1.0 - front.a), 1.0);
}
`
