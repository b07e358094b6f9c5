// Numbers and times as people say them.

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

// What a job is about: its prompt, or what it does when it makes no picture.
export function subject(request) {
  switch (request.kind) {
    case "embedding": return `Make the aesthetic embedding ${request.name}`;
    case "import": return `Import the aesthetic embedding ${request.name}`;
    case "score": return `Score ${count(request.pictures.length, "picture")}`;
    case "query": return request.text ?? "Look for pictures like another one";
    default: return request.prompt;
  }
}
