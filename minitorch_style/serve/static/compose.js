// Photo and painted picture as one, in linear light. serve/compose.py does the same for files.

const LINEAR = Float32Array.from({ length: 256 }, (_, byte) => {
  const value = byte / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
});
const STEPS = 16384;
const SRGB = Uint8ClampedArray.from({ length: STEPS + 1 }, (_, step) => {
  const light = step / STEPS;
  return 255 * (light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055);
});

const clip = (value) => (value < 0 ? 0 : value > 255 ? 255 : value);

// painted, photo: RGBA bytes; people: RGBA bytes of a grey mask. Writes into out.
export function compose(out, painted, photo, people, { strength, colors, region }) {
  const ofPhoto = colors === "photo";
  for (let i = 0; i < out.length; i += 4) {
    let share = strength;
    if (region !== "all") share *= region === "person" ? people[i] / 255 : 1 - people[i] / 255;
    let luma = 0;
    if (ofPhoto) {
      luma = 0.299 * (painted[i] - photo[i]) + 0.587 * (painted[i + 1] - photo[i + 1]) + 0.114 * (painted[i + 2] - photo[i + 2]);
    }
    for (let c = i; c < i + 3; c++) {
      const above = ofPhoto ? light(clip(photo[c] + luma)) : LINEAR[painted[c]];
      const below = LINEAR[photo[c]];
      out[c] = SRGB[Math.round((below + share * (above - below)) * STEPS)];
    }
    out[i + 3] = painted[i + 3];
  }
}

function light(value) {
  const low = Math.floor(value);
  return low >= 255 ? LINEAR[255] : LINEAR[low] + (value - low) * (LINEAR[low + 1] - LINEAR[low]);
}
