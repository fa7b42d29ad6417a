"use strict";
const TOP = 5, AT_ONCE = 4, TILES = 6, TRIES = 5;
const at = (name) => document.getElementById(name);
const cards = [];  // {file, card, said, busy, again}
let about = null, others = [], threshold = -Infinity, running = 0;
const queue = [];

const text = (parent, tag, words, kind = "") => {
  const node = parent.appendChild(document.createElement(tag));
  node.textContent = words;
  node.className = kind;
  return node;
};
const signed = (number) => number.toFixed(2).replace("-", "−");
const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
const length = (share) => `${100 * share}%`;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function ask(path, file) {
  const form = new FormData();
  form.append("image", file);
  form.append("top", TOP);
  for (const name of others) form.append("classes", name);
  for (let tried = 1; ; tried++) {
    let answer;
    try {
      answer = await fetch(path, { method: "POST", body: form });
    } catch {
      throw new Error("The service does not answer. Is it still running?");
    }
    if (answer.status === 429 && tried < TRIES) {
      await pause(1000 * tried);
      continue;
    }
    const said = await answer.json().catch(() => ({ error: answer.statusText }));
    if (!answer.ok) throw new Error(said.error);
    return said;
  }
}

function add(files) {
  for (const file of files) {
    const card = at("card").content.firstElementChild.cloneNode(true);
    const entry = { file, card, said: null };
    const url = URL.createObjectURL(file);
    const picture = card.querySelector("img");
    picture.onerror = () => picture.replaceWith("no preview");
    picture.src = url;
    card.querySelector("h2").textContent = file.name;
    card.querySelector(".remove").onclick = () => {
      cards.splice(cards.indexOf(entry), 1);
      URL.revokeObjectURL(url);
      card.remove();
    };
    card.querySelector(".show").onclick = () => toggle(entry);
    cards.push(entry);
    at("pictures").prepend(card);
    enqueue(entry);
  }
}

function enqueue(entry) {
  queue.push(entry);
  work();
}

async function work() {
  while (queue.length && running < AT_ONCE) {
    running++;
    predict(queue.shift()).finally(() => { running--; work(); });
  }
}

async function predict(entry) {
  const names = others;
  try {
    if (entry.file.size > about.limits.mebibytes * 2 ** 20) {
      throw new Error(`larger than ${about.limits.mebibytes} MiB`);
    }
    entry.said = (await ask("predict", entry.file)).predictions[0];
    entry.error = "";
  } catch (error) {
    entry.said = null;
    entry.error = error.message;
  }
  if (names === others) show(entry);  // else it is asked again
}

function show(entry) {
  if (entry.said && entry.said.rejection !== null) widen(entry.said.rejection);
  entry.card.classList.toggle("broken", !entry.said);
  const bars = entry.card.querySelector(".bars");
  bars.replaceChildren();
  if (entry.said) {
    entry.said.labels.forEach((label, place) => {
      const share = entry.said.probabilities[place], row = text(bars, "li", "");
      text(row, "span", label);
      text(row, "span", percent(share), "share");
      text(text(row, "div", "", "track"), "div", "").style.width = length(share);
    });
  }
  entry.card.querySelector(".show").hidden = !entry.said || !about.regions;
  judge(entry);
}

function judge(entry) {
  const verdict = entry.card.querySelector(".verdict"), said = entry.said;
  const score = entry.card.querySelector(".score");
  const no = Boolean(said) && said.rejection !== null && said.rejection < threshold;
  entry.card.classList.toggle("rejected", no);
  verdict.textContent = !said ? entry.error || "waiting …"
    : no ? "No: none of these classes" : said.labels[0];
  score.textContent = said && said.rejection !== null
    ? `score ${signed(said.rejection)}` : "";
}

function widen(score) {
  const slider = at("threshold"), off = slider.value === slider.min;
  slider.min = Math.min(slider.min, Math.floor(score));
  slider.max = Math.max(slider.max, Math.ceil(score) + 1);
  if (off) slider.value = slider.min;
}

function slide() {
  const slider = at("threshold"), off = slider.value === slider.min;
  threshold = off ? -Infinity : Number(slider.value);
  at("value").textContent = off ? "never" : signed(threshold);
  cards.forEach(judge);
}

