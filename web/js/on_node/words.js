/**
 * Words and sizes of the panels; nothing here touches the page.
 */
import { speaking } from './language.js'

const LONGEST = 4000 // characters of a text that are kept in a workflow
const LINE = 15 // px
const LETTER = 5.8 // px, on average
const EDGES = 34 // px beside the letters
const TALLEST = 12 // lines before a text scrolls
const FEW = 4 // lines that it has where a node has no more room

/**
 * @param {string} text
 * @returns {string} at most LONGEST characters of it
 */
export function clipped(text) {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)} …`
}

/**
 * @param {string} text
 * @param {number} width px of the node
 * @returns {number} px that the text needs, with the widget's margins
 */
export function textHeight(text, width) {
  const letters = Math.max(10, Math.floor((width - EDGES) / LETTER))
  const lines = text.split('\n').reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / letters)), 0)
  return LINE * Math.min(TALLEST, lines) + 34
}

/**
 * @param {number} full px that a text needs, of textHeight()
 * @returns {number} px that it has in any case: a few lines, beyond which it scrolls unless the node has room
 */
export function leastTextHeight(full) {
  return Math.min(full, LINE * FEW + 34)
}

/**
 * A time as it is said: '8 s', '40 s', '4 min', '2 h 10 min'.
 * @param {number} seconds
 * @param {Function} [say] of language.js
 * @returns {string}
 */
export function duration(seconds, say = speaking('en')) {
  if (seconds < 57.5) return say('seconds', seconds < 10 ? Math.round(seconds) : 5 * Math.round(seconds / 5))
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return say('minutes', minutes)
  const tens = 10 * Math.round(seconds / 600)
  const hours = say('hours', Math.floor(tens / 60))
  return tens % 60 ? `${hours} ${say('minutes', tens % 60)}` : hours
}

/**
 * A time in a video: '0:07', '1:02:05'.
 * @param {number} seconds
 * @returns {string}
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds))
  const two = number => String(number).padStart(2, '0')
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60]
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}

/**
 * 'Training · step 120 of 530 · Stage face · about 4 min left'
 * @param {{state: string, step: number, steps: number, left: number|null, phases: [number, string][]}} record
 * @param {Function} [say] of language.js
 * @returns {string}
 */
export function headline(record, say = speaking('en')) {
  const running = record.state === 'running'
  const phase = running ? record.phases?.at(-1)?.[1] : ''
  const left = running && record.left >= 10 ? say('left', duration(record.left, say)) : ''
  const steps = say('steps', record.step.toLocaleString('en'), record.steps.toLocaleString('en'))
  return [say(record.state), steps, phase, left].filter(Boolean).join(' · ')
}
