// Cosines as places on a line, and as text.

const SCALE = { low: -0.2, high: 1 }; // cosines shown; faces of different people are around 0

export const percent = (cosine) => {
  const share = (cosine - SCALE.low) / (SCALE.high - SCALE.low);
  return `${100 * Math.min(1, Math.max(0, share))}%`;
};

export const number = (value, digits) => value.toFixed(digits).replace("-", "\u2212");
