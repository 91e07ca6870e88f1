/**
 * What the panels say, in the languages that the nodes are labelled in. Nothing here touches the page.
 */
const EN = {
  running: 'Training', finished: 'Finished', kept: 'Stopped and kept', interrupted: 'Interrupted: run it again to go on',
  failed: 'Stopped by an error',
  step: 'step {0}', steps: 'step {0} of {1}', left: 'about {0} left', seconds: '{0} s', minutes: '{0} min', hours: '{0} h',
  stop: 'Stop and keep', stopTip: 'End the training after this step and use what has been trained so far.',
  goOn: 'Train on',
  goOnTip: "Run the workflow again, with ComfyUI's cache of results cleared: the training goes on where it was stopped.",
  stopping: 'Stopping …', goingOn: 'Going on …',
  notFreed: 'ComfyUI refused the request ({0}): clear its cache of results, then run the node again.',
  notStopped: 'ComfyUI refused the request ({0}): use its own Interrupt, which keeps the state.',
  growing: 'Being made: {0} of {1}', ended: 'No longer being made', choice: '{0} of {1}',
  proRes: 'Browsers cannot play ProRes: save the video and open it in a player.',
  videoGone: "The video is no longer in ComfyUI's temp folder: run the node again.",
  noAvatar: 'Run the workflow to see the avatar here.',
  avatarGone: "The avatar is no longer in ComfyUI's temp folder. Run the workflow again.",
  play: 'Play', pause: 'Pause', time: 'Time', turn: 'Drag to turn the head', front: 'Front',
  frontTip: 'Look from the front again', full: 'Full size'
}
const ZH = {
  running: '训练中', finished: '已完成', kept: '已停止并保留', interrupted: '已中断：再次运行即可继续', failed: '因错误停止',
  step: '第 {0} 步', steps: '第 {0} 步，共 {1} 步', left: '约剩 {0}', seconds: '{0} 秒', minutes: '{0} 分钟', hours: '{0} 小时',
  stop: '停止并保留', stopTip: '在此步之后结束训练，并使用目前的训练结果。',
  goOn: '继续训练', goOnTip: '清除 ComfyUI 的结果缓存并再次运行工作流：训练从停止处继续。',
  stopping: '正在停止…', goingOn: '正在继续…',
  notFreed: 'ComfyUI 拒绝了请求（{0}）：请清除其结果缓存，然后再次运行此节点。',
  notStopped: 'ComfyUI 拒绝了请求（{0}）：请使用 ComfyUI 自带的中断功能，状态会保留。',
  growing: '生成中：{0} / {1}', ended: '已不再生成', choice: '第 {0} 个，共 {1} 个',
  proRes: '浏览器无法播放 ProRes：请保存视频并用播放器打开。',
  videoGone: '视频已不在 ComfyUI 的临时文件夹中：请再次运行此节点。',
  noAvatar: '运行工作流后，头像会显示在此处。',
  avatarGone: '头像已不在 ComfyUI 的临时文件夹中。请再次运行工作流。',
  play: '播放', pause: '暂停', time: '时间', turn: '拖动以转动头部', front: '正面', frontTip: '回到正面视角', full: '全屏'
}

/**
 * @param {string} locale such as 'zh'; anything that is not known speaks English
 * @param {{en: Object<string, string>, zh: Object<string, string>}} [words] by their names
 * @returns {(name: string, ...values: (string|number)[]) => string} words by their names, {0} and {1} filled in
 */
export function speaking(locale, words = { en: EN, zh: ZH }) {
  const chosen = String(locale || '').startsWith('zh') ? words.zh : words.en
  return (name, ...values) => (chosen[name] ?? name).replace(/\{(\d)\}/g, (_, i) => String(values[i]))
}

/**
 * @param {object} app ComfyUI's
 * @param {{en: Object<string, string>, zh: Object<string, string>}} [words] a panel's own, instead of these
 * @returns {(name: string, ...values: (string|number)[]) => string} words in the language that ComfyUI is set to
 */
export function pageWords(app, words) {
  return speaking(app.extensionManager?.setting?.get('Comfy.Locale'), words)
}
