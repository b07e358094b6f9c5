// A field of a request that takes a picture: a file, which is sent to the server, and shown.

import { element, set } from "../parts/dom.js";
import { reasonOf, uploadPicture } from "../server/api.js";
import { pictureUrl } from "../server/inputs.js";

export class PictureInput {
  node;
  #input;
  #name = null; // as requests name it
  #sending = null;
  #words = element("span", { textContent: "Choose a picture" });
  #shown = element("img", { alt: "", className: "input-shown", hidden: true });
  #error;

  constructor(field) {
    const id = `field-${field.path}`;
    this.field = field;
    this.#input = element("input", { type: "file", id, className: "visually-hidden", accept: "image/png,image/jpeg,image/webp" });
    this.#error = element("p", { className: "field-error", id: `${id}-error` });
    this.#input.setAttribute("aria-describedby", this.#error.id);
    this.#input.addEventListener("change", () => {
      if (this.#input.files.length) this.#send(this.#input.files[0]);
      this.#input.value = ""; // so that the same file can be chosen again
    });
    this.node = element("div", { className: "field picture-input" }, this.#shown, element("label", { className: "button" }, this.#input, this.#words), this.#error);
  }

  read() {
    return this.#name ?? undefined;
  }

  write(name) {
    this.#sending = null;
    this.#name = name ?? null;
    this.#show();
  }

  get fault() {
    if (this.#sending) return "A picture is still on its way to the server. Submit again when it is there.";
    return this.#name === null ? "Choose a picture." : null;
  }

  set error(message) {
    set(this.#error, "textContent", message);
    set(this.#input, "ariaInvalid", message ? "true" : "false");
  }

  focus() {
    this.#input.focus();
  }

  async #send(file) {
    this.error = "";
    const sent = (this.#sending = Symbol(file.name)); // what is written or sent later counts more
    this.#show();
    try {
      const { id } = await uploadPicture(file);
      if (sent !== this.#sending) return;
      this.write(id);
      this.#input.dispatchEvent(new Event("input", { bubbles: true }));
    } catch (failure) {
      if (sent !== this.#sending) return;
      this.write(this.#name);
      this.error = reasonOf(failure);
    }
  }

  #show() {
    set(this.#words, "textContent", this.#sending ? "Sending the picture…" : this.#name ? "Choose another picture" : "Choose a picture");
    this.#shown.hidden = this.#name === null;
    if (this.#name !== null) this.#shown.src = pictureUrl(this.#name);
  }
}
