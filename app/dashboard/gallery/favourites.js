// The pictures that somebody likes, as JOB/INDEX. This browser keeps them.

const KEPT = "lodestar-favourites";

function read() {
  try {
    return new Set(JSON.parse(localStorage.getItem(KEPT) ?? "[]"));
  } catch {
    return new Set(); // of a browser that keeps nothing, or of another program
  }
}

let liked = read();
addEventListener("storage", ({ key }) => key === KEPT && (liked = read())); // another tab

function save() {
  try {
    localStorage.setItem(KEPT, JSON.stringify([...liked]));
  } catch {
    // they are known until the page is closed
  }
}

export const favourites = {
  all: () => [...liked],
  has: (key) => liked.has(key),
  // Like a picture, or no more; whether it is liked now.
  toggle(key) {
    if (!liked.delete(key)) liked.add(key);
    save();
    return liked.has(key);
  },
  // The pictures of these jobs are gone.
  forget(ids) {
    const gone = [...liked].filter((key) => ids.includes(key.split("/")[0]));
    for (const key of gone) liked.delete(key);
    if (gone.length) save();
  },
};
