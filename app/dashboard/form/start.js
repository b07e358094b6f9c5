// Where a run starts from: a picture, how far the result may be from it, a mask over it, and room around it. A model
// that edits sees the picture instead, and starts from it only under a mask.

import { reasonOf, uploadPicture } from "../server/api.js";
import { pictureUrl } from "../server/inputs.js";
import { element, set } from "../parts/dom.js";
import { Around } from "./around.js";
import { watchFiles } from "./files.js";
import { Slider } from "./slider.js";
import { Thumb } from "./thumb.js";

const MASK_NAME = "mask.png";
const STRENGTH = { path: "init.strength", label: "Strength", default: 0.8, excludes0: true }; // as the API has it

export class Start {
  controls; // by the dotted names of their fields
  switches = new Map(["edit", "init", "mask", "outpaint"].map((name) => [name, element("input", { type: "checkbox" })]));
  #names = { init: null, mask: null }; // of the pictures, as requests name them
  #sending = null; // what is on its way to the server
  #strength = new Slider(STRENGTH);
  #around = new Around();
  #edits = false; // whether the model does
  #input = element("input", { type: "file", id: "field-init.image", className: "visually-hidden", accept: "image/png,image/jpeg,image/webp" });
  #choose = element("span", { textContent: "Choose a picture" });
  #hint = element("p", { className: "hint", id: "field-init.image-hint" });
  #errors = { init: fieldError("init.image"), mask: fieldError("mask.image") };
  #thumb = new Thumb();
  #paint = element("button", { type: "button", id: "field-mask.image" });
  #unmask = element("button", { type: "button", className: "quiet", textContent: "Remove the mask" });
  #remove = element("button", { type: "button", className: "quiet", textContent: "Remove the picture" });
  #body = element("div", { className: "start-body", hidden: true });
  #changed;

