// Asks the service of this page by the Open Inference Protocol, and shows what it answers.

const PNG = [0x89, 0x50, 0x4e, 0x47];
const N_LABELS = 5;
const N_NEIGHBOURS = 10;

const find = (id) => document.getElementById(id);
const models = new Map();
let current = null; // the newest question, which the answers of others must not overwrite
let asked = null;

async function send(path, message, signal) {
  let answer;
  try {
    answer = await fetch(path, {
      method: message === undefined ? "GET" : "POST",
      body: message === undefined ? undefined : JSON.stringify(message),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service cannot be reached.");
  }
  let content;
  try {
    content = await answer.json();
  } catch {
    throw new Error(`The service answered with the status ${answer.status}, and not in JSON.`);
  }
  if (!answer.ok) throw new Error(`The service refused: ${content.error ?? answer.status}`);
  return content;
}

async function infer(name, file, outputs, parameters, signal) {
  const answer = await send(
    `v2/models/${encodeURIComponent(name)}/infer`,
    {
      inputs: [{ name: "images", datatype: "BYTES", shape: [1], data: [file] }],
      outputs: outputs.map((output) => ({ name: output })),
      parameters,
    },
    signal,
  );
  return Object.fromEntries(answer.outputs.map((output) => [output.name, output.data]));
}

async function loadModels() {
  for (const { name } of await send("v2/repository/index", {})) {
    models.set(name, await send(`v2/models/${encodeURIComponent(name)}`));
  }
  for (const [name, { platform }] of models) {
    find(platform === "ricsk-index" ? "index" : "model").add(new Option(name, name));
  }
  find("model-choice").hidden = !find("model").length;
  find("index-choice").hidden = !find("index").length;
}

async function toBase64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (!PNG.every((value, i) => bytes[i] === value)) {
    throw new Error(`${blob.name} is not a PNG file. Sealed images are kept in PNG files.`);
  }
  const parts = [];
  for (let i = 0; i < bytes.length; i += 0x8000) {
    parts.push(String.fromCharCode(...bytes.subarray(i, i + 0x8000)));
  }
  return btoa(parts.join(""));
}

function showReading(name, file, answer) {
  find("given").src = `data:image/png;base64,${file}`;
  find("given-name").textContent = name;
  find("answer").hidden = !answer;
  if (!answer) return;
  find("label").textContent = answer.labels[0];
  find("top").hidden = !answer.probabilities;
  if (!answer.probabilities) return;
  const { outputs } = models.get(find("model").value);
  const { classes } = outputs.find((output) => output.name === "labels").parameters;
  const rows = JSON.parse(classes)
    .map((label, i) => [label, answer.probabilities[i]])
    .sort((a, b) => b[1] - a[1])
    .slice(0, N_LABELS);
  find("top").tBodies[0].replaceChildren(...rows.map(makeRow));
}

function makeRow([label, probability]) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = label;
  const meter = document.createElement("meter");
  meter.value = probability;
  meter.setAttribute("aria-hidden", "true"); // the number says it
  const cell = document.createElement("td");
  cell.append(meter, `${(100 * probability).toFixed(1)} %`);
  row.append(head, cell);
  return row;
}

function showNeighbours(answer) {
  find("neighbours").hidden = !answer;
  if (!answer) return;
  const items = answer.images.map((file, i) =>
    makeItem(String(answer.ids[i]), answer.distances[i], file),
  );
  find("found").replaceChildren(...items);
}

function makeItem(id, distance, file) {
  const image = document.createElement("img");
  image.src = `data:image/png;base64,${file}`;
  image.alt = "";
  const name = document.createElement("span");
  name.textContent = id;
  const far = document.createElement("span");
  far.className = "distance";
  far.textContent = `distance ${Math.abs(distance).toFixed(3)}`;
  const button = document.createElement("button");
  button.type = "button";
  button.append(image, name, far);
  button.addEventListener("click", () => {
    ask(id, file);
    window.scrollTo({ top: 0 });
  });
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function say(status, error = "") {
  find("status").textContent = status;
  find("error").textContent = error;
  find("error").hidden = !error;
}

async function ask(name, file) {
  current?.abort();
  const { signal } = (current = new AbortController());
  asked = [name, file];
  say(`Asking about ${name} …`);
  try {
    const [model, index] = [find("model").value, find("index").value];
    const known = models.get(model)?.outputs.map((output) => output.name) ?? [];
    const outputs = known.filter((output) => output === "labels" || output === "probabilities");
    const [reading, neighbours] = await Promise.all([
      model && infer(model, file, outputs, {}, signal),
      index && infer(index, file, ["ids", "distances", "images"], { k: N_NEIGHBOURS }, signal),
    ]);
    if (signal.aborted) return;
    showReading(name, file, reading);
    showNeighbours(neighbours);
    say(describe(name, reading, neighbours));
  } catch (error) {
    if (signal.aborted) return;
    forget();
    say("", error.message);
  }
}

function describe(name, reading, neighbours) {
  const read = reading ? `${name} is read as ${reading.labels[0]}.` : "";
  const near = neighbours ? ` ${neighbours.ids.length} stored images are shown.` : "";
  return (read + near).trim();
}

function forget() {
  find("answer").hidden = true;
  find("neighbours").hidden = true;
}

async function take(files) {
  if (!files.length) return;
  try {
    if (files.length > 1) throw new Error("Give one image at a time.");
    const [file] = files;
    await ask(file.name, await toBase64(file));
  } catch (error) {
    forget();
    say("", error.message);
  }
}

find("file").addEventListener("change", ({ target }) => {
  take([...target.files]).finally(() => {
    target.value = ""; // so that the same file can be given again
  });
});
for (const id of ["model", "index"]) {
  find(id).addEventListener("change", () => asked && ask(...asked));
}
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // or the browser would leave the page to show the file
    find("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") take([...event.dataTransfer.files]);
  });
}
loadModels().catch((error) => say("", error.message));
