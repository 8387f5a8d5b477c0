// Matrices cut into panels of LANES lines, and the product of two.
//
// A matrix of so many lines and numbers in each, its depth, lies as (panels, depth, LANES), with
// zeros after the last line: a step of the product takes neighbours from both.  Products are
// held in registers, as in Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", 2008.
#pragma once

#include "vectors.h"

namespace arcface {

constexpr int ROWS = LANES / 2;  // of a tile: half a panel
constexpr int VECTORS = 3;       // of a tile's columns, at most: panels
constexpr int COLUMNS = LANES * VECTORS;

typedef int32_t picks __attribute__((vector_size(LANES * sizeof(int32_t))));

// Lane i is a[pick[i]], or where that is too large b[pick[i] - LANES].
inline vec shuffle(const vec& a, const vec& b, const picks& pick) {
#ifdef __clang__
  vec v;
  for (int i = 0; i < LANES; ++i) v[i] = pick[i] < LANES ? a[pick[i]] : b[pick[i] - LANES];
  return v;
#else
  return __builtin_shuffle(a, b, pick);
#endif
}

// Eklundh's transposition: blocks of 2, 4, 8 ... change places.
inline void transpose(vec (&rows)[LANES]) {
#pragma GCC unroll 4
  for (int step = 1; step < LANES; step *= 2) {
    picks low, high;
    for (int l = 0; l < LANES; ++l) {
      low[l] = l & step ? LANES + l - step : l;
      high[l] = l & step ? LANES + l : l + step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) {
      if (i & step) continue;
      const vec a = rows[i], b = rows[i + step];
      rows[i] = shuffle(a, b, low);
      rows[i + step] = shuffle(a, b, high);
    }
  }
}

// Put `depth` numbers of each of at most LANES lines, `pitch` floats apart, into a panel.
inline void pack_lines(const float* from, int64_t pitch, int64_t lines, int64_t depth, float* to) {
  int64_t k = 0;
  for (; k + LANES <= depth; k += LANES) {
    vec rows[LANES];
    for (int i = 0; i < LANES; ++i) rows[i] = load(from + i * pitch + k, i < lines ? LANES : 0);
    transpose(rows);
    for (int i = 0; i < LANES; ++i) store(to + (k + i) * LANES, LANES, rows[i]);
  }
  for (; k < depth; ++k) {
    for (int i = 0; i < LANES; ++i) to[k * LANES + i] = i < lines ? from[i * pitch + k] : 0;
  }
}

// sums (ROWS, V vectors) = half a panel, from a on, times V panels, b_next floats apart.
template <int V>
inline void multiply(const float* a, const float* b, int64_t b_next, int64_t depth,
                     vec (&sums)[ROWS][V]) {
  vec totals[ROWS][V] = {};
  for (int64_t k = 0; k < depth; ++k) {
    vec right[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) {
      right[v] = *reinterpret_cast<const vec*>(b + v * b_next + k * LANES);
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const float left = a[k * LANES + r];
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) totals[r][v] += left * right[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) sums[r][v] = totals[r][v];
  }
}

// The start of half a panel: line `row`, a multiple of ROWS, of a packed matrix.
inline const float* half_panel(const float* packed, int64_t row, int64_t depth) {
  return packed + row / LANES * depth * LANES + row % LANES;
}

}  // namespace arcface