  // `isShown()` says whether the form is; `onChange` is called when the request has changed.
  constructor(node, isShown, onChange) {
    this.#changed = onChange;
    this.controls = new Map([["init.image", this.#picture("init", this.#input)], ["edit.image", this.#edited()], ["init.strength", this.#strength], ["mask.image", this.#picture("mask", this.#paint)], ...this.#around.controls]);
    this.#input.setAttribute("aria-describedby", `${this.#hint.id} ${this.#errors.init.id}`);
    this.#paint.setAttribute("aria-describedby", this.#errors.mask.id);
    this.#paint.addEventListener("click", () => this.#openPainter());
    this.#unmask.addEventListener("click", () => this.#put("mask", null, this.#paint));
    this.#remove.addEventListener("click", () => this.put(null));
    this.#around.node.addEventListener("input", () => this.#switch());
    this.#build(node);
    watchFiles(this.#input, node.closest("form"), isShown, (file) => this.#bring("init", file, this.#input));
    this.#show();
  }

  // Bring the switches up to what there is: the controls have new values.
  settle() {
    this.#switch();
  }

  // Take the picture as a model does that edits it, or as any other.
  suit(edits) {
    if (this.#edits === edits) return;
    this.#edits = edits;
    this.#switch();
    this.#show();
  }

  // Start from a picture that the server has, by its name in a request; from none if that is null.
  put(name) {
    this.#around.clear();
    this.#put("mask", null);
    this.#put("init", name, name ? this.#paint : this.#input);
  }

  #build(node) {
    const choose = element("div", { className: "choose" }, element("label", { className: "button" }, this.#input, this.#choose), this.#hint);
    const buttons = element("div", { className: "buttons" }, this.#paint, this.#unmask, this.#remove);
    this.#body.append(this.#thumb.node, element("div", { className: "stacked" }, this.#strength.node, buttons, this.#errors.mask, this.#around.node));
    node.append(choose, this.#errors.init, this.#body);
  }

  // The control of a picture's name.
  #picture(kind, node) {
    const start = this;
    return {
      get fault() {
        return start.#sending === kind ? "The picture is still on its way to the server. Submit again when it is there." : null;
      },
      read: () => this.#names[kind] ?? undefined,
      write: (name) => this.#write(kind, name ?? null),
      focus: () => node.focus(),
      set error(message) {
        set(start.#errors[kind], "textContent", message);
        set(node, "ariaInvalid", message ? "true" : "false");
      },
    };
  }

  // The same picture as the one that is edited. A request may have it by either name.
  #edited() {
    const picture = this.#picture("init", this.#input);
    const start = this;
    return {
      fault: null,
      read: () => (start.#edits ? picture.read() : undefined),
      write: (name) => name && picture.write(name),
      focus: () => picture.focus(),
      set error(message) {
        if (message) picture.error = message;
      },
    };
  }

  // Send a file, then start from it, or paint with it.
  async #bring(kind, file, focused) {
    const error = (message) => (this.controls.get(`${kind}.image`).error = message);
    error("");
    if (!file.type.startsWith("image/")) return error(`${file.name || "This"} is not a picture. Choose a PNG, JPEG or WebP file.`);
    const sent = (this.#sent = Symbol(file.name)); // what is put, removed or sent later counts more
    this.#sending = kind;
    this.#switch();
    this.#show();
    try {
      const { id } = await uploadPicture(file);
      if (sent !== this.#sent) return;
      this.#sending = null;
      if (kind === "init") this.put(id);
      else this.#put(kind, id, focused);
    } catch (failure) {
      if (sent !== this.#sent) return;
      this.#sending = null;
      this.#write(kind, this.#names[kind]);
      error(reasonOf(failure));
    }
  }

  #sent = null;

  #put(kind, name, focused = null) {
    this.controls.get(`${kind}.image`).error = "";
    this.#write(kind, name);
    focused?.focus();
    this.#changed();
  }

  #write(kind, name) {
    this.#names[kind] = name;
    this.#sent = this.#sending = null;
    this.#switch();
    this.#show();
  }

  // What is added is a mask too, about which a request may say more.
  #switch() {
    const { init, mask } = this.#names;
    const isThere = Boolean(init) || this.#sending === "init";
    const isOn = { edit: this.#edits && isThere, outpaint: this.#around.isUsed };
    isOn.mask = Boolean(mask) || this.#sending === "mask" || isOn.outpaint;
    isOn.init = isThere && (!this.#edits || isOn.mask);
    set(this.#strength.node, "hidden", !isOn.init);
    for (const [name, box] of this.switches) {
      box.checked = isOn[name];
      box.dispatchEvent(new Event("change"));
    }
    this.#showAround();
  }

  #showAround() {
    this.#around.show(this.#thumb.size ?? {});
    this.#thumb.frame(this.#around.sides);
  }

  #show() {
    const { init, mask } = this.#names;
    set(this.#body, "hidden", init === null);
    set(this.#choose, "textContent", this.#sending === "init" ? "Sending the picture…" : init ? "Choose another picture" : "Choose a picture");
    set(this.#hint, "textContent", init ? "" : `to ${this.#edits ? "edit" : "start from"}, or drop or paste one here.`);
    set(this.#paint, "textContent", this.#sending === "mask" ? "Sending the mask…" : mask ? "Edit the mask" : "Paint a mask");
    set(this.#unmask, "hidden", mask === null);
    this.#showThumb(init, mask);
  }

  async #showThumb(init, mask) {
    const isThere = await this.#thumb.show(init, mask);
    if (!isThere) this.controls.get("init.image").error = "The picture cannot be shown: it may be kept no longer. If so, choose it again.";
    this.#showAround();
  }

  #isPainting = false;

  async #openPainter() {
    if (this.#isPainting) return; // the second click of a double click
    this.#isPainting = true;
    const { init, mask } = this.#names;
    try {
      const [{ loaded }, { paint }] = await Promise.all([import("../paint/layer.js"), import("../paint/painter.js")]);
      const [picture, before] = await Promise.all([init, mask].map((name) => name && loaded(pictureUrl(name))));
      const layer = await paint(picture, before);
      if (layer === null) return this.#paint.focus();
      if (layer.share === 0) return this.#put("mask", null, this.#paint);
      await this.#bring("mask", new File([await layer.toBlob()], MASK_NAME, { type: "image/png" }), this.#paint);
    } catch (error) {
      reportError(error);
      this.controls.get("mask.image").error = "The picture cannot be loaded. Choose it again.";
    } finally {
      this.#isPainting = false;
    }
  }
}

function fieldError(path) {
  return element("p", { className: "field-error", id: `field-${path}-error` });
}
