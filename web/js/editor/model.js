// What the editor knows: the view of the motion, the edits, what is selected, and how to go back. No DOM.

import { edited, parsed, written } from './curves.js'
import { editedPoints, sketchedPoints } from './face.js'
import { ownAt, rowAt, timeOf } from './view.js'

const MOST_STEPS = 200 // that can be undone
// What a lane shows at least: [from, to] in its unit.
const USUAL = { lips: [0, 15], jaw: [-4, 12], brows: [-8, 8], blink: [-0.3, 1.1], yaw: [-25, 25], pitch: [-20, 20] }

export class EditorModel {
  /** @param {function(string)} save is given the text of the edits whenever they change */
  constructor(save) {
    this.save = save
    this.view = null
    this.selected = null // {curve, point}
    this.active = 0 // lane
    this.read('')
  }

  /** Edits from the workflow; what can be undone is forgotten. */
  read(text) {
    const edits = parsed(text)
    this.broken = edits === null
    this.edits = edits || { version: 1, lanes: {} }
    this.text = text
    this.past = []
    this.future = []
    this.selected = null
  }

  show(view) {
    this.view = view
    this.active = Math.min(this.active, view.lanes.length - 1)
    this.selected = null
    this.ranges = new Map()
  }

  get lane() {
    return this.view.lanes[this.active]
  }

  editsOf(name) {
    return this.edits.lanes[name] || { muted: false, curves: [] }
  }

  /** The active lane with other curves, as one step that can be undone; `quiet`: while a hand still moves. */
  setCurves(curves, quiet = false) {
    this.setLane({ ...this.editsOf(this.lane.name), curves }, quiet)
  }

  setLane(lane, quiet = false) {
    this.#become({ ...this.edits, lanes: { ...this.edits.lanes, [this.lane.name]: lane } }, quiet)
  }

  clear() {
    this.selected = null
    this.broken = false
    this.ranges = new Map()
    this.#become({ ...this.edits, lanes: {} }, false)
  }

  #become(edits, quiet) {
    this.edits = edits
    if (this.view) this.ranges.delete(this.lane.name)
    if (quiet) return
    const text = written(edits)
    if (text === this.text) return
    this.past = [...this.past, this.text].slice(-MOST_STEPS)
    this.future = []
    this.#keep(text)
  }

  #keep(text) {
    this.text = text
    this.save(text)
  }

  undo() {
    this.#step(this.past, this.future)
  }

  redo() {
    this.#step(this.future, this.past)
  }

  #step(from, to) {
    if (!from.length) return
    to.push(this.text)
    const text = from.pop()
    this.edits = parsed(text) || { version: 1, lanes: {} }
    this.selected = null
    this.ranges = new Map()
    this.#keep(text)
  }

  own(lane, time) {
    return ownAt(this.view, lane, time)
  }

  value(lane, time) {
    const { name } = this.view.lanes[lane]
    return edited(this.view.lanes[lane], this.edits.lanes[name], this.own(lane, time), time)
  }

  /** What a lane's plot shows, [from, to]; it does not change while a hand draws. */
  range(lane) {
    const { name, least, most } = this.view.lanes[lane]
    if (!this.ranges.has(name)) {
      let [from, to] = USUAL[name] || [least, most]
      for (let row = 0; row < this.view.rows; row++) {
        const time = timeOf(this.view, row)
        for (const value of [this.own(lane, time), this.value(lane, time)]) {
          if (value < from) from = value
          if (value > to) to = value
        }
      }
      const room = USUAL[name] ? 0.06 * (to - from) : 0.04 * (most - least)
      this.ranges.set(name, [from - room, to + room])
    }
    return this.ranges.get(name)
  }

  /** The face at a time: 68 points, and whether their y points down. */
  face(time, withEdits = true) {
    const row = rowAt(this.view, time), at = timeOf(this.view, row), lanes = this.view.lanes.map((_, i) => i)
    const own = lanes.map(lane => this.view.data.own[lane * this.view.rows + row])
    const values = withEdits ? lanes.map((lane, i) => edited(this.view.lanes[lane], this.edits.lanes[this.view.lanes[lane].name],
      own[i], at)) : own
    if (this.view.kind === 'avatar') return { points: sketchedPoints(this.view, values), down: false }
    return { points: editedPoints(this.view, row, own, values), down: this.view.space === 'pixels' }
  }
}
