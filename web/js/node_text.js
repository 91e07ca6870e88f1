import { app } from '../../../scripts/app.js'
import { addPanel, after, element, keep, removeWidget } from './on_node/panels.js'
import { clipped, leastTextHeight, textHeight } from './on_node/words.js'

const OURS = /^(HMTalker|MoDiTalker|TalkingHead)_/
const KEPT = 'talking_heads_text' // the property that keeps a node's text in the workflow
// Nodes 2.0 would let a long text grow over the node below.
const ROOM = `[data-node-id] .talking-heads-text { max-height: ${leastTextHeight(Infinity)}px }`
const CORES_OWN = '$$node-text-preview' // what ComfyUI shows of the same text while the node runs

// What a node says of its result stands on the node, and is still there after a reload.
app.registerExtension({
  name: 'TalkingHeads.NodeText',
  setup() {
    document.head.append(element('style', {}, ROOM))
  },
  nodeCreated(node) {
    if (!OURS.test(node.comfyClass ?? '')) return
    let shown = null
    const show = text => {
      shown ??= textPanel(node)
      shown(text)
    }
    after(node, 'onExecuted', output => {
      const text = (output?.text ?? []).filter(part => typeof part === 'string').join('\n\n')
      if (!text) return
      keep(app, node, KEPT, clipped(text))
      removeWidget(node, CORES_OWN)
      show(node.properties[KEPT])
    })
    after(node, 'onConfigure', () => {
      if (typeof node.properties?.[KEPT] === 'string') show(node.properties[KEPT])
    })
  }
})

function textPanel(node) {
  const box = element('pre', {
    margin: '0', padding: '6px 8px', width: '100%', height: '100%', boxSizing: 'border-box', overflow: 'auto',
    overflowY: 'auto', whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', userSelect: 'text', cursor: 'text',
    font: '11px/15px system-ui, sans-serif', color: 'var(--input-text)', background: 'var(--comfy-input-bg)', borderRadius: '6px'
  })
  box.className = 'talking-heads-text'
  let panel = null
  return text => {
    box.textContent = text
    const tall = () => textHeight(box.textContent, node.size[0])
    const least = () => leastTextHeight(tall())
    panel ??= addPanel(node, 'talking_heads_text', box, tall, { least })
    panel.fit()
  }
}
