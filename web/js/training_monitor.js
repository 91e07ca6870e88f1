import { app } from '../../../scripts/app.js'
import { api } from '../../../scripts/api.js'
import { HEIGHT, WIDTH, charts } from './on_node/charts.js'
import { pageWords } from './on_node/language.js'
import { addPanel, after, element, keep, nodeOf, viewUrl } from './on_node/panels.js'
import { headline } from './on_node/words.js'

const TRAINERS = new Set(['HMTalker_TrainAvatar', 'MoDiTalker_TrainAToM', 'MoDiTalker_TrainMToV'])
const EVENT = 'talking_heads.training'
const KEPT = 'talking_heads_training' // the property that says where the record of a node's training is
const STOPS = 'talking_heads_stop' // folder below ComfyUI's temp, see nodes/training_feed.py
const SVG = 'http://www.w3.org/2000/svg'
const CHART = HEIGHT + 20 // px, with its title
const STRIP = 58 // px
const WAKES = 500 // ms in which ComfyUI's worker, idle, clears its cache
const DOES = { running: ['stop', 'stopTip'], kept: ['goOn', 'goOnTip'] } // the button's words and tooltip in a state
const monitors = new WeakMap() // node -> its monitor

// Curves, earlier previews, the time left and "Stop and keep" on the nodes that train.
app.registerExtension({
  name: 'TalkingHeads.TrainingMonitor',
  setup() {
    api.addEventListener(EVENT, ({ detail }) => {
      const node = nodeOf(app.rootGraph ?? app.graph, detail.node)
      if (node && node.comfyClass === detail.type) monitorOf(node).show(detail)
    })
  },
  nodeCreated(node) {
    if (!TRAINERS.has(node.comfyClass)) return
    after(node, 'onExecuted', output => {
      const place = output?.training?.at(-1)
      if (place) monitorOf(node).load(place.subfolder)
    })
    after(node, 'onConfigure', () => {
      const subfolder = node.properties?.[KEPT]?.subfolder
      if (typeof subfolder === 'string') monitorOf(node).load(subfolder)
    })
    after(node, 'onRemoved', () => monitors.delete(node))
  }
})

function monitorOf(node) {
  if (!monitors.has(node)) monitors.set(node, new Monitor(node))
  return monitors.get(node)
}

class Monitor {
  constructor(node) {
    this.node = node
    this.say = pageWords(app)
    this.record = null
    this.large = null // the step of the preview that is shown large
    this.tall = 0 // px of that preview
    this.panel = null
    this.build()
  }

