// Plays the audio, or a silent clock where there is none, and tells the time.

export class Player {
  /** @param {function()} changed is called on every frame while playing, and when playing begins or ends */
  constructor(changed) {
    this.changed = changed
    this.audio = null
    this.duration = 0
    this.playing = false
    this.place = 0
  }

  /** @param {string} url of the audio, '' for none @param {number} duration of the motion, s */
  load(url, duration) {
    this.pause()
    this.duration = duration
    this.audio = url ? new Audio(url) : null
    if (this.audio) this.audio.preload = 'auto'
    this.place = Math.min(this.place, duration)
  }

  /** s */
  get now() {
    if (!this.playing) return this.place
    return this.heard ? this.audio.currentTime : this.place + (performance.now() - this.began) / 1000
  }

  async play() {
    if (this.place >= this.duration - 0.02) this.place = 0
    this.playing = true
    this.heard = false
    this.began = performance.now()
    this.frame = requestAnimationFrame(() => this.#step())
    this.changed()
    if (!this.audio) return
    this.audio.currentTime = this.place
    try {
      await this.audio.play()
      this.heard = this.playing
    } catch (error) {
      if (error.name !== 'AbortError') this.heard = false // no sound device, or the file has gone: the clock goes on without
    }
  }

  pause() {
    if (!this.playing) return
    this.place = Math.min(this.now, this.duration)
    this.playing = false
    cancelAnimationFrame(this.frame)
    this.audio?.pause()
    this.changed()
  }

  seek(time) {
    const playing = this.playing
    this.pause()
    this.place = Math.min(this.duration, Math.max(0, time))
    if (playing) this.play()
  }

  #step() {
    if (this.now >= this.duration || this.heard && this.audio.ended) {
      this.place = this.duration
      this.heard = false
      this.playing = false
      this.audio?.pause()
      this.changed()
      return
    }
    this.changed()
    this.frame = requestAnimationFrame(() => this.#step())
  }

  close() {
    this.pause()
    if (this.audio) this.audio.src = ''
    this.audio = null
  }
}
