// What the motion editor says, in the languages that the nodes are labelled in.

const EN = {
  lips: 'lip opening', jaw: 'jaw', brows: 'brows', blink: 'blink', yaw: 'turn head', pitch: 'nod head',
  AU01: 'inner brow raise', AU02: 'outer brow raise', AU04: 'brow lower', AU05: 'upper lid raise',
  AU06: 'cheek raise',
  AU07: 'lid tighten', AU09: 'nose wrinkle', AU10: 'upper lip raise', AU12: 'smile', AU14: 'dimple',
  AU15: 'lip corners down',
  AU17: 'chin raise', AU20: 'lip stretch', AU23: 'lip tighten', AU25: 'lips part', AU26: 'jaw drop', AU45: 'blink',
  first: 'Run the workflow once: then there is motion to edit. Your edits are kept and applied on every run.',
  gone: 'The motion shown here is no longer in ComfyUI\'s temp folder. Run the workflow again to see it.',
  broken: 'These edits cannot be read, so they are not shown. Undo the change to the text, or press Clear.',
  linked: 'The edits come from another node, so they cannot be drawn here.',
  play: 'Play', pause: 'Pause', add: 'Add to motion', replace: 'Replace motion', smooth: 'Smooth', linear: 'Straight',
  hold: 'Steps', soften: 'Soften', remove: 'Delete', mute: 'Mute lane', clear: 'Clear', undo: 'Undo', redo: 'Redo',
  fit: 'Fit',
  playTip: 'Play the audio and show the edited face (Space)',
  modeTip: 'Whether a new curve is added to the motion or replaces it',
  shapeTip: 'What the curve does between its points', softenTip: 'Smooth the curves of this lane',
  removeTip: 'Delete the selected point, or else the curves of this lane (Delete)',
  muteTip: 'Keep the edits of this lane, but do not apply them',
  clearTip: 'Delete all edits', undoTip: 'Undo (Ctrl+Z)', redoTip: 'Redo (Ctrl+Y)',
  fitTip: 'Show the whole time; the mouse wheel zooms',
  how: 'Drag to draw, click to add a point, drag a point to move it. Wheel: zoom. Shift+wheel: scroll.',
  unknown: 'not trained', sketch: 'sketch', every: 'every {} frames shown'
}
const ZH = {
  lips: '嘴唇张开', jaw: '下颌', brows: '眉毛', blink: '眨眼', yaw: '左右转头', pitch: '上下点头',
  AU01: '内眉上扬', AU02: '外眉上扬', AU04: '皱眉', AU05: '上眼睑抬起', AU06: '脸颊抬起', AU07: '眼睑收紧', AU09: '皱鼻', AU10: '上唇抬起',
  AU12: '微笑', AU14: '酒窝', AU15: '嘴角下垂', AU17: '下巴抬起', AU20: '嘴唇拉伸', AU23: '嘴唇收紧', AU25: '双唇分开', AU26: '下颌下落',
  AU45: '眨眼',
  first: '请先运行一次工作流，之后即可编辑动作。您的编辑会保存，并在每次运行时应用。',
  gone: '此处显示的动作已不在 ComfyUI 的临时文件夹中。请再次运行工作流。',
  broken: '无法读取这些编辑，因此未显示。请撤销对文本的更改，或按“清除”。',
  linked: '编辑来自另一个节点，因此无法在此绘制。',
  play: '播放', pause: '暂停', add: '叠加到动作', replace: '替换动作', smooth: '平滑', linear: '直线', hold: '阶梯', soften: '柔化',
  remove: '删除',
  mute: '静音轨道', clear: '清除', undo: '撤销', redo: '重做', fit: '全部',
  playTip: '播放音频并显示编辑后的面部（空格键）', modeTip: '新曲线叠加到动作上，还是替换动作', shapeTip: '曲线在各点之间的形状',
  softenTip: '使此轨道的曲线更平滑', removeTip: '删除所选的点；未选点时删除此轨道的曲线（Delete）', muteTip: '保留此轨道的编辑，但不应用',
  clearTip: '删除全部编辑', undoTip: '撤销（Ctrl+Z）', redoTip: '重做（Ctrl+Y）', fitTip: '显示全部时间；鼠标滚轮可缩放',
  how: '拖动以绘制，单击以添加点，拖动点以移动。滚轮：缩放。Shift+滚轮：滚动。',
  unknown: '此头像未训练过', sketch: '示意', every: '每 {} 帧显示一帧'
}

export const WORDS = { en: EN, zh: ZH }
