// Who is logged in: what it may not see is not offered, and a session can be ended.

import { at, getSender, logOut, reasonOf } from "../server/api.js";

const find = (id) => document.getElementById(id);

export async function showSender(onTrouble) {
  const { scopes, via, name, tenant } = await getSender();
  find("workers-link").hidden = !scopes.includes("admin:workers");
  const button = find("log-out");
  button.hidden = via !== "session";
  button.title = `Logged in as ${name} of ${tenant}`;
  button.onclick = () =>
    logOut().then(
      () => location.replace(at("/login")),
      (error) => onTrouble(reasonOf(error)),
    );
}
