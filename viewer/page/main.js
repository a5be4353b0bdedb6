// The page: takes key and files, has the worker open them, and shows what it found.

import { showOpened, showRefused } from "./results.js";

const element = (id) => document.getElementById(id);
const form = element("form");
let files = []; // those of the last time
let worker = null;
const urls = [];

form.addEventListener("change", ({ target }) => {
  if (target.name === "source") showSource(target.value);
  if (target.id === "show-key") element("key-text").type = target.checked ? "text" : "password";
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  open();
});

element("forget").addEventListener("click", forget);

for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
}
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (event.dataTransfer.files.length) element("files").files = event.dataTransfer.files;
});

function showSource(source) {
  for (const part of document.querySelectorAll("[data-source]")) {
    part.hidden = part.dataset.source !== source;
  }
}

function open() {
  const key = readKeyFields();
  files = [...element("files").files];
  const missing = sayWhatIsMissing(key);
  element("error").textContent = missing ?? "";
  if (missing) return;
  clearResults();
  setBusy(true);
  const signers = element("signers").value.split("\n").filter((line) => line.trim());
  worker ??= startWorker();
  worker.postMessage({ key, signers, files });
}

function readKeyFields() {
  return {
    source: form.elements.source.value,
    text: element("key-text").value,
    file: element("key-file").files[0],
    passphrase: element("passphrase").value,
    keyId: element("key-id").value,
  };
}

function sayWhatIsMissing({ source, text, file, passphrase, keyId }) {
  if (source === "text" && !text.trim()) return "Give the text of the key.";
  if (source === "file" && !file) return "Choose the key file.";
  if (source === "passphrase" && !(passphrase && keyId.trim())) {
    return "Give the passphrase and the id of its key.";
  }
  return files.length ? null : "Choose the files to open.";
}

function startWorker() {
  const url = URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
  const started = new Worker(url);
  URL.revokeObjectURL(url);
  started.addEventListener("message", ({ data }) => receive(data));
  started.addEventListener("error", () => {
    element("error").textContent = "This browser could not open the files: its memory may not suffice.";
    setBusy(false);
  });
  return started;
}

function receive({ index, progress, opened, error, done }) {
  if (done) {
    element("error").textContent = error ?? "";
    setBusy(false);
  } else if (progress !== undefined) {
    element("progress").value = progress;
  } else {
    const makeUrl = (blob) => urls[urls.push(URL.createObjectURL(blob)) - 1];
    const { name } = files[index];
    element("results").append(opened ? showOpened(name, opened, makeUrl) : showRefused(name, error));
  }
}

function setBusy(busy) {
  element("open").disabled = busy;
  element("progress").hidden = !busy;
  element("progress").removeAttribute("value");
  const count = element("results").querySelectorAll("article:not(.refused)").length;
  const total = element("results").children.length;
  element("status").textContent = busy ? "Opening …" : total ? `Opened ${count} of ${total}.` : "";
}

function clearResults() {
  element("results").replaceChildren();
  for (const url of urls.splice(0)) URL.revokeObjectURL(url);
}

/** Drop the key, the files and what was opened. */
function forget() {
  worker?.terminate();
  worker = null;
  clearResults();
  form.reset();
  element("key-text").type = "password";
  showSource("text");
  files = [];
  setBusy(false);
  element("error").textContent = "";
}
