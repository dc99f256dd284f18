/** What the page says to its reader: a line of state, which screen readers say too, and errors. */

const [state, problem, text] = ["state", "problem", "problem-text"].map((id) =>
  document.getElementById(id),
);
document.getElementById("problem-close").addEventListener("click", settle);

/** Say how things are. */
export function say(message) {
  state.textContent = message;
}

/** Say what went wrong, in one line. It stays until it is closed or something goes well. */
export function complain(error) {
  const line = String(error.message ?? error).split("\n")[0];
  // As a sentence begins, unless a file's name does.
  text.textContent = line.replace(/^[a-z]+(?=[ ,:]|$)/, (word) => word[0].toUpperCase() + word.slice(1));
  problem.hidden = false;
  say("");
}

/** Take the error back. */
export function settle() {
  problem.hidden = true;
  text.textContent = "";
}
