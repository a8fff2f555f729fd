// The page: what a person gives and chooses, the job that comes of it, and what is done with the result.

import * as api from "./api.js";
import * as kept from "./kept.js";
import * as live from "./live.js";
import * as manner from "./manner.js";
import { settingsIn } from "./metadata.js";
import * as viewer from "./viewer.js";
import { speak, t } from "./words.js";

const $ = (id) => document.getElementById(id);
let photo = null; // {file: Blob | null, id: string | null while the server has not been sent it, looks: Blob that the browser can show}
let gifts = 0; // of photos; only the last one counts
let job = null; // {id, asked, size, iterations, losses, following, result: Blob | null}
let previews = 0;
let session = Promise.resolve(); // the live one's end

function say(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

function guarded(act) {
  return async (...given) => {
    try {
      await act(...given);
    } catch (error) {
      say(error.status === 0 ? t("lost") : error.message);
      working(false);
    }
  };
}

// ---- the photo

const give = guarded(async (file) => {
  say("");
  const settings = await settingsIn(file);
  if (settings) {
    manner.set({ settings, paintings: (settings.paintings ?? "").split(",").filter(Boolean) });
    say(t("restored"));
    return;
  }
  const mine = ++gifts;
  live.stop();
  const [seen, sent] = await Promise.allSettled([viewer.showPicture(file), send(file)]);
  if (mine !== gifts) return; // another was given meanwhile
  $("play").hidden = true;
  if (sent.status === "rejected") { // its sentence tells why a file is no picture
    if (photo?.file) await viewer.showPicture(photo.looks);
    else if (!photo) $("empty").hidden = false, $("frame").hidden = true;
    throw sent.reason;
  }
  const { id, notes } = sent.value;
  $("notes").textContent = notes.join(" ");
  const looks = seen.status === "fulfilled" ? file : await api.blob(`/pictures/${id}`); // HEIC: no browser's, but the server's
  if (looks !== file) await viewer.showPicture(looks);
  photo = { file, id, looks };
  $("photo-again").hidden = false;
  ready();
});

async function send(file) {
  if (file.size > manner.ceiling.upload) throw new Error(t("too_large", manner.ceiling.upload / 1e6));
  $("easel").setAttribute("aria-busy", "true");
  try {
    return await api.upload(file);
  } finally {
    $("easel").removeAttribute("aria-busy");
  }
}

async function photoId(again = false) {
  if (again && !photo.file) throw new Error(t("gone"));
  if (again) photo.id = null;
  photo.id ??= (await send(photo.file)).id;
  return photo.id;
}

const images = (transfer) => [...(transfer?.files ?? [])].filter((file) => file.type.startsWith("image/") || /\.hei[cf]$/i.test(file.name));
for (const [button, input] of [["camera", "from-camera"], ["camera-again", "from-camera"], ["choose", "from-file"], ["choose-again", "from-file"]]) {
  $(button).addEventListener("click", () => $(input).click());
}
for (const id of ["from-camera", "from-file"]) {
  $(id).addEventListener("change", () => { if ($(id).files[0]) give($(id).files[0]); $(id).value = ""; });
}
document.addEventListener("paste", (event) => { const [file] = images(event.clipboardData); if (file) give(file); });
document.addEventListener("dragover", (event) => { event.preventDefault(); $("easel").classList.add("over"); });
for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => $("easel").classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); const [file] = images(event.dataTransfer); if (file) (event.target.closest("#wall") ? hang : give)(file); });

const hang = guarded(async (file) => manner.hangOwn((await send(file)).id, file));
$("own-painting").addEventListener("change", () => { if ($("own-painting").files[0]) hang($("own-painting").files[0]); $("own-painting").value = ""; });

// ---- the job

function ready() {
  $("paint").disabled = !photo || !manner.chosen.size || (job !== null && !job.over);
}
document.addEventListener("chosen", ready);

function working(going) {
  $("working").hidden = !going;
  $("go").hidden = going;
  ready();
}

async function begin(asked) {
  say("");
  live.stop();
  await session; // the server does one thing at a time
  $("play").hidden = true;
  $("state").textContent = t("sending");
  $("left").textContent = "";
  $("progress").removeAttribute("value");
  working(true);
  let answer;
  try {
    answer = await api.submit({ ...asked, photo: await photoId(), paintings: [...manner.chosen.keys()] });
  } catch (error) {
    if (error.status !== 410) throw error; // the server has forgotten: all is sent again
    for (const [id, file] of [...manner.own]) manner.renamed(id, (await api.upload(file)).id);
    answer = await api.submit({ ...asked, photo: await photoId(true), paintings: [...manner.chosen.keys()] });
  }
  open(answer.id, { ...asked, paintings: [...manner.chosen.keys()] });
}

