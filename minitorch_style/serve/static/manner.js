// The settings: the few that people need, the wall of paintings, and all others made from what the server describes.

import * as api from "./api.js";
import { t } from "./words.js";

const $ = (id) => document.getElementById(id);
const OWN = ["size", "strength", "stroke_size", "color", "preserve_color", "style_blend"];
const LADDER = [320, 512, 1024];
export const chosen = new Map(); // {painting id: share}, in the order in which they were chosen
export const own = new Map(); // {painting id: Blob}, sent from this browser
export let ladder = LADDER, ceiling = null, live = false;
let described = [];

export const checked = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;
function check(name, value) {
  const one = document.querySelector(`input[name="${name}"][value="${value}"]`);
  if (one) one.checked = true;
}

function element(tag, more = {}, ...children) {
  const made = Object.assign(document.createElement(tag), more);
  made.append(...children);
  return made;
}

export async function load() {
  const [told, paintings] = await Promise.all([api.get("/settings"), api.get("/paintings")]);
  described = told.settings.filter((one) => !OWN.includes(one.name));
  ceiling = told.ceiling;
  live = told.live;
  ladder = [...LADDER.filter((size) => size < told.ceiling.size), told.ceiling.size];
  for (const size of ladder) {
    const name = element("span", { textContent: size });
    if (size > 1024) { name.dataset.t = "print"; name.title = size; }
    $("sizes").append(element("label", {}, element("input", { type: "radio", name: "size", value: size, checked: size === Math.min(512, ladder.at(-1)) }), name));
  }
  for (const one of described) $("settings").append(field(one));
  for (const painting of paintings) hang(painting, `/paintings/${painting.id}`);
  const button = element("button", { type: "button", className: "own", id: "own" });
  button.dataset.t = "own_painting";
  button.addEventListener("click", () => $("own-painting").click());
  $("wall").prepend(button);
}

function hang(painting, source, first = false) {
  const image = element("img", { src: source, alt: "", loading: "lazy", width: 104, height: 104 });
  const button = element("button", { type: "button", title: painting.title }, image);
  button.dataset.id = painting.id;
  button.setAttribute("aria-label", painting.about ? `${painting.title}. ${painting.about}` : painting.title);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => choose(painting.id, !chosen.has(painting.id)));
  button.about = painting;
  if (first) $("own").after(button);
  else $("wall").append(button);
}

export function hangOwn(id, file) {
  own.set(id, file);
  hang({ id, title: file.name || t("own_painting"), about: "" }, URL.createObjectURL(file), true);
  choose(id, true);
}

// A painting that had to be sent again has another id.
export function renamed(old, id) {
  own.set(id, own.get(old));
  own.delete(old);
  const shares = [...chosen].map(([one, share]) => [one === old ? id : one, share]);
  chosen.clear();
  for (const [one, share] of shares) chosen.set(one, share);
  $("wall").querySelector(`[data-id="${CSS.escape(old)}"]`).dataset.id = id;
}

export function choose(id, wanted) {
  const button = $("wall").querySelector(`[data-id="${CSS.escape(id)}"]`);
  if (!button) return;
  if (wanted) chosen.set(id, 50);
  else chosen.delete(id);
  button.setAttribute("aria-pressed", String(wanted));
  const { title, about } = button.about;
  $("about").textContent = wanted ? (about ? `${title}. ${about}` : title) : "";
  blends();
  document.dispatchEvent(new Event("chosen"));
}

function blends() {
  $("blends").replaceChildren();
  if (chosen.size < 2) return;
  for (const [id, share] of chosen) {
    const hung = $("wall").querySelector(`[data-id="${CSS.escape(id)}"]`);
    const out = element("output", { textContent: share });
    const input = element("input", { type: "range", min: 1, max: 100, value: share });
    input.setAttribute("aria-label", hung.about.title);
    input.addEventListener("input", () => { chosen.set(id, Number(input.value)); out.textContent = input.value; });
    $("blends").append(element("label", { className: "slide" }, element("img", { src: hung.firstChild.src, alt: "" }), input, out));
  }
}

