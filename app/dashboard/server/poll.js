// Ask again and again: never two at a time, not while the tab is hidden, and on and on after a failure.

const LEAST_PAUSE_MS = 400;

export class Poll {
  #refresh;
  #pauseMs;
  #timer = 0;
  #busy = false;
  #again = false;

  // `pauseMs()` is the wait after a refresh.
  constructor(refresh, pauseMs) {
    this.#refresh = refresh;
    this.#pauseMs = pauseMs;
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
      this.#after(this.#again ? LEAST_PAUSE_MS : this.#pauseMs());
      this.#again = false;
    }
  }

  // Refresh soon: many calls make one refresh.
  soon() {
    if (this.#busy) this.#again = true;
    else this.#after(LEAST_PAUSE_MS, { keepEarlier: true });
  }

  #due = Infinity;

  #after(pauseMs, { keepEarlier = false } = {}) {
    const due = Date.now() + pauseMs;
    if (keepEarlier && this.#due <= due && this.#due > Date.now()) return;
    clearTimeout(this.#timer);
    this.#due = due;
    if (!document.hidden) this.#timer = setTimeout(() => this.now(), pauseMs);
  }
}