$("controls").addEventListener("submit", (event) => { event.preventDefault(); guarded(begin)(manner.asked()); });

function open(id, asked) {
  job?.following?.close();
  localStorage.setItem("job", id);
  job = { id, asked, iterations: 0, losses: [], over: false, result: null };
  working(true);
  job.following = api.follow(id, guarded(heard), () => say(t("lost")), () => { say(t("gone")); job.over = true; working(false); });
}

async function heard(event) {
  if ($("message").textContent === t("lost")) say("");
  if (event.type === "waiting") $("state").textContent = t("place", event.place);
  if (event.type === "preparing") $("state").textContent = t(event.first ? "first" : "preparing");
  if (event.type === "compiling") compiling(event);
  if (event.type === "started") {
    job.iterations = event.iterations;
    $("notes").textContent = event.notes.join(" ");
    if (!photo?.file || $("frame").hidden) $("frame").hidden = false;
  }
  if (event.type === "iterated") iterated(event);
  if (["finished", "failed", "discarded"].includes(event.type)) {
    job.over = true;
    if (event.type !== "finished") localStorage.removeItem("job");
    if (event.type === "failed") say(event.sentence);
    if (event.type === "finished") await finished(event);
    working(false);
  }
}

function compiling({ done, count }) {
  $("state").textContent = t("compiling", done, count);
  $("progress").value = done / count;
}

function iterated(event) {
  $("state").textContent = t("step", event.iteration, job.iterations);
  $("left").textContent = t("seconds_left", Math.max(1, Math.round(event.seconds_left)));
  $("progress").value = event.iteration / Math.max(1, job.iterations);
  if (event.preview) viewer.showPreview(`/jobs/${job.id}/preview?n=${++previews}`);
  if (event.loss > 0) curve(event);
}

// The loss on a logarithmic scale. Each stage has a loss of its own; the curve is of the latest.
function curve(event) {
  if (job.losses.at(-1)?.stage !== event.stage) job.losses = [];
  job.losses.push({ stage: event.stage, x: event.iteration, y: Math.log(event.loss) });
  const ys = job.losses.map((one) => one.y), low = Math.min(...ys), high = Math.max(...ys);
  const points = job.losses.map((one) => `${(300 * one.x) / job.iterations},${3 + (54 * (high - one.y)) / (high - low || 1)}`);
  $("curve").firstElementChild.setAttribute("points", points.join(" "));
}

$("stop").addEventListener("click", guarded(() => api.stop(job.id)));
$("discard").addEventListener("click", guarded(async () => {
  job.following.close();
  localStorage.removeItem("job");
  job.over = true;
  await api.discard(job.id);
  if (photo?.file) await viewer.showPicture(photo.looks);
  working(false);
}));

// ---- the result

async function finished(event) {
  const at = `/jobs/${job.id}`;
  const [result, under, people] = await Promise.all([api.blob(`${at}/picture`), api.blob(`${at}/photo`), api.blob(`${at}/people`)]);
  job.result = result;
  job.people = event.people;
  await present(result, under, people, event.people);
  say("");
  $("state").textContent = t("finished", event.seconds);
  if (event.interrupted) say(t("kept", event.iterations));
  try {
    await kept.keep({ when: Date.now(), job: job.id, result, under, photo: photo?.file ?? under, asked: job.asked });
    await history();
  } catch (error) {
    say(t("full", error.message));
  }
}

async function present(result, under, people, found) {
  await viewer.showResult(result, under, people);
  for (const one of document.getElementsByName("play-region")) one.disabled = one.value !== "all" && !found;
  $("blend").value = 100;
  for (const id of ["play-colors", "play-region"]) $(id).querySelector("input").checked = true;
  $("larger").disabled = $("finer").disabled = !photo || job === null;
  if (job) $("larger").disabled ||= manner.ladder.indexOf(Number(job.asked.settings.size)) >= manner.ladder.length - 1;
  $("play").hidden = false;
  play();
}

const knobs = () => ({ strength: $("blend").value / 100, colors: manner.checked("play-colors"), region: manner.checked("play-region") });

function play() {
  viewer.draw(knobs());
  $("blend-out").textContent = `${$("blend").value} %`;
  const format = $("format").value;
  const asked = new URLSearchParams({ ...knobs(), format, settings: Number($("with-settings").checked) });
  if (job) $("download").href = `/jobs/${job.id}/picture?${asked}`;
  $("download").download = `minitorch-style.${format === "jpeg" ? "jpg" : format}`;
}
$("play").addEventListener("input", play);
$("download").addEventListener("click", guarded(async (event) => {
  if (job) return; // a link to the server, which makes the file
  event.preventDefault();
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await viewer.drawn(`image/${$("format").value}`)), download: $("download").download });
  link.click();
  URL.revokeObjectURL(link.href);
}));
$("zoom-in").addEventListener("click", () => viewer.zoomBy(1));
$("zoom-out").addEventListener("click", () => viewer.zoomBy(-1));

