// The field that looks for pictures by a text, and the button that does by a file.

import { element } from "../parts/dom.js";

export class SearchBar {
  node;

  // `text` stands in it at first; `onFile` gets a picture to look by. A text becomes a part of the address.
  constructor(text, onFile) {
    const field = element("input", { type: "search", id: "gallery-search", value: text, maxLength: 2000, placeholder: "a red apple" });
    const file = element("input", { type: "file", className: "visually-hidden", accept: "image/png,image/jpeg,image/webp" });
    file.addEventListener("change", () => {
      if (file.files.length) onFile(file.files[0]);
      file.value = ""; // so that the same file can be chosen again
    });
    const label = element("label", { htmlFor: field.id, className: "visually-hidden", textContent: "Search the pictures by a text" });
    this.node = element("form", { className: "search", role: "search" }, label, field, element("button", { textContent: "Search" }), element("label", { className: "button" }, file, "By a picture"));
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      const said = field.value.trim();
      location.hash = said ? `#/gallery/search/${encodeURIComponent(said)}` : "#/gallery";
    });
  }
}
