// Convolution of any size and stride as it is defined, without copies of the kernel's windows.
//
// The input lies in a frame of zeros, channels last, so a row of the kernel's window is one run
// of memory, and a convolution is a product of matrices for each row of the kernel.
#pragma once

#include "rows.h"

namespace arcface {

constexpr int64_t CHUNK_PLACES = 64 * PLACES;  // of a thread's job

struct Kernel {
  int64_t size, stride, pad;

  int64_t out(int64_t in) const { return (in + 2 * pad - size) / stride + 1; }
};

// Weights (filters, channels, size, size) as (panels, size, size, channels, FILTERS).
inline Buffer pack_weights(const float* weights, int64_t filters, int64_t channels, int64_t size) {
  const int64_t panels = ceil_div(filters, FILTERS), taps = size * size;
  Buffer all = allocate(panels * taps * channels * FILTERS);
#pragma omp parallel for schedule(static)
  for (int64_t job = 0; job < panels * taps * channels; ++job) {
    const int64_t c = job % channels, tap = job / channels % taps, panel = job / channels / taps;
    for (int64_t i = 0; i < FILTERS; ++i) {
      const int64_t f = panel * FILTERS + i;
      all[job * FILTERS + i] = f < filters ? weights[(f * channels + c) * taps + tap] : 0;
    }
  }
  return all;
}

inline int64_t frame_size(const Picture& in, int64_t pad) {
  return in.batch * (in.height + 2 * pad) * (in.width + 2 * pad) * in.channels;
}

// Copy data, with scale_in and shift_in done, into a frame of `pad` zeros.
inline void copy_framed(const float* data, const Picture& in, int64_t pad, const Around& around,
                        float* frame) {
  const int64_t height = in.height + 2 * pad, width = (in.width + 2 * pad) * in.channels;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < in.batch * height; ++row) {
    const int64_t n = row / height, y = row % height - pad;
    float* to = frame + row * width;
    std::fill_n(to, width, 0.0f);
    if (y < 0 || y >= in.height) continue;
    const float* from = data + (n * in.height + y) * in.width * in.channels;
    to += pad * in.channels;
    for (int64_t x = 0; x < in.width; ++x, from += in.channels, to += in.channels) {
      for (int64_t c = 0; c < in.channels; ++c) {
        to[c] = from[c] * around.scale_in[c] + around.shift_in[c];
      }
    }
  }
}

// weights: packed.  frame: room for frame_size floats.  The output is (batch, out(height),
// out(width), filters).
inline void convolve(const float* data, const Picture& in, const Kernel& kernel, int64_t filters,
                     const float* weights, const Around& around, float* frame, float* out) {
  copy_framed(data, in, kernel.pad, around, frame);
  const int64_t height = in.height + 2 * kernel.pad;
  const int64_t width = (in.width + 2 * kernel.pad) * in.channels;
  const int64_t rows = kernel.out(in.height), columns = kernel.out(in.width);
  const int64_t places = in.batch * rows * columns, depth = kernel.size * in.channels;
  const int64_t panels = ceil_div(filters, FILTERS), chunks = ceil_div(places, CHUNK_PLACES);
#pragma omp parallel for schedule(dynamic)
  for (int64_t job = 0; job < panels * chunks; ++job) {
    const int64_t panel = job / chunks, first = job % chunks * CHUNK_PLACES;
    const int64_t end = std::min(first + CHUNK_PLACES, places);
    for (int64_t start = first; start < end; start += PLACES) {
      const float* windows[PLACES];
      for (int64_t p = 0; p < PLACES; ++p) {
        const int64_t place = std::min(start + p, places - 1);
        const int64_t n = place / (rows * columns);
        const int64_t y = place / columns % rows * kernel.stride;
        const int64_t x = place % columns * kernel.stride;
        windows[p] = frame + (n * height + y) * width + x * in.channels;
      }
      alignas(64) float sums[PLACES * FILTERS];
      for (int64_t i = 0; i < kernel.size; ++i) {
        multiply_rows(windows, weights + (panel * kernel.size + i) * depth * FILTERS, depth, i > 0,
                      sums, FILTERS);
        for (const float*& window : windows) window += width;
      }
      for (int64_t p = 0; p < std::min<int64_t>(PLACES, end - start); ++p) {
        for (int64_t v = 0; v < FILTERS && panel * FILTERS + v < filters; v += LANES) {
          finish(load(sums + p * FILTERS + v, LANES), around, panel * FILTERS + v, filters,
                 start + p, out);
        }
      }
    }
  }
}

}  // namespace arcface
