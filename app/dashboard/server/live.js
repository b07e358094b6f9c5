// The one stream of events of this page. It comes back by itself, whatever the server or the network does.

import { at } from "./api.js";

const NAMES = ["queued", "started", "progress", "preview", "candidate", "log", "canceling", "done", "deleted"];
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15000;

export class Live {
  isOpen = false;
  #onEvent;
  #onChange;
  #source = null;
  #last = null; // id of the last event that was seen, to go on after it
  #pauseMs = FIRST_PAUSE_MS;

  // `onEvent` gets every event; `onChange` is called when the stream opens (also anew) or is lost.
  constructor(onEvent, onChange) {
    this.#onEvent = onEvent;
    this.#onChange = onChange;
    this.#open();
  }

  #open() {
    const query = this.#last === null ? "" : `?${new URLSearchParams({ last_event_id: this.#last })}`;
    const source = new EventSource(at(`/v1/events${query}`));
    this.#source = source;
    source.addEventListener("open", () => {
      this.#pauseMs = FIRST_PAUSE_MS;
      this.#tell(true);
    });
    source.addEventListener("snapshot", (event) => {
      this.#last = event.lastEventId || this.#last;
      this.#tell(true);
    });
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        this.#last = event.lastEventId || this.#last;
        this.#onEvent(JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => this.#lost(source));
  }

  #lost(source) {
    if (source !== this.#source) return;
    this.#tell(false);
    // A browser tries again after a cut, but gives up for good when it is answered with an error.
    if (source.readyState !== EventSource.CLOSED) return;
    this.#source = null;
    setTimeout(() => this.#open(), this.#pauseMs);
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
  }

  #tell(isOpen) {
    this.isOpen = isOpen;
    this.#onChange();
  }
}
