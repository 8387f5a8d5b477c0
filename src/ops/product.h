// A matrix times the columns that a convolution sees, tile by tile.
//
// The places of all images, N * H * W of them, are the columns of one matrix, so a 7x7 layer
// fills its tiles like a 56x56 one.  Tiles are copied together ("packed") before they are
// multiplied, and products are held in registers, as in Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication", 2008.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "tensors.h"

namespace arcface {

#ifdef __AVX512F__
constexpr int LANES = 16, ROWS = 8;
#else
constexpr int LANES = 8, ROWS = 4;
#endif
constexpr int VECTORS = 3;  // of a tile's columns
constexpr int COLUMNS = LANES * VECTORS;
constexpr int64_t DEPTH = 128;  // multiplied at once: DEPTH x COLUMNS stay in the first cache

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float[], Free>;

inline Buffer allocate(int64_t floats) {
  const size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
  return Buffer(static_cast<float*>(std::aligned_alloc(64, std::max<size_t>(bytes, 64))));
}

// tile (ROWS, COLUMNS) = [tile +] a (depth, ROWS), packed, times b (depth, COLUMNS).
inline void multiply(const float* a, const float* b, int64_t depth, bool add, float* tile) {
  vec sums[ROWS][VECTORS] = {};
  vec* whole = reinterpret_cast<vec*>(tile);
  if (add) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < VECTORS; ++v) sums[r][v] = whole[r * VECTORS + v];
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    const vec* row = reinterpret_cast<const vec*>(b + k * COLUMNS);
    const vec b0 = row[0], b1 = row[1], b2 = row[2];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const float factor = a[k * ROWS + r];
      sums[r][0] += factor * b0;
      sums[r][1] += factor * b1;
      sums[r][2] += factor * b2;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < VECTORS; ++v) whole[r * VECTORS + v] = sums[r][v];
  }
}

struct Matrix {  // element [f, k] at data[f * row + k * column]
  const float* data;
  int64_t filters, depth, row, column;
};

// out (N, filters, inner) = matrix times columns, N * inner of them.
//
// gather(start, count, first, depth, to) writes the rows first .. first + depth of the columns
// start .. start + count, each row COLUMNS floats after the one before.  step: how many rows it
// is asked for at once, at most.
template <class Gather>
void product(const Matrix& m, int64_t columns, int64_t inner, int64_t step, const Gather& gather,
             float* out) {
  const int64_t panels = (m.filters + ROWS - 1) / ROWS;
  const Buffer packed = allocate(panels * ROWS * m.depth);  // by panel, depth, row
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (int64_t panel = 0; panel < panels; ++panel) {
      float* to = packed.get() + panel * ROWS * m.depth;
      for (int64_t k = 0; k < m.depth; ++k) {
        for (int64_t r = 0; r < ROWS; ++r) {
          const int64_t f = panel * ROWS + r;
          *to++ = f < m.filters ? m.data[f * m.row + k * m.column] : 0;
        }
      }
    }
    const Buffer slice = allocate(step * COLUMNS), tiles = allocate(panels * ROWS * COLUMNS);
    std::fill_n(slice.get(), step * COLUMNS, 0.0f);
#pragma omp for schedule(dynamic, 4)
    for (int64_t start = 0; start < columns; start += COLUMNS) {
      const int64_t count = std::min<int64_t>(COLUMNS, columns - start);
      for (int64_t first = 0; first < m.depth; first += step) {
        const int64_t depth = std::min(step, m.depth - first);
        gather(start, count, first, depth, slice.get());
        for (int64_t panel = 0; panel < panels; ++panel) {
          multiply(packed.get() + (panel * m.depth + first) * ROWS, slice.get(), depth, first > 0,
                   tiles.get() + panel * ROWS * COLUMNS);
        }
      }
      for (int64_t done = 0; done < count;) {
        const int64_t n = (start + done) / inner, p = (start + done) % inner;
        const int64_t run = std::min(count - done, inner - p);
        for (int64_t f = 0; f < m.filters; ++f) {
          std::copy_n(tiles.get() + f * COLUMNS + done, run, out + (n * m.filters + f) * inner + p);
        }
        done += run;
      }
    }
  }
}

}  // namespace arcface
