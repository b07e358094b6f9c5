// Ask again and again: never two at a time, not while the tab is hidden, and on and on after a failure.

export class Poll {
  #refresh;
  #everyMs;
  #timer = 0;
  #busy = false;
  #again = false;

  constructor(refresh, everyMs) {
    this.#refresh = refresh;
    this.#everyMs = everyMs;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.now();
    });
  }

  // Refresh at once, or right after the refresh that is under way.
  async now() {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#busy = true;
    try {
      await this.#refresh();
    } finally {
      this.#busy = false;
      const pause = this.#again ? 0 : this.#everyMs;
      this.#again = false;
      if (!document.hidden) this.#timer = setTimeout(() => this.now(), pause);
    }
  }
}
