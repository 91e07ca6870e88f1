/**
 * @param {string|null} policy the page's Content-Security-Policy; with --disable-api-nodes ComfyUI sets one that has no blobs
 * @returns {boolean} whether a video may come from a MediaSource
 */
export function allowsBlobs(policy) {
  const rules = (policy ?? '').split(';').map(rule => rule.trim().split(/\s+/))
  const media = rules.find(([name]) => name === 'media-src') ?? rules.find(([name]) => name === 'default-src')
  return !media || media.includes('blob:')
}

/**
 * Plays a video that is still being written: what is new of the file is fetched now and then and given to the browser.
 */
export class GrowingVideo {
  /**
   * @param {HTMLVideoElement} video
   * @param {string} url of the file
   * @param {string} mime with its codecs
   * @param {number} total seconds that it will have
   * @param {typeof fetch} [get]
   */
  constructor(video, url, mime, total, get = (...given) => fetch(...given)) {
    Object.assign(this, { video, url, mime, total, get, offset: 0, address: null, buffer: null, busy: false, ended: false })
  }

  /** @returns {boolean} whether this browser can */
  static plays(mime) {
    return typeof MediaSource !== 'undefined' && MediaSource.isTypeSupported(mime)
  }

  /** Makes the video element ready. */
  async open() {
    this.source = new MediaSource()
    this.video.src = this.address = URL.createObjectURL(this.source)
    await new Promise(done => this.source.addEventListener('sourceopen', done, { once: true }))
    this.forget()
    if (this.ended) return
    this.buffer = this.source.addSourceBuffer(this.mime)
    if (this.total > 0) this.source.duration = this.total
  }

  /** Fetches what has been written since the last time. */
  async pull() {
    if (this.busy || this.ended || !this.buffer) return
    this.busy = true
    try {
      const part = await this.newBytes()
      if (part.byteLength && !this.ended && this.source.readyState === 'open') {
        const done = new Promise(resolve => this.buffer.addEventListener('updateend', resolve, { once: true }))
        this.buffer.appendBuffer(part)
        this.offset += part.byteLength
        await done
      }
    } finally {
      this.busy = false
    }
  }

  /**
   * One byte that is known already is asked for again: a range that begins at a file's end is an error.
   * @returns {Promise<ArrayBuffer>}
   */
  async newBytes() {
    const from = Math.max(0, this.offset - 1)
    const answer = await this.get(this.url, { headers: { Range: `bytes=${from}-` }, cache: 'no-store' })
    if (!answer.ok) return new ArrayBuffer(0)
    const bytes = await answer.arrayBuffer()
    return bytes.slice(this.offset - (answer.status === 206 ? from : 0))
  }

  /** Nothing more is fetched: what is there is all. */
  end() {
    this.ended = true
    if (this.source?.readyState === 'open' && this.buffer && !this.buffer.updating) this.source.endOfStream()
    if (!this.address) return
    if (this.video.src === this.address) this.video.removeAttribute('src') // it has not been opened: the page would miss it
    this.forget()
  }

  /** The address is not needed once the source is open. */
  forget() {
    URL.revokeObjectURL(this.address)
    this.address = null
  }
}
