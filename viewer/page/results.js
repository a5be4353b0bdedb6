// What came out of a file, as people read it.

/** Files that a browser may show as a picture, by how they begin; "?" is any byte. */
const PICTURES = [
  ["image/jpeg", "\xff\xd8\xff"],
  ["image/png", "\x89PNG"],
  ["image/gif", "GIF8"],
  ["image/webp", "RIFF????WEBP"],
  ["image/avif", "????ftypavif"],
  ["image/bmp", "BM"],
];

export function showRefused(name, error) {
  return make("article", { className: "refused" }, heading(name), make("p", { className: "error", textContent: error }));
}

export function showOpened(name, opened, makeUrl) {
  const { found, scheme, signer, picture } = opened;
  const article = make("article", {}, heading(name));
  article.append(make("p", { textContent: sayWhatWasFound(found, scheme) }));
  if (signer) article.append(make("p", { textContent: `Signed by the key with the fingerprint ${signer}.` }));
  const stem = name.replace(/\.[^.]*$/, "");
  const downloads = make("p");
  if (found === "original") addOriginal(article, downloads, opened, stem, makeUrl);
  else article.append(showPicture(picture, name, makeUrl));
  const what = found === "original" || scheme === "photograph" ? "thumbnail" : "image";
  downloads.append(download(`Download the ${what}`, `${stem}-${what}.png`, picture.png, makeUrl));
  article.append(downloads);
  return article;
}

function sayWhatWasFound(found, scheme) {
  if (found === "original") return "Found: the original file.";
  if (scheme === "photograph") return "Found: the thumbnail alone. The original file has been taken out.";
  if (scheme === "sealed") return "Found: an image.";
  return "Found: an image. If it was a sealed photograph, its original file has been taken out.";
}

function addOriginal(article, downloads, { name, file, picture }, stem, makeUrl) {
  const title = name ?? "without a name";
  const text = make("p", {}, make("bdi", { textContent: title }), `, ${saySize(file.size)}`);
  const note = make("p");
  article.append(text, note);
  const place = make("div");
  article.append(place);
  showOriginal(file, title, makeUrl).then((image) => {
    if (!image) note.textContent = "This browser does not show files of this kind; below is the thumbnail.";
    place.append(image ?? showPicture(picture, title, makeUrl));
  });
  downloads.append(download("Download the original", name ?? `${stem}-original`, file, makeUrl), " ");
}

/** The original as a picture; null if this browser does not show it. */
async function showOriginal(file, title, makeUrl) {
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  const fits = (pattern) => [...pattern].every((mark, i) => mark === "?" || mark === start[i]);
  const [type] = PICTURES.find(([, pattern]) => fits(pattern)) ?? [];
  if (!type) return null;
  const image = make("img", { alt: `The photograph ${title}` });
  image.src = makeUrl(file.slice(0, file.size, type));
  try {
    await image.decode();
  } catch {
    return null;
  }
  return image;
}

function showPicture({ png, width, height }, name, makeUrl) {
  const image = make("img", { alt: `The picture in ${name}, ${width} by ${height} pixels`, src: makeUrl(png) });
  if (Math.max(width, height) < 192) image.className = "small";
  return image;
}

/** As a file of no type: a browser that were asked to open it would not run it. */
function download(text, name, blob, makeUrl) {
  const href = makeUrl(blob.slice(0, blob.size, "application/octet-stream"));
  return make("a", { className: "download", textContent: text, download: name, href });
}

function saySize(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const [size, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${size.toFixed(1)} ${unit}`;
}

function heading(name) {
  return make("h2", {}, make("bdi", { textContent: name }));
}

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
