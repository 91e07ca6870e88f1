// Puts the motion editor on Edit Motion and Edit Avatar Motion. What is drawn is kept in the node's input "edits".

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { EditorPanel } from './editor/panel.js'
import { readView } from './editor/view.js'
import { WORDS } from './editor/words.js'
import { pageWords } from './on_node/language.js'
import { after, keep, noteChange } from './on_node/panels.js'

const LANES = { MoDiTalker_EditMotion: 6, HMTalker_EditAvatarMotion: 19 }
const WIDTH = 720 // px of a new node
const SHOWN = 'talking_heads_motion' // property of the node: the files of its last run

const locationOf = file => api.apiURL(`/view?${new URLSearchParams(file)}`)

/** In the classic canvas and in Nodes 2.0, which looks at the options. */
function hide(widget) {
  widget.hidden = true
  widget.options.hidden = true
  widget.computeSize = () => [0, -4]
}

/** Fetches what the last run left and shows it. */
async function fetchView(node, panel, files) {
  const [motion, audio] = files || []
  if (!motion) return
  const known = `${motion.filename} ${audio?.filename || ''}`
  if (panel.known === known) return
  panel.known = known
  try {
    const answer = await api.fetchApi(`/view?${new URLSearchParams(motion)}`)
    const view = answer.ok ? readView(await answer.arrayBuffer()) : null
    if (panel.known !== known) return
    if (view) return panel.show(view, audio ? locationOf(audio) : '')
    panel.known = ''
    if (!panel.model.view) panel.say('gone')
  } catch (error) {
    panel.known = ''
    panel.say('gone')
    console.warn('Talking Heads: the motion cannot be shown for editing.', error)
  }
}

function build(node, lanes) {
  const edits = node.widgets.find(widget => widget.name === 'edits')
  const panel = new EditorPanel({
    words: pageWords(app, WORDS),
    save: text => {
      edits.value = text
      edits.callback?.(text)
      node.graph?.setDirtyCanvas?.(true, true)
      noteChange(app)
    }
  })
  hide(edits)
  const widget = node.addDOMWidget('motion_editor', 'talking_heads_motion_editor', panel.root, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => EditorPanel.height(lanes, node.size[0] - 20),
    getValue: () => undefined,
    setValue: () => {}
  })
  widget.serialize = false
  node.setSize([Math.max(WIDTH, node.size[0]), Math.max(node.size[1], node.computeSize()[1])])
  return { panel, edits }
}

app.registerExtension({
  name: 'TalkingHeads.MotionEditor',
  nodeCreated(node) {
    const lanes = LANES[node.constructor.comfyClass]
    if (!lanes) return
    const { panel, edits } = build(node, lanes)
    const refresh = () => {
      const linked = node.inputs?.some(input => input.name === 'edits' && input.link != null)
      if (linked) return panel.say('linked')
      if (panel.said === 'linked') panel.say(panel.model.view ? '' : 'first')
      panel.read(edits.value || '')
    }
    after(node, 'onExecuted', output => {
      if (!output?.motion_editor) return
      keep(app, node, SHOWN, output.motion_editor)
      refresh()
      fetchView(node, panel, output.motion_editor)
    })
    after(node, 'onConfigure', () => {
      refresh()
      fetchView(node, panel, node.properties[SHOWN])
    })
    after(node, 'onConnectionsChange', refresh)
    after(node, 'onRemoved', () => panel.close())
  }
})
