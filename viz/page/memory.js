// What survives a reload: small values in localStorage, where the browser allows that.

const PREFIX = "anneal.";

/** What was kept under a name, or `otherwise`: nothing kept, storage forbidden, or a value that cannot be read. */
export function recall(name, otherwise = null) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** Keep a value (JSON). False where the browser does not allow it. */
export function keep(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