// Goes on from the picture that is there.
function goOn(settings) {
  return guarded(async () => {
    const asked = { ...job.asked, settings: { ...job.asked.settings, ...settings() }, from: job.id };
    manner.set(asked);
    await begin(asked);
  });
}
$("larger").addEventListener("click", goOn(() => ({ size: manner.ladder.find((size) => size > job.asked.settings.size) })));
$("finer").addEventListener("click", goOn(() => ({ stroke_size: Math.max(0.25, Math.round(70 * (job.asked.settings.stroke_size ?? 1)) / 100) })));

$("share").hidden = !navigator.canShare?.({ files: [new File([""], "a.png", { type: "image/png" })] });
$("share").addEventListener("click", guarded(async () => {
  const data = await api.blob($("download").href);
  await navigator.share({ files: [new File([data], $("download").download, { type: data.type })] }).catch((error) => {
    if (error.name !== "AbortError") throw error; // the person has thought better of it
  });
}));

// ---- live

async function goLive(source) {
  if (job && !job.over) throw new Error(t("live_busy"));
  const painting = [...manner.chosen.keys()].at(-1);
  if (!painting) throw new Error(t("live_painting"));
  live.stop();
  await session;
  say("");
  living(true);
  const rate = (each) => { $("live-state").textContent = t("live_rate", each.toFixed(each < 10 ? 1 : 0)); };
  const wrong = (error) => t(source === "camera" ? "no_camera" : "no_video", error.message);
  session = live.start(source, painting, rate).catch(wrong).then((sentence) => {
    living(false);
    if (sentence) say(sentence);
  });
}

function living(going) {
  if (going) {
    for (const id of ["empty", "frame", "zooms", "play"]) $(id).hidden = true;
    $("live-state").textContent = t("live_starting");
  } else if (!photo) $("empty").hidden = false;
  else {
    $("frame").hidden = false;
    $("play").hidden = $("zooms").hidden = $("result").hidden;
  }
  $("live-frame").hidden = $("living").hidden = !going;
  if (going) $("living").scrollIntoView({ block: "nearest" });
}

$("live-camera").addEventListener("click", guarded(() => goLive("camera")));
$("live-video").addEventListener("click", () => $("from-video").click());
$("from-video").addEventListener("change", guarded(async () => { const [file] = $("from-video").files; $("from-video").value = ""; if (file) await goLive(file); }));
$("live-stop").addEventListener("click", live.stop);
document.addEventListener("chosen", () => { if (live.running() && manner.chosen.size) live.paint([...manner.chosen.keys()].at(-1)); });

// ---- history

async function history() {
  const all = await kept.all();
  $("history-box").hidden = !all.length;
  $("history").replaceChildren(...all.map((one) => {
    const button = document.createElement("button"), image = document.createElement("img");
    button.type = "button";
    button.title = t("again");
    button.setAttribute("aria-label", `${new Date(one.when).toLocaleString()}: ${t("again")}`);
    image.src = URL.createObjectURL(one.result);
    image.alt = "";
    image.onload = () => URL.revokeObjectURL(image.src);
    button.append(image);
    button.addEventListener("click", guarded(() => again(one)));
    return button;
  }));
}

async function again(one) {
  if (job && !job.over) return;
  say("");
  gifts += 1;
  photo = { file: one.photo, id: null, looks: one.under };
  $("photo-again").hidden = false;
  manner.set(one.asked);
  const there = await api.get(`/jobs/${one.job}`).catch(() => null);
  job = there ? { id: one.job, asked: one.asked, iterations: 0, losses: [], over: true, result: one.result } : null;
  await present(one.result, one.under, null, false);
  ready();
}
$("forget").addEventListener("click", guarded(async () => { await kept.forget(); await history(); }));

// ---- the beginning

$("language").addEventListener("change", guarded(async () => { speak($("language").value); await history(); }));
if (location.search) window.history.replaceState(null, "", "/"); // the key is in a cookie now

await guarded(async () => {
  await manner.load();
  $("live-box").hidden = !manner.live;
  $("live-camera").hidden = !live.cameraThere();
  speak();
  await history().catch((error) => say(t("full", error.message)));
  const id = localStorage.getItem("job");
  const found = id && (await api.get(`/jobs/${id}`).catch(() => null));
  if (found) {
    photo = { file: null, id: found.asked.photo, looks: null };
    $("photo-again").hidden = false;
    $("empty").hidden = true;
    manner.set(found.asked);
    if (found.asked.preset === undefined) found.asked.preset = "default";
    open(id, found.asked);
  }
  ready();
  document.body.dataset.ready = "1";
})();
