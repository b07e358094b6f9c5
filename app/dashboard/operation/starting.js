// How to start a worker, which depends on what started the service.

const COMMANDS = { compose: "docker compose --profile gpu up -d" };
const OTHER = "lodestar worker";

// A command that starts one; null where none is needed.
export function startCommand({ started_by: by }) {
  return by === "up" ? null : (COMMANDS[by] ?? OTHER);
}

// A sentence.
export function startAdvice(queue) {
  const command = startCommand(queue);
  if (command === null) return "lodestar up starts it again by itself; its log is in the folder logs of the data folder.";
  if (command === OTHER) return "Start one with: lodestar worker, and the LODESTAR_REDIS_URL of this service.";
  return `Start one with: ${command}, or --profile cpu.`;
}
