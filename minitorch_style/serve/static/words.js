// The page's words, from words.json: t("step", 3, 10) → "Iteration 3 of 10".

const tables = await (await fetch("/static/words.json")).json();
const kept = localStorage.getItem("language");
let language = kept in tables ? kept : (navigator.language || "en").slice(0, 2) in tables ? navigator.language.slice(0, 2) : "en";

export const t = (key, ...values) =>
  (tables[language][key] ?? tables.en[key] ?? key).replace(/\{(\d)\}/g, (_, number) => values[number]);

export function speak(name = language) {
  language = name;
  localStorage.setItem("language", name);
  document.documentElement.lang = name;
  document.getElementById("language").value = name;
  for (const one of document.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
  for (const one of document.querySelectorAll("[data-help]")) one.textContent = tables[language].settings?.[one.dataset.help] ?? one.dataset.english;
  for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", t(one.dataset.label));
  for (const one of document.querySelectorAll("[data-alt]")) one.alt = t(one.dataset.alt);
}