function use(names) {
  others = names;
  for (const entry of cards) {
    hideRegions(entry);
    entry.card.querySelector(".verdict").textContent = "waiting …";
    enqueue(entry);
  }
}

async function toggle(entry) {
  const place = entry.card.querySelector(".regions");
  if (!place.hidden) return hideRegions(entry);
  place.hidden = false;
  place.replaceChildren("waiting …");
  try {
    const said = await ask("regions", entry.file);
    const picture = await createImageBitmap(entry.file).catch(() => null);
    place.replaceChildren();
    const boxes = entry.card.querySelector(".boxes");
    const drawn = said.regions.map((region) => box(boxes, region, said));
    const some = Math.min(TILES, Math.ceil(said.regions.length / 2));
    tiles(place, "Most informative", said.regions.slice(0, some), drawn, picture);
    tiles(place, "Least informative", said.regions.slice(-some),
      drawn.slice(-some), picture);
    text(place, "p", `${said.regions.length} random regions, w by the teacher over ` +
      "these classes: 1 is certain, 0 says nothing.", "soft");
  } catch (error) {
    place.replaceChildren(error.message);
  }
}

function hideRegions(entry) {
  entry.card.querySelector(".regions").hidden = true;
  entry.card.querySelector(".boxes").replaceChildren();
}

const colour = (weight) =>
  `color-mix(in srgb, var(--high) ${length(weight)}, var(--low))`;

function box(parent, region, size) {
  const node = text(parent, "div", "");
  node.style.top = length(region.top / size.height);
  node.style.left = length(region.left / size.width);
  node.style.height = length(region.height / size.height);
  node.style.width = length(region.width / size.width);
  node.style.borderColor = colour(region.weight);
  return node;
}

function tiles(place, title, regions, boxes, picture) {
  text(place, "h3", title);
  const list = text(place, "ol", "", "tiles");
  regions.forEach((region, n) => {
    const item = text(list, "li", ""), canvas = text(item, "canvas", "");
    canvas.width = canvas.height = 120;
    canvas.style.borderColor = colour(region.weight);
    if (picture) {
      const pen = canvas.getContext("2d");
      if (region.flip) pen.setTransform(-1, 0, 0, 1, 120, 0);
      pen.drawImage(picture, region.left, region.top, region.width, region.height,
        0, 0, 120, 120);
    }
    text(item, "div", `w ${region.weight.toFixed(2)}`);
    text(item, "div", `${region.label} ${percent(region.probability)}`);
    item.onpointerenter = () => boxes[n].classList.add("picked");
    item.onpointerleave = () => boxes[n].classList.remove("picked");
  });
}

async function begin() {
  about = await (await fetch("classes")).json();
  const shown = about.classes.slice(0, 12).join(", "), count = about.classes.length;
  at("about").textContent =
    `${count} classes: ${shown}${count > 12 ? `, and ${count - 12} more` : ""}`;
  at("limits").textContent = `up to ${about.limits.mebibytes} MiB and ` +
    `${about.limits.megapixels} million pixels each`;
  at("others").hidden = !about.takes_other_classes;
  at("no").hidden = !about.rejects;
  const slider = at("threshold"), start = about.reject_below;
  slider.min = Math.floor(Math.min(-Math.log(count), start ?? 0)) - 1;
  slider.max = Math.ceil(start ?? 0) + 1;
  slider.value = start ?? slider.min;
  if (start !== null) {
    at("chosen").append(` It starts at ${signed(start)}, which 95 % of the images that it was judged by reach.`);
  }
  slide();
}

at("files").onchange = (event) => { add(event.target.files); event.target.value = ""; };
at("threshold").oninput = slide;
at("others").onsubmit = (event) => {
  event.preventDefault();
  use(at("names").value.split("\n").map((name) => name.trim()).filter(Boolean));
};
at("own").onclick = () => { at("names").value = ""; use([]); };
addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
addEventListener("dragleave", () => at("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  add(event.dataTransfer.files);
});
addEventListener("paste", (event) => add(event.clipboardData.files));
begin().catch(() => {
  at("trouble").textContent = "The service does not answer. Is it still running?";
  at("trouble").hidden = false;
});