function field(one) {
  const shown = one.default === null ? "" : Array.isArray(one.default) ? one.default.join(", ") : String(one.default);
  let input;
  if (one.kind === "flag") input = element("select", {}, ...["", "true", "false"].map((value) => element("option", { value, textContent: value || shown })));
  else if (one.choices.length) input = element("select", {}, element("option", { value: "", textContent: shown || "–" }), ...one.choices.filter((value) => value !== one.default).map((value) => element("option", { value, textContent: value })));
  else if (one.kind === "int" || one.kind === "float") {
    input = element("input", { type: "number", placeholder: shown, step: one.kind === "int" ? 1 : "any" });
    if (one.least !== null) input.min = one.least;
    if (one.most !== null) input.max = one.most;
  } else input = element("input", { type: "text", placeholder: shown });
  input.id = `set-${one.name}`;
  return element("label", {}, element("b", { textContent: one.name.replaceAll("_", " ") }), input, help(one));
}

// What a field means, in English as the server says it, in other languages from words.json.
function help(one) {
  const made = element("small", { textContent: "" });
  made.dataset.help = one.name;
  made.dataset.english = one.help.replace(/--([a-z-]+)/g, (_, name) => name.replaceAll("-", " "));
  return made;
}

function value(one, text) {
  if (one.kind === "flag") return /^true$/i.test(text);
  if (one.kind === "int" || one.kind === "float") return Number(text);
  const parts = text.replace(/[()'"]/g, "").split(",").map((part) => part.trim()).filter(Boolean);
  return one.kind === "names" ? parts : one.kind === "numbers" ? parts.map(Number) : text;
}

// {preset, settings} as they stand.
export function asked() {
  const settings = { size: Number(checked("size")), stroke_size: Math.round(100 * 2 ** ($("stroke_size").value / 10)) / 100 };
  if (!$("strength").disabled) settings.strength = $("strength").value / 100;
  const colors = checked("color");
  if (colors === "photo") settings.preserve_color = true;
  else settings.color = colors;
  for (const one of described) {
    const text = $(`set-${one.name}`).value.trim();
    if (text) settings[one.name] = value(one, text);
  }
  if (chosen.size > 1) settings.style_blend = [...chosen.values()];
  return { preset: checked("quality"), settings };
}

// Sets the page to settings, as numbers or as the texts inside a picture.
export function set({ preset = "default", settings = {}, paintings = [] }) {
  check("quality", preset);
  for (const one of described) {
    const given = settings[one.name];
    const text = given === undefined || given === null ? "" : String(given).replace(/^(True|False)$/, (word) => word.toLowerCase());
    $(`set-${one.name}`).value = text === String(one.default) ? "" : text;
  }
  const size = Number(settings.size ?? 512);
  check("size", ladder.find((step) => step >= size) ?? ladder.at(-1));
  $("stroke_size").value = Math.round(10 * Math.log2(Number(settings.stroke_size ?? 1)));
  $("strength").value = Math.round(100 * Number(settings.strength ?? 0.6));
  check("color", String(settings.preserve_color).toLowerCase() === "true" ? "photo" : (settings.color ?? "painting"));
  const shares = String(settings.style_blend ?? "").replace(/[()[\]]/g, "").split(",").filter(Boolean).map(Number);
  const there = paintings.filter((id) => $("wall").querySelector(`[data-id="${CSS.escape(id)}"]`));
  if (there.length) {
    for (const id of [...chosen.keys()]) choose(id, false);
    for (const id of there) choose(id, true);
    const largest = Math.max(...shares);
    there.forEach((id, place) => shares[place] && chosen.set(id, Math.max(1, Math.round((largest > 1 ? 1 : 100) * shares[place]))));
    blends();
  }
  preset_changed();
}

// Likeness is a setting of the default method alone.
export function preset_changed() {
  $("strength").disabled = checked("quality") === "instant";
}
for (const one of document.getElementsByName("quality")) one.addEventListener("change", preset_changed);
