import { app } from '../../../scripts/app.js'
import { COLOURS, withDefaults, rules } from './on_node/palette.js'

// The colours of the pack's sockets and links, in both renderers. A user's own palette wins.
app.registerExtension({
  name: 'TalkingHeads.Colours',
  setup() {
    const canvas = app.canvas
    withDefaults(canvas.default_connection_color_byType, COLOURS)
    withDefaults(canvas.constructor.link_type_colors, COLOURS)
    const style = document.createElement('style')
    style.textContent = rules(COLOURS)
    document.head.append(style)
    canvas.setDirty(true, true)
  }
})
