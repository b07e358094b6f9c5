// Whether small pictures are shown as squares or smoothed: this browser's choice, for every page.

import { element } from "../parts/dom.js";

const KEPT = "lodestar-smooth";
const root = document.documentElement;
const isSmooth = () => root.classList.contains("smooth");

function kept() {
  try {
    return localStorage.getItem(KEPT) === "yes";
  } catch {
    return false; // of a browser that keeps nothing
  }
}

root.classList.toggle("smooth", kept());

function turn() {
  root.classList.toggle("smooth");
  try {
    localStorage.setItem(KEPT, isSmooth() ? "yes" : "no");
  } catch {
    // it holds until the page is closed
  }
}

// A button that turns it; pressed, pictures are smooth.
export function smoothButton() {
  const button = element("button", { type: "button", textContent: "Smooth", title: "Smooth the pixels of small pictures, or show them as squares", ariaPressed: String(isSmooth()) });
  button.addEventListener("click", () => {
    turn();
    button.ariaPressed = String(isSmooth());
  });
  return button;
}
