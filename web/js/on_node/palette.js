/**
 * Socket type -> colour. All have the same luminance (0.23), so that they can be told apart from both a white and a
 * dark canvas; neighbours in a workflow are far apart in hue, and what belongs together is related: a dataset and what is
 * trained on it, an avatar and its motion.
 */
export const COLOURS = {
  TH_SPEECH: '#da5c57',
  TH_SPEECH_ENCODER: '#b67081',
  TH_EXPRESSION: '#a77e0b',
  TH_POSE: '#ac7957',
  TH_DATASET: '#84884e',
  TH_AVATAR: '#44962f',
  TH_AVATAR_MOTION: '#4f9176',
  TH_ATOM: '#2188e0',
  TH_MTOV: '#7481c2',
  TH_MOTION_DATASET: '#4f8da0',
  TH_LANDMARKS: '#996fda',
  TH_FACE_TRACK: '#b964bf',
  TH_FACE_CROP: '#ab7493'
}

/**
 * Gives a table of colours values for types that it has none for, now and whenever a palette is loaded (which sets the types
 * of node packs to ''). What a user's palette sets stays.
 * @param {Record<string, string>} table by type
 * @param {Record<string, string>} colours by type
 */
export function withDefaults(table, colours) {
  for (const [type, colour] of Object.entries(colours)) {
    let own = table[type]
    Object.defineProperty(table, type, {
      configurable: true,
      enumerable: true,
      get: () => own || colour,
      set: value => { own = value }
    })
  }
}

/**
 * The same for Nodes 2.0, which reads CSS variables: a palette's stand on the element itself and win.
 * @param {Record<string, string>} colours by type
 * @returns {string} a style sheet
 */
export function rules(colours) {
  const lines = Object.entries(colours).map(([type, colour]) => `  --color-datatype-${type}: ${colour};`)
  return `:root {\n${lines.join('\n')}\n}\n`
}

/**
 * @param {string} colour '#rrggbb'
 * @returns {number} relative luminance, 0..1 (WCAG)
 */
export function luminance(colour) {
  const parts = [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16) / 255)
  const [r, g, b] = parts.map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

/**
 * @param {string} one '#rrggbb'
 * @param {string} other '#rrggbb'
 * @returns {number} contrast, 1..21 (WCAG; 3 is enough for shapes)
 */
export function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (high + 0.05) / (low + 0.05)
}
