// The exported page: the file stands in the page itself, as base64.

import { openPlayer } from './player.js'

/** @param {string} text base64  @returns {ArrayBuffer} */
export function decoded(text) {
  const letters = atob(text.trim())
  const bytes = new Uint8Array(letters.length)
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i)
  return bytes.buffer
}

/** Fills #player with what #film holds. */
export async function openPage() {
  const player = await openPlayer(document.getElementById('player'), decoded(document.getElementById('film').textContent))
  document.getElementById('player').player = player
}
