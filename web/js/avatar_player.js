// Plays an avatar on Preview Avatar in 3D. The node leaves a file in ComfyUI's temp folder; the page draws what is in it.

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { pageWords } from './on_node/language.js'
import { after, keep } from './on_node/panels.js'
import { openPlayer } from './splat/player.js'

const NODE = 'HMTalker_PreviewAvatar'
const OUTPUT = 'avatar_player' // key of the node's output
const KEPT = 'talking_heads_avatar' // property of the node: the file of its last run
const SIZE = [420, 520] // px of a new node
const LEAST = 300 // px, height of the player
const RECENT = 64 // runs of ComfyUI's history that are looked through after a reload

app.registerExtension({
  name: 'TalkingHeads.AvatarPlayer',
  nodeCreated(node) {
    if (node.comfyClass === NODE) new OnNode(node)
  }
})

class OnNode {
  constructor(node) {
    this.node = node
    this.words = pageWords(app)
    this.host = document.createElement('div')
    this.host.style.cssText = 'width: 100%; height: 100%; min-height: 0; overflow: hidden'
    for (const event of ['pointerdown', 'mousedown']) this.host.addEventListener(event, e => e.stopPropagation())
    const widget = node.addDOMWidget('avatar_player', 'talking_heads_avatar_player', this.host, {
      serialize: false, hideOnZoom: false, getMinHeight: () => LEAST, getValue: () => undefined, setValue: () => {}
    })
    widget.serialize = false
    node.setSize([Math.max(SIZE[0], node.size[0]), Math.max(SIZE[1], node.size[1])])
    this.say(this.words('noAvatar'))
    after(node, 'onExecuted', output => this.play(output?.[OUTPUT]?.[0]))
    after(node, 'onConfigure', () => this.restore())
    after(node, 'onRemoved', () => this.close())
  }

  say(text) {
    const line = Object.assign(document.createElement('div'), { textContent: text })
    line.style.cssText = 'color: #aaa; font: 13px system-ui, sans-serif; text-align: center; padding: 2em 1em'
    this.host.replaceChildren(line)
  }

  /** @param {{filename: string, subfolder: string, type: string}} [file] as /view takes it */
  async play(file) {
    if (!file || file.filename === this.shown) return
    this.close()
    this.shown = file.filename
    keep(app, this.node, KEPT, file)
    try {
      const answer = await api.fetchApi(`/view?${new URLSearchParams(file)}`)
      if (!answer.ok) throw new Error(this.words('avatarGone'))
      const content = await answer.arrayBuffer()
      if (this.shown !== file.filename) return
      const player = await openPlayer(this.host, content, this.words)
      if (this.shown === file.filename) this.player = player
      else player.close()
    } catch (error) {
      this.shown = undefined
      this.say(error.message)
    }
  }

  /** After a reload: what the temp folder holds as long as ComfyUI's history knows it. */
  async restore() {
    const file = this.node.properties?.[KEPT]
    if (!file?.filename) return
    const history = await (await api.fetchApi(`/history?max_items=${RECENT}`)).json()
    const outputs = Object.values(history).flatMap(run => Object.values(run.outputs ?? {}))
    const there = outputs.some(output => output[OUTPUT]?.some(one => one.filename === file.filename))
    if (there) await this.play(file)
  }

  close() {
    this.shown = undefined
    this.player?.close()
    this.player = undefined
  }
}
