// The easel: the photo, previews, and the result with its before/after slider, knobs and zoom.

import { compose } from "./compose.js";

const $ = (id) => document.getElementById(id);
const shown = $("shown"), canvas = $("result"), before = $("before"), split = $("split"), divider = $("divider");
const ZOOMS = [1, 2, 3, 4, 6, 8];
let size = [1, 1], zoom = 1, layers = null, waiting = false, url = null, asked = 0;

function fit() {
  const frame = $("frame"), width = frame.clientWidth - 28;
  if (width <= 0) return;
  const height = Math.min(innerHeight * 0.72, 760) - 28;
  const factor = Math.min(width / size[0], height / size[1]);
  $("canvas-box").style.width = `${Math.floor(size[0] * factor * zoom)}px`;
  $("canvas-box").style.height = `${Math.floor(size[1] * factor * zoom)}px`;
  $("zoom").textContent = `${zoom}×`;
}
addEventListener("resize", fit);

export function zoomBy(steps) {
  const frame = $("frame"), old = zoom;
  zoom = ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, ZOOMS.indexOf(zoom) + steps))];
  const x = (frame.scrollLeft + frame.clientWidth / 2) / old, y = (frame.scrollTop + frame.clientHeight / 2) / old;
  fit();
  frame.scrollTo(x * zoom - frame.clientWidth / 2, y * zoom - frame.clientHeight / 2);
}

// A photo or preview; resolves when it is there, and not where a later one was asked for meanwhile.
export async function showPicture(source) {
  const next = typeof source === "string" ? source : URL.createObjectURL(source);
  const mine = ++asked;
  const image = new Image();
  image.src = next;
  try {
    await image.decode();
    if (mine !== asked) throw new Error("another picture was shown meanwhile");
  } catch (error) {
    if (typeof source !== "string") URL.revokeObjectURL(next);
    throw error;
  }
  if (url) URL.revokeObjectURL(url);
  url = typeof source === "string" ? null : next;
  layers = null;
  zoom = 1;
  size = [image.naturalWidth, image.naturalHeight];
  shown.src = next;
  $("empty").hidden = true;
  for (const one of [canvas, before, split, divider, $("zooms")]) one.hidden = true;
  shown.hidden = $("frame").hidden = false;
  fit();
}

export function showPreview(source) {
  shown.src = source;
}

async function pixels(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const own = new OffscreenCanvas(bitmap.width, bitmap.height), context = own.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

export async function showResult(result, photo, people) {
  const [painted, under, mask] = await Promise.all([pixels(result), pixels(photo), people ? pixels(people) : null]);
  layers = { painted, under, mask, out: new ImageData(painted.width, painted.height) };
  size = [canvas.width, canvas.height] = [painted.width, painted.height];
  before.src = URL.createObjectURL(photo);
  $("empty").hidden = shown.hidden = true;
  for (const one of [$("frame"), canvas, before, split, divider, $("zooms")]) one.hidden = false;
  zoom = 1;
  fit();
  moveSplit();
}

// Draws with {strength, colors, region} at the next frame.
export function draw(knobs) {
  if (!layers || waiting) { if (layers) layers.next = knobs; return; }
  waiting = true;
  layers.next = knobs;
  requestAnimationFrame(() => {
    waiting = false;
    if (!layers) return;
    compose(layers.out.data, layers.painted.data, layers.under.data, layers.mask?.data, layers.next);
    canvas.getContext("2d").putImageData(layers.out, 0, 0);
    canvas.dataset.drawn = JSON.stringify(layers.next);
  });
}

function moveSplit() {
  const part = split.value / 10;
  before.style.clipPath = `inset(0 ${100 - part}% 0 0)`;
  divider.style.left = `${part}%`;
}
split.addEventListener("input", moveSplit);

// The canvas as a file, for pictures that the server has forgotten.
export const drawn = (type) => new Promise((resolve) => canvas.toBlob(resolve, type, 0.95));
