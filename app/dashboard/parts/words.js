// Numbers, times and statuses in words.

export function duration(seconds) {
  if (seconds < 9.95 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d`;
}

export function ago(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

export function shortened(text, length = 60) {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

// The title of a job: its prompt, or the work of a task.
export function promptOf({ request }) {
  switch (request.kind) {
    case "embedding": return `Make the aesthetic embedding ${request.name}`;
    case "import": return `Import the aesthetic embedding ${request.name}`;
    case "score": return `Score ${count(request.pictures.length, "picture")}`;
    case "query": return request.text ?? "Look for pictures like another one";
    default: return request.prompt || "(no prompt)";
  }
}

export function statusWords(job, canceling = job.cancel_requested) {
  if (canceling && ["queued", "running"].includes(job.status)) return "canceling";
  if (job.status === "queued") return job.queue_position ? `queued · ${ordinal(job.queue_position + 1)}` : "queued, next";
  if (job.status === "running" && job.attempts > 1) return `running, attempt ${job.attempts}`;
  return job.status;
}

// 1st, 2nd, 3rd, 4th, 11th, 21st.
export function ordinal(number) {
  const last = number % 100 > 10 && number % 100 < 14 ? 0 : number % 10;
  return `${number}${["th", "st", "nd", "rd"][last] ?? "th"}`;
}

// A failure as a sentence of its own.
export function failureTitle({ type, message }) {
  const words = type === "deadline_exceeded" ? message.replace(/^the job ran longer than its timeout_s of (.+)$/, "Timed out after $1") : message;
  return words[0].toUpperCase() + words.slice(1);
}

// Advice for a job that failed with this type of error.
export function advice(type) {
  return ADVICE[type] ?? "Run it again; if it fails again, the worker's log has more under the job's id.";
}

const ADVICE = {
  deadline_exceeded: "Give it more time, or ask for fewer steps, pictures or cutouts.",
  out_of_memory: "Ask for a smaller size, fewer pictures or fewer cutouts, or use a worker with more memory.",
  model_unavailable: "The worker could not load the model: see that its files are there and whole, then run it again.",
  attempts_exhausted: "Its worker was lost again and again. Look into the worker's log before you run it again.",
};
