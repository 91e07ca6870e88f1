/**
 * Panels on the pack's nodes: an element below a node's widgets that is in neither the prompt nor the workflow's values.
 */

/**
 * The node that a run means: 'a:b' is node b in the subgraph that node a stands for.
 * @param {object} graph the root graph
 * @param {string|number} executionId
 * @returns {object|null}
 */
export function nodeOf(graph, executionId) {
  let node = null
  for (const part of String(executionId).split(':')) {
    node = graph?.getNodeById?.(Number(part)) ?? graph?.getNodeById?.(part) ?? null
    graph = node?.subgraph
    if (!node) return null
  }
  return node
}

/**
 * @param {object} api ComfyUI's
 * @param {{filename: string, subfolder?: string, type?: string}} file
 * @param {string} [fresh] something that changes when the file does
 * @returns {string}
 */
export function viewUrl(api, file, fresh = '') {
  const given = { filename: file.filename, subfolder: file.subfolder ?? '', type: file.type ?? 'output' }
  return api.apiURL(`/view?${new URLSearchParams({ ...given, ...(fresh ? { rand: fresh } : {}) })}`)
}

/**
 * Puts an element on a node, once, and makes the node large enough.
 * @param {object} node
 * @param {string} name of the widget
 * @param {HTMLElement} element
 * @param {() => number} height in px at a zoom of 1, of what it needs now
 * @param {{grows?: boolean, least?: () => number}} [options] whether it takes up what room the node has beyond that; how little it
 *   makes do with (all of `height`)
 * @returns {{fit: () => void}} call fit() when the height has changed
 */
export function addPanel(node, name, element, height, { grows = false, least = height } = {}) {
  const limits = grows ? {} : { getMaxHeight: height }
  const widget = node.addDOMWidget(name, name, element, {
    serialize: false, hideOnZoom: false, getMinHeight: least, getValue: () => '', setValue() {}, ...limits
  })
  widget.serialize = false
  // Keys and the wheel belong to the panel, not to the canvas behind it.
  for (const type of ['wheel', 'keydown', 'pointerdown', 'dblclick']) {
    element.addEventListener(type, event => { if (ours(event, element)) event.stopPropagation() }, { passive: true })
  }
  const fit = () => {
    const needed = node.computeSize()
    if (needed[1] > node.size[1] || needed[0] > node.size[0]) {
      node.setSize([Math.max(needed[0], node.size[0]), Math.max(needed[1], node.size[1])])
    }
    node.graph?.setDirtyCanvas?.(true, true)
  }
  fit()
  return { fit }
}

/** Of the wheel only what scrolls something in the panel. */
function ours(event, element) {
  if (event.type !== 'wheel') return event.target.closest('button, a, img, video, select, pre') !== null
  for (let part = event.target; part && part !== element.parentElement; part = part.parentElement) {
    if (part.scrollHeight > part.clientHeight + 1 && getComputedStyle(part).overflowY === 'auto') return true
  }
  return false
}

/**
 * Takes a widget that ComfyUI itself has put on a node off it again.
 * @param {object} node
 * @param {string} name of the widget
 */
export function removeWidget(node, name) {
  const at = node.widgets?.findIndex(widget => widget.name === name) ?? -1
  if (at < 0) return
  node.widgets[at].onRemove?.()
  node.widgets.splice(at, 1)
}

/**
 * Calls `work` after what a node does at `when` already ('onExecuted', 'onConfigure', 'onRemoved').
 * @param {object} node
 * @param {string} when
 * @param {Function} work
 */
export function after(node, when, work) {
  const before = node[when]
  node[when] = function (...given) {
    const result = before?.apply(this, given)
    work.apply(this, given)
    return result
  }
}

/**
 * Keeps a value with a node in the workflow. A run is no change in ComfyUI's eyes: without being told, the page would forget the
 * value in a reload before the next click.
 * @param {object} app ComfyUI's
 * @param {object} node
 * @param {string} name of the property
 * @param {*} value as JSON holds it
 */
export function keep(app, node, name, value) {
  if (JSON.stringify(node.properties[name]) === JSON.stringify(value)) return
  node.properties[name] = value
  noteChange(app)
}

/**
 * Tells ComfyUI that the workflow has changed: it saves it, and its own undo goes back to here.
 * @param {object} app ComfyUI's
 */
export function noteChange(app) {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker
  if (tracker?.captureCanvasState) tracker.captureCanvasState()
  else tracker?.checkState?.() // the name it had before
}

/**
 * @param {string} tag
 * @param {Record<string, string>} [style]
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
export function element(tag, style = {}, ...children) {
  const made = document.createElement(tag)
  Object.assign(made.style, style)
  made.append(...children)
  return made
}
