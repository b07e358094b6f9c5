// Who is logged in: what it may not see is not offered, what is left of its quotas is shown, and a session can be ended.

import { at, getSender, getUsage, logOut, reasonOf } from "../server/api.js";
import { set } from "./dom.js";

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

const WORDS = {
  requests: (left, most) => `${left} of ${most} submissions left this minute`,
  units: (left, most) => `${left} of ${most} units of work left`,
  waiting: (left, most) => `${left} of ${most} places in the queue left`,
  month: (left, most) => `${left} of ${most} units left this month`,
};
let isLimited = true; // until the server says otherwise

// The limit of which the least part is left; nothing where there is none.
export async function showAllowance() {
  if (!isLimited) return;
  const { allowances } = await getUsage();
  isLimited = allowances.length > 0;
  const [least] = allowances.sort((one, other) => one.remaining / one.most - other.remaining / other.most);
  const line = find("allowance");
  line.hidden = !isLimited;
  if (!isLimited) return;
  set(line, "textContent", WORDS[least.limit](least.remaining.toLocaleString(), least.most.toLocaleString()));
  line.className = `allowance${least.remaining ? "" : " spent"}`;
}
