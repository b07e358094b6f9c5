// Pictures that come from outside: chosen, dropped anywhere on the page, or pasted.

const holdsFiles = (transfer) => [...(transfer?.types ?? [])].includes("Files");

// `onFile` gets each file; `isWanted()` says whether one is, where the page is now.
export function watchFiles(input, place, isWanted, onFile) {
  input.addEventListener("change", () => {
    if (input.files.length) onFile(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  addEventListener("paste", (event) => {
    // What is copied from a document has its text and a picture of it: the text is meant.
    if (!isWanted() || !event.clipboardData?.files.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    onFile(event.clipboardData.files[0]);
  });
  watchDrops(place, isWanted, onFile);
}

// A file that is dropped beside the place would otherwise replace the page.
function watchDrops(place, isWanted, onFile) {
  addEventListener("dragover", (event) => {
    if (!holdsFiles(event.dataTransfer)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = isWanted() ? "copy" : "none";
    place.classList.toggle("awaits", isWanted());
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) place.classList.remove("awaits");
  });
  addEventListener("drop", (event) => {
    place.classList.remove("awaits");
    if (!holdsFiles(event.dataTransfer)) return;
    event.preventDefault();
    if (isWanted() && event.dataTransfer.files.length) onFile(event.dataTransfer.files[0]);
  });
}
