// What was painted, kept in this browser alone (IndexedDB).

const MOST = 24;

let opened; // asked for at the first use: a browser may refuse it

const open = () => new Promise((resolve, reject) => {
  const asking = indexedDB.open("minitorch_style", 1);
  asking.onupgradeneeded = () => asking.result.createObjectStore("pictures", { keyPath: "when" });
  asking.onsuccess = () => resolve(asking.result);
  asking.onerror = () => reject(asking.error);
});

async function store(mode, act) {
  const database = await (opened ??= open());
  return new Promise((resolve, reject) => {
    const transaction = database.transaction("pictures", mode), asking = act(transaction.objectStore("pictures"));
    transaction.oncomplete = () => resolve(asking.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

export const all = async () => (await store("readonly", (pictures) => pictures.getAll())).reverse();
export const forget = () => store("readwrite", (pictures) => pictures.clear());

// picture: {when, job, result: Blob, photo: Blob, asked}
export async function keep(picture) {
  await store("readwrite", (pictures) => pictures.put(picture));
  for (const old of (await all()).slice(MOST)) await store("readwrite", (pictures) => pictures.delete(old.when));
}
