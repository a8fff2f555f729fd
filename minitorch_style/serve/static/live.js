// Live: frames of a camera or a video go to the server as JPEGs, painted ones come back. The next is sent when the last has
// come, and is then the newest.

const $ = (id) => document.getElementById(id);
const SIDE = 320, QUALITY = 0.85; // of what is sent
const taken = document.createElement("canvas");
const shown = $("live-shown");
let socket = null, started = 0;

export const running = () => socket !== null;
export const cameraThere = () => Boolean(navigator.mediaDevices?.getUserMedia); // which browsers hide from plain HTTP elsewhere

// Runs until `stop`, or until the server ends it; `told(frames a second)` about every second. Resolves with the server's
// sentence, if it had one. A file that is no video, or a camera that is refused, is an Error.
export async function start(source, painting, told) {
  const mine = ++started;
  const video = Object.assign(document.createElement("video"), { muted: true, loop: true, playsInline: true });
  const stream = source === "camera" ? await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: 640 } }) : null;
  const url = stream ? null : URL.createObjectURL(source);
  try {
    if (stream) video.srcObject = stream;
    else video.src = url;
    await video.play();
    return mine === started ? await converse(video, painting, told) : "";
  } finally {
    video.pause();
    stream?.getTracks().forEach((track) => track.stop());
    if (url) URL.revokeObjectURL(url);
  }
}

export function stop() {
  started += 1;
  socket?.close();
}

export function paint(id) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ painting: id }));
}

function converse(video, painting, told) {
  const address = new URL("/live", location);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.binaryType = "blob";
  const mine = socket;
  let count = 0, since = performance.now();
  mine.onopen = () => { paint(painting); send(mine, video); };
  mine.onmessage = async (message) => {
    send(mine, video);
    const picture = await createImageBitmap(message.data);
    [shown.width, shown.height] = [picture.width, picture.height];
    shown.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    shown.dataset.frames = Number(shown.dataset.frames ?? 0) + 1;
    count += 1;
    const seconds = (performance.now() - since) / 1000;
    if (seconds >= 1) { told(count / seconds); count = 0; since = performance.now(); }
  };
  return new Promise((resolve) => { mine.onclose = (event) => { socket = null; resolve(event.reason); }; });
}

function send(to, video) {
  const factor = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
  [taken.width, taken.height] = [Math.round(video.videoWidth * factor), Math.round(video.videoHeight * factor)];
  taken.getContext("2d").drawImage(video, 0, 0, taken.width, taken.height);
  taken.toBlob((frame) => { if (to.readyState === WebSocket.OPEN) to.send(frame); }, "image/jpeg", QUALITY);
}
