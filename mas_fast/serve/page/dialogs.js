/** Dialogs: the key of the server, the keys of the keyboard, what the model knows. */

const byId = (id) => document.getElementById(id);

/** Have each button with data-dialog open that dialog, and each of the class cancel close its own. */
export function bindDialogs() {
  for (const button of document.querySelectorAll("[data-dialog]")) {
    button.addEventListener("click", () => byId(button.dataset.dialog).showModal());
  }
  for (const button of document.querySelectorAll("dialog .cancel")) {
    button.addEventListener("click", () => button.closest("dialog").close(""));
  }
}

let asking = null;

/**
 * Ask for the server's key.
 *
 * Args:
 *     wrong: whether the last one was refused.
 *
 * Returns:
 *     A promise of the key, or of null where none is given. One dialog answers all that ask at once.
 */
export function askKey(wrong) {
  asking ??= new Promise((answer) => {
    const dialog = byId("key-dialog");
    const input = dialog.querySelector("input");
    dialog.querySelector(".refused").hidden = !wrong;
    input.value = "";
    dialog.returnValue = "";
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        answer(dialog.returnValue === "key" && input.value ? input.value : null);
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}

/** Fill the dialog of what the model knows. */
export function showFacts({ name, picture, scene, classes, words }) {
  const drawn = `${picture.side} × ${picture.side} pixels`;
  const learned = classes.filter((one) => one.learned).map((one) => one.name);
  byId("facts-sizes").textContent = scene
    ? `${name} draws a scene of ${scene.side} × ${scene.side} cells, then a picture of ${drawn}.`
    : `${name} draws pictures of ${drawn}, without scenes.`;
  byId("facts-classes").textContent = learned.join(", ") || "It has no list of them.";
  byId("facts-words").textContent = words ? words.join(", ") : "It has no list of them.";
}
