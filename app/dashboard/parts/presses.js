// A double click on what opens a dialog: its second press would land in the dialog, take the focus or close it again.

const DOUBLE_MS = 500; // what Windows and the browsers call a double click
const SAME_PLACE_PX = 6;
const OF_ONE_PRESS = ["mousedown", "mouseup", "click", "dblclick"];

// Let a dialog hear no press that was begun before it was there.
export function watchPresses() {
  let last = null;
  let isMeantForIt = true;
  const stop = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  addEventListener("pointerdown", (event) => {
    const now = { time: event.timeStamp, x: event.clientX, y: event.clientY, dialog: event.target.closest?.("dialog:modal") ?? null };
    const isSecond = last && now.time - last.time < DOUBLE_MS && Math.hypot(now.x - last.x, now.y - last.y) < SAME_PLACE_PX;
    isMeantForIt = !isSecond || now.dialog === null || now.dialog === last.dialog;
    last = isMeantForIt ? now : { ...now, dialog: last.dialog };
    if (!isMeantForIt) stop(event);
  }, true);
  // A click of the keyboard has no place, and no press before it.
  for (const type of OF_ONE_PRESS) addEventListener(type, (event) => isMeantForIt || event.detail === 0 || stop(event), true);
}
