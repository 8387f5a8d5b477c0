// Rows of data, taken at PLACES places at once, times panels of filters held in registers.
//
// Data is (N, H, W, C): the channels of a place lie together and are one row of a matrix.  The
// weights are packed by panels of FILTERS filters, so a step of the depth is a few vectors of
// weights times one number of each place.
#pragma once

#include "vectors.h"

namespace arcface {

#ifdef __AVX512F__
constexpr int PANEL_VECTORS = 4;
#else
constexpr int PANEL_VECTORS = 2;
#endif
constexpr int PLACES = 4, FILTERS = LANES * PANEL_VECTORS;  // of a panel

struct Picture {  // data (batch, height, width, channels)
  int64_t batch, height, width, channels;
};

// What surrounds a convolution: scale_in * x + shift_in of its input, inside of the picture;
// scale * x + shift, PReLU and a sum of its output.  Per channel or filter, in whole vectors.
struct Around {
  const float *scale_in, *shift_in, *scale, *shift, *slope;
  const float* sum;  // like the output, or null
};

// Write the lanes f .. f + LANES of a place of the output, those below `filters`.
inline void finish(vec z, const Around& around, int64_t f, int64_t filters, int64_t place,
                   float* out) {
  const int64_t at = place * filters + f, count = filters - f;
  z = z * load(around.scale + f, LANES) + load(around.shift + f, LANES);
  z = z > 0.f ? z : z * load(around.slope + f, LANES);
  store(out + at, count, around.sum ? z + load(around.sum + at, count) : z);
}

// out (PLACES, FILTERS), rows `pitch` floats apart = [out +] the rows (PLACES, depth) that begin
// at x[0], x[1] ..., times a panel w (depth, FILTERS).
inline void multiply_rows(const float* const* x, const float* w, int64_t depth, bool add,
                          float* out, int64_t pitch) {
  const float* rows[PLACES];
  std::copy_n(x, PLACES, rows);
  vec sums[PLACES][PANEL_VECTORS] = {};
  if (add) {
    for (int p = 0; p < PLACES; ++p) {
      for (int v = 0; v < PANEL_VECTORS; ++v) {
        sums[p][v] = *reinterpret_cast<vec*>(out + p * pitch + v * LANES);
      }
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    vec weights[PANEL_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < PANEL_VECTORS; ++v) {
      weights[v] = *reinterpret_cast<const vec*>(w + k * FILTERS + v * LANES);
    }
#pragma GCC unroll 8
    for (int p = 0; p < PLACES; ++p) {
      const float factor = rows[p][k];
#pragma GCC unroll 4
      for (int v = 0; v < PANEL_VECTORS; ++v) sums[p][v] += factor * weights[v];
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < PLACES; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < PANEL_VECTORS; ++v) {
      *reinterpret_cast<vec*>(out + p * pitch + v * LANES) = sums[p][v];
    }
  }
}

}  // namespace arcface
