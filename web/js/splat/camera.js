// Cameras: the recorded one of a frame, and the same after the head was turned. OpenCV axes (x right, y down, z forward), metres.

export const FARTHEST_YAW = 60 // degrees; behind that an avatar has nothing to show
export const FARTHEST_PITCH = 35

/**
 * A rotation about the camera's y axis, then about its x axis.
 * @param {number} yaw degrees, positive turns the head to the right of the picture
 * @param {number} pitch degrees, positive turns it up
 * @returns {number[]} [9] row by row
 */
export function rotation(yaw, pitch) {
  const [a, b] = [yaw, pitch].map(angle => angle * Math.PI / 180)
  const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)]
  return [ca, 0, -sa, sb * sa, cb, sb * ca, cb * sa, -sb, cb * ca]
}

/**
 * @param {ArrayLike<number>} view [12] world to camera, three rows of four
 * @param {ArrayLike<number>} point [3]
 * @returns {number[]} [3] the point as the camera has it
 */
export function seen(view, point) {
  return [0, 4, 8].map(r => view[r] * point[0] + view[r + 1] * point[1] + view[r + 2] * point[2] + view[r + 3])
}

/**
 * What decides which Gaussians of the face lie behind the inside of the mouth, as model/hidden.py has it.
 * @param {ArrayLike<number>} view [12] world to camera
 * @param {{middle: number[], spread: number[], beyond: number, within: number} | undefined} mouth of a file's header
 * @returns {{middle: number[], far: number[]}} the mouth's middle in the camera and the depth from which something is hidden [4];
 *   the inverse of its covariance as seen, over what `within` allows [3]: xx, xy, yy; all is shown where they are 0
 */
export function behindMouth(view, mouth) {
  if (!mouth) return { middle: [0, 0, 0, 1e30], far: [0, 0, 0] }
  const middle = seen(view, mouth.middle)
  const across = (a, b) => [0, 1, 2].reduce((sum, k) => sum + view[4 * a + k] *
    [0, 1, 2].reduce((inner, m) => inner + mouth.spread[3 * k + m] * view[4 * b + m], 0), 0)
  const [xx, xy, yy] = [across(0, 0), across(0, 1), across(1, 1)]
  const area = mouth.within * (xx * yy - xy * xy)
  return { middle: [...middle, middle[2] + mouth.beyond], far: [yy / area, -xy / area, xx / area] }
}

/**
 * The view after everything was turned about a point.
 * @param {ArrayLike<number>} view [12] world to camera
 * @param {number[]} turn [9] `rotation`
 * @param {number[]} pivot [3] in the camera
 * @returns {number[]} [12]
 */
export function turnedView(view, turn, pivot) {
  const moved = shift(turn, pivot)
  const out = []
  for (let r = 0; r < 3; r++) {
    for (let c = 0; c < 4; c++) {
      const sum = turn[3 * r] * view[c] + turn[3 * r + 1] * view[4 + c] + turn[3 * r + 2] * view[8 + c]
      out.push(c === 3 ? sum + moved[r] : sum)
    }
  }
  return out
}

function shift(turn, pivot) { // pivot - turn pivot
  return [0, 1, 2].map(r => pivot[r] - turn[3 * r] * pivot[0] - turn[3 * r + 1] * pivot[1] - turn[3 * r + 2] * pivot[2])
}

/**
 * Where a pixel of the turned view was in the recorded image, for what stands on the plane through the pivot that faces the
 * recording camera: the body, which is a picture, turns with the head like a cut-out of cardboard.
 * @param {number[]} turn [9]
 * @param {number[]} pivot [3] in the camera, metres
 * @param {number[]} lens [4] fx, fy, cx, cy in px
 * @returns {number[]} [9] homography of turned px to recorded px, row by row
 */
export function recordedPixels(turn, pivot, [fx, fy, cx, cy]) {
  const moved = shift(turn, pivot)
  const plane = turn.map((value, i) => value + (i % 3 === 2 ? moved[(i - 2) / 3] / pivot[2] : 0))
  const into = [fx, 0, cx, 0, fy, cy, 0, 0, 1]
  const outOf = [1 / fx, 0, -cx / fx, 0, 1 / fy, -cy / fy, 0, 0, 1]
  return inverse(product(product(into, plane), outOf))
}

/** The product of two 3 x 3 matrices, row by row. */
export function product(a, b) {
  return a.map((_, i) => {
    const [r, c] = [i - i % 3, i % 3]
    return a[r] * b[c] + a[r + 1] * b[3 + c] + a[r + 2] * b[6 + c]
  })
}

/** The inverse of a 3 x 3 matrix, row by row. */
export function inverse([a, b, c, d, e, f, g, h, i]) {
  const cofactors = [e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f,
    d * h - e * g, b * g - a * h, a * e - b * d]
  const determinant = a * cofactors[0] + b * cofactors[3] + c * cofactors[6]
  return cofactors.map(value => value / determinant)
}

/** An angle within -most..most. */
export function within(value, most) {
  return Math.min(Math.max(value, -most), most)
}

/**
 * The lens at another size of the frame.
 * @param {number[]} lens [4] px
 * @param {number} across, @param {number} down factors
 */
export function scaledLens([fx, fy, cx, cy], across, down) {
  return [fx * across, fy * down, cx * across, cy * down]
}

/**
 * Odd size in px of the dilation of the mouth's alpha at an image height; as model/compose.py has it.
 * @param {number} height px
 */
export function dilationAt(height) {
  const half = Math.max(13 * height / 512 - 1, 0) / 2
  const even = Math.floor(half) % 2 === 0 && half % 1 === 0.5 // Python rounds halves to even
  return 2 * (even ? Math.floor(half) : Math.round(half)) + 1
}
