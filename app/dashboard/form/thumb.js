// The picture that a run starts from, its mask over it, and the room that is painted around it.

import { element } from "../parts/dom.js";
import { asSquares } from "../parts/pictures.js";
import { pictureUrl } from "../server/inputs.js";

export class Thumb {
  node = element("div", { className: "thumb" });
  size = null; // of the picture, once it is there
  #shown = "";

  // Show the pictures of these names; false if they cannot be loaded.
  async show(init, mask) {
    const key = `${init} ${mask}`;
    if (key === this.#shown) return true;
    this.#shown = key;
    this.size = null;
    this.node.replaceChildren();
    if (init === null) return true;
    try {
      const { layerFor, loaded } = await import("../paint/layer.js");
      const [picture, painted] = await Promise.all([init, mask].map((name) => name && loaded(pictureUrl(name))));
      if (key !== this.#shown) return true;
      const layer = painted && layerFor(picture);
      if (layer) layer.load(painted);
      const { naturalWidth: width, naturalHeight: height } = picture;
      picture.alt = `The picture to start from, ${width} × ${height} pixels`;
      asSquares(picture, width);
      this.size = { width, height };
      this.node.replaceChildren(picture, ...(layer ? [layer.canvas] : []));
      return true;
    } catch {
      return key !== this.#shown;
    }
  }

  // Place the picture within what it becomes, with so many pixels around it.
  frame({ left, right, up, down }) {
    if (!this.size) return;
    const { width, height } = this.size;
    const [wide, high] = [left + width + right, up + height + down];
    const places = { "--ratio": wide / high, "--x": percent(left / wide), "--y": percent(up / high), "--w": percent(width / wide), "--h": percent(height / high) };
    for (const [name, value] of Object.entries(places)) this.node.style.setProperty(name, value);
  }
}

const percent = (share) => `${100 * share}%`;
