// The page that asks for a key. What was asked for before is after the # still.

import { at, logIn, reasonOf } from "./server/api.js";

const find = (id) => document.getElementById(id);

find("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = find("key");
  find("login-error").textContent = "";
  find("enter").disabled = true;
  try {
    await logIn(key.value);
    key.value = "";
    location.replace(at("/") + location.hash);
  } catch (error) {
    find("login-error").textContent = reasonOf(error);
    key.select();
  } finally {
    find("enter").disabled = false;
  }
});