  build() {
    const plain = { font: '11px/15px system-ui, sans-serif', color: 'var(--input-text)' }
    this.words = element('div', { flex: '1', minWidth: '0', fontWeight: '600' })
    this.words.className = 'talking-heads-headline'
    this.button = element('button', {
      font: 'inherit', padding: '2px 8px', borderRadius: '5px', border: '1px solid var(--border-color)', cursor: 'pointer',
      color: 'var(--input-text)', background: 'var(--comfy-menu-bg)', whiteSpace: 'nowrap'
    })
    this.button.addEventListener('click', () => (this.record.state === 'kept' ? this.goOn() : this.stop()))
    this.bar = element('div', { height: '100%', width: '0', background: '#4c9be8', borderRadius: '2px' })
    this.figures = element('div', { color: 'var(--descrip-text)', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' })
    this.charts = element('div', { display: 'flex', flexDirection: 'column', gap: '4px' })
    this.strip = element('div', { display: 'flex', gap: '4px', overflowX: 'auto', height: `${STRIP}px`, flex: 'none' })
    this.shown = element('img', { width: '100%', display: 'none', borderRadius: '4px', cursor: 'zoom-out' })
    this.shown.addEventListener('click', () => this.enlarge(null))
    this.shown.addEventListener('load', () => this.measure())
    this.box = element('div', {
      ...plain, display: 'flex', flexDirection: 'column', gap: '5px', width: '100%', boxSizing: 'border-box', padding: '6px 8px',
      background: 'var(--comfy-input-bg)', borderRadius: '6px', overflow: 'hidden', userSelect: 'text'
    },
    element('div', { display: 'flex', gap: '8px', alignItems: 'center', minHeight: '24px' }, this.words, this.button),
    element('div', { height: '4px', background: 'var(--border-color)', borderRadius: '2px', flex: 'none' }, this.bar),
    this.figures, this.charts, this.strip, this.shown)
    this.box.className = 'talking-heads-monitor'
  }

  /** @returns {number} px */
  height() {
    const rows = this.charts.children.length * (CHART + 4)
    return 90 + rows + (this.strip.children.length ? STRIP + 5 : 0) + (this.large === null ? 0 : this.tall + 5)
  }

  /** Reads the record that lies beside the training's log. */
  async load(subfolder) {
    const file = { filename: 'training.json', subfolder, type: 'output' }
    const answer = await fetch(viewUrl(api, file, String(Date.now())))
    if (!answer.ok) return
    const record = await answer.json()
    // A training that runs tells of itself; the file is a little older.
    if (this.record?.state === 'running' && this.record.run === record.run && record.state === 'interrupted') return
    this.show(record)
  }

  /** @param {object} record docs/comfyui.md#training */
  show(record) {
    this.record = record
    keep(app, this.node, KEPT, { subfolder: record.subfolder })
    this.words.textContent = headline(record, this.say)
    this.bar.style.width = `${100 * record.step / Math.max(1, record.steps)}%`
    this.figures.textContent = this.figures.title = record.caption
    const does = DOES[record.state]
    this.button.style.display = does ? '' : 'none'
    if (does && this.asked !== `${record.run} ${record.state}`) {
      this.button.disabled = false
      ;[this.button.textContent, this.button.title] = does.map(name => this.say(name))
    }
    this.draw(charts(record))
    this.previews(record)
    this.panel ??= addPanel(this.node, 'talking_heads_monitor', this.box, () => this.height())
    if (this.fitted !== this.height()) {
      this.fitted = this.height()
      this.panel.fit()
    }
  }

  draw(found) {
    this.charts.replaceChildren(...found.map(chart => {
      const svg = document.createElementNS(SVG, 'svg')
      svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
      svg.setAttribute('preserveAspectRatio', 'none')
      Object.assign(svg.style, { width: '100%', height: `${HEIGHT}px`, display: 'block', background: 'var(--comfy-menu-bg)', borderRadius: '3px' })
      for (const phase of chart.phases) stroke(svg, `M${phase.x.toFixed(1)},0V${HEIGHT}`, 'var(--border-color)', 1, phase.words)
      for (const line of chart.lines) stroke(svg, line.path, line.colour, 1.5, line.label)
      const legend = chart.lines.flatMap(line => [
        element('span', { color: line.colour }, '● '), `${line.label} ${line.last}   `])
      const range = element('span', { color: 'var(--descrip-text)', marginLeft: 'auto', whiteSpace: 'nowrap' },
        `${chart.low} – ${chart.high}${chart.title.endsWith('(dB)') ? ' dB' : ''}${chart.log ? ' (log)' : ''}`)
      const title = element('div', { display: 'flex', gap: '6px', height: '18px', overflow: 'hidden' },
        element('span', { whiteSpace: 'pre', overflow: 'hidden' }, ...legend), range)
      const whole = element('div', {}, title, svg)
      whole.className = 'talking-heads-chart'
      whole.dataset.chart = chart.title
      return whole
    }))
  }

  previews(record) {
    const names = record.previews.map(([step]) => step).join()
    if (names === this.drawn) return
    this.drawn = names
    this.strip.replaceChildren(...record.previews.map(([step, name]) => {
      const image = element('img', { height: '100%', borderRadius: '3px', cursor: 'zoom-in', flex: 'none' })
      image.src = this.url(name)
      image.title = image.alt = this.say('step', step.toLocaleString('en'))
      image.addEventListener('click', () => this.enlarge(this.large === step ? null : step))
      return image
    }))
    this.strip.style.display = record.previews.length ? 'flex' : 'none'
    this.strip.scrollLeft = this.strip.scrollWidth
  }

  /** Shows a preview as wide as the node, or none. */
  enlarge(step) {
    this.large = step
    const found = this.record.previews.find(([one]) => one === step)
    this.shown.style.display = found ? 'block' : 'none'
    if (found) this.shown.src = this.url(found[1])
    this.panel.fit()
  }

  measure() {
    const width = Math.max(100, this.node.size[0] - 36)
    this.tall = Math.round(width * this.shown.naturalHeight / this.shown.naturalWidth)
    this.panel.fit()
  }

  url(name) {
    return viewUrl(api, { filename: name, subfolder: `${this.record.subfolder}/previews`, type: 'output' }, this.record.run)
  }

  /** Says what was asked for until another state is told. */
  ask(name) {
    this.asked = `${this.record.run} ${this.record.state}`
    this.button.disabled = true
    this.button.textContent = this.say(name)
  }

  /** Trains on. ComfyUI has the result of a training that was stopped and kept in its cache, and would not run the node again. */
  async goOn() {
    this.ask('goingOn')
    const body = JSON.stringify({ free_memory: true })
    const answer = await api.fetchApi('/free', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } })
    if (answer.ok) {
      await new Promise(resolve => setTimeout(resolve, WAKES))
      await app.queuePrompt(0)
    }
    setTimeout(() => {
      this.asked = null
      if (this.record.state === 'kept') this.show(this.record)
    }, 20 * WAKES) // a prompt that was refused tells nothing
    if (!answer.ok) this.figures.textContent = this.say('notFreed', answer.status)
  }

  /** Asks the run to end: a file of its name in ComfyUI's temp folder, by the same way as any upload. */
  async stop() {
    this.ask('stopping')
    const form = new FormData()
    form.append('image', new File(['stop and keep'], `${this.record.run}.txt`, { type: 'text/plain' }))
    form.append('type', 'temp')
    form.append('subfolder', STOPS)
    form.append('overwrite', 'true')
    const answer = await api.fetchApi('/upload/image', { method: 'POST', body: form })
    if (!answer.ok) {
      this.asked = null
      this.show(this.record)
      this.figures.textContent = this.say('notStopped', answer.status)
    }
  }
}

function stroke(svg, path, colour, width, title) {
  const line = document.createElementNS(SVG, 'path')
  const words = document.createElementNS(SVG, 'title')
  words.textContent = title
  const look = { d: path, fill: 'none', stroke: colour, 'stroke-width': width, 'vector-effect': 'non-scaling-stroke' }
  for (const [name, value] of Object.entries(look)) line.setAttribute(name, value)
  line.append(words)
  svg.append(line)
}
