// Put a text into a text area as if it were typed.

export function typeInto(area, text, from, to) {
  area.focus();
  area.setSelectionRange(from, to);
  // Unlike a new value, this can be undone with Ctrl+Z.
  if (!document.execCommand("insertText", false, text)) area.setRangeText(text, from, to, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
}
