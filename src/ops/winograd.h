// 3x3 convolution of stride 1 and padding 1 with a quarter of the multiplications.
//
// Winograd's F(4x4, 3x3): 4x4 places of the output come from 6x6 of the input.  Both these and
// the weights are transformed to 36 points; there the convolution is a product of matrices,
// (tiles, channels) times (channels, filters), at each point by itself.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308,
// section 4.3, interpolated at 0, 1, -1, 2, -2 and infinity.
#pragma once

#include "rows.h"

namespace arcface {

constexpr int TILE = 4, PATCH = TILE + 2, POINTS = PATCH * PATCH;
constexpr int64_t FEWEST_TILES = 64;     // in a round; the weights are read once per round
constexpr int64_t CACHE_FLOATS = 300000;  // of a core, for transformed tiles

// B^T times six vectors, in place.
inline void transform_input(vec* d, int64_t step) {
  const vec a0 = d[0], a1 = d[step], a2 = d[2 * step], a3 = d[3 * step], a4 = d[4 * step],
            a5 = d[5 * step];
  const vec even = a4 - 4.f * a2, odd = a3 - 4.f * a1, even2 = a4 - a2, odd2 = 2.f * (a3 - a1);
  d[0] = 4.f * a0 - 5.f * a2 + a4;
  d[step] = even + odd;
  d[2 * step] = even - odd;
  d[3 * step] = even2 + odd2;
  d[4 * step] = even2 - odd2;
  d[5 * step] = 4.f * a1 - 5.f * a3 + a5;
}

// A^T times six vectors: the first four become the result.
inline void transform_output(vec* m, int64_t step) {
  const vec m5 = m[5 * step];
  const vec sum = m[step] + m[2 * step], difference = m[step] - m[2 * step];
  const vec sum2 = m[3 * step] + m[4 * step], difference2 = m[3 * step] - m[4 * step];
  m[0] = m[0] + sum + sum2;
  m[step] = difference + 2.f * difference2;
  m[2 * step] = sum + 4.f * sum2;
  m[3 * step] = difference + 8.f * difference2 + m5;
}

// G g G^T, (6, 6), of a kernel g (3, 3).
inline void transform_kernel(const float* g, float* points) {
  constexpr float G[PATCH][3] = {{1 / 4.f, 0, 0},
                                 {-1 / 6.f, -1 / 6.f, -1 / 6.f},
                                 {-1 / 6.f, 1 / 6.f, -1 / 6.f},
                                 {1 / 24.f, 1 / 12.f, 1 / 6.f},
                                 {1 / 24.f, -1 / 12.f, 1 / 6.f},
                                 {0, 0, 1}};
  float half[PATCH][3];
  for (int i = 0; i < PATCH; ++i) {
    for (int j = 0; j < 3; ++j) half[i][j] = G[i][0] * g[j] + G[i][1] * g[3 + j] + G[i][2] * g[6 + j];
  }
  for (int i = 0; i < PATCH; ++i) {
    for (int j = 0; j < PATCH; ++j) {
      points[i * PATCH + j] = half[i][0] * G[j][0] + half[i][1] * G[j][1] + half[i][2] * G[j][2];
    }
  }
}

// Weights (filters, channels, 3, 3) as (points, panels, channels, FILTERS).
inline Buffer transform_weights(const float* weights, int64_t filters, int64_t channels) {
  const int64_t panels = ceil_div(filters, FILTERS), size = panels * channels * FILTERS;
  Buffer all = allocate(POINTS * size);
#pragma omp parallel for schedule(static)
  for (int64_t job = 0; job < panels * channels; ++job) {
    const int64_t panel = job / channels, c = job % channels;
    float points[FILTERS][POINTS] = {};
    for (int64_t f = 0; f < std::min<int64_t>(FILTERS, filters - panel * FILTERS); ++f) {
      transform_kernel(weights + ((panel * FILTERS + f) * channels + c) * 9, points[f]);
    }
    for (int point = 0; point < POINTS; ++point) {
      float* to = all.get() + point * size + job * FILTERS;
      for (int f = 0; f < FILTERS; ++f) to[f] = points[f][point];
    }
  }
  return all;
}

inline int64_t count_tiles(const Picture& in) {
  return in.batch * ceil_div(in.height, TILE) * ceil_div(in.width, TILE);
}

class Winograd {
 public:
  // weights: transformed.  The input is `in`; the output has its size and `filters` channels.
  Winograd(const Picture& in, int64_t filters, const float* weights, int threads)
      : in_(in), filters_(filters), panels_(ceil_div(filters, FILTERS)), weights_(weights) {
    depth_ = whole_vectors(in.channels);
    rows_ = ceil_div(in.height, TILE);
    columns_ = ceil_div(in.width, TILE);
    const int64_t tiles = count_tiles(in);
    const int64_t fitting = threads * CACHE_FLOATS / (POINTS * (depth_ + panels_ * FILTERS));
    const int64_t rounds = ceil_div(tiles, std::max(fitting, FEWEST_TILES));
    round_ = ceil_div(ceil_div(tiles, rounds), PLACES) * PLACES;
  }

  // Floats of the workspace that run() wants.
  int64_t workspace() const { return POINTS * round_ * (depth_ + panels_ * FILTERS); }

  void run(const float* data, const Around& around, float* workspace, float* out) {
    points_ = workspace;
    products_ = workspace + POINTS * round_ * depth_;
    const int64_t tiles = count_tiles(in_);
#pragma omp parallel
    for (int64_t first = 0; first < tiles; first += round_) {
      const int64_t count = std::min(round_, tiles - first);
#pragma omp for schedule(static)
      for (int64_t t = 0; t < count; ++t) scatter(data, around, first + t, t);
#pragma omp for schedule(static)
      for (int64_t job = 0; job < POINTS * panels_; ++job) multiply_point(job, count);
#pragma omp for schedule(static)
      for (int64_t t = 0; t < count; ++t) gather(around, first + t, t, out);
    }
  }

 private:
  struct Corner {  // of a tile's output
    int64_t n, y, x;
  };

  Corner corner(int64_t tile) const {
    const int64_t n = tile / (rows_ * columns_), place = tile % (rows_ * columns_);
    return {n, place / columns_ * TILE, place % columns_ * TILE};
  }

  // Transform a tile's input, to row t at every point.
  void scatter(const float* data, const Around& around, int64_t tile, int64_t t) {
    const Corner at = corner(tile);
    for (int64_t c = 0; c < in_.channels; c += LANES) {
      const int64_t count = in_.channels - c;
      const vec scale = load(around.scale_in + c, LANES), shift = load(around.shift_in + c, LANES);
      vec patch[POINTS];
      for (int i = 0; i < PATCH; ++i) {
        const int64_t y = at.y + i - 1;
        for (int j = 0; j < PATCH; ++j) {
          const int64_t x = at.x + j - 1;
          const bool inside = y >= 0 && y < in_.height && x >= 0 && x < in_.width;
          const float* from = data + ((at.n * in_.height + y) * in_.width + x) * in_.channels + c;
          patch[i * PATCH + j] = inside ? load(from, count) * scale + shift : vec{};
        }
      }
      for (int j = 0; j < PATCH; ++j) transform_input(patch + j, PATCH);
      for (int i = 0; i < PATCH; ++i) transform_input(patch + i * PATCH, 1);
      for (int point = 0; point < POINTS; ++point) {
        *reinterpret_cast<vec*>(points_ + (point * round_ + t) * depth_ + c) = patch[point];
      }
    }
  }

  void multiply_point(int64_t job, int64_t count) {
    const int64_t point = job / panels_, panel = job % panels_, pitch = panels_ * FILTERS;
    const float* weights = weights_ + job * in_.channels * FILTERS;
    for (int64_t t = 0; t < count; t += PLACES) {
      const float* tiles[PLACES];
      for (int64_t p = 0; p < PLACES; ++p) {
        tiles[p] = points_ + (point * round_ + std::min(t + p, count - 1)) * depth_;
      }
      multiply_rows(tiles, weights, in_.channels, false,
                    products_ + (point * round_ + t) * pitch + panel * FILTERS, pitch);
    }
  }

  // Transform row t of the products back, and write the tile's output.
  void gather(const Around& around, int64_t tile, int64_t t, float* out) const {
    const Corner at = corner(tile);
    const int64_t height = std::min<int64_t>(TILE, in_.height - at.y);
    const int64_t width = std::min<int64_t>(TILE, in_.width - at.x);
    for (int64_t f = 0; f < filters_; f += LANES) {
      vec patch[POINTS];
      for (int point = 0; point < POINTS; ++point) {
        patch[point] = *reinterpret_cast<const vec*>(
            products_ + (point * round_ + t) * panels_ * FILTERS + f);
      }
      for (int j = 0; j < PATCH; ++j) transform_output(patch + j, PATCH);
      for (int i = 0; i < TILE; ++i) transform_output(patch + i * PATCH, 1);
      for (int64_t i = 0; i < height; ++i) {
        for (int64_t j = 0; j < width; ++j) {
          const int64_t place = (at.n * in_.height + at.y + i) * in_.width + at.x + j;
          finish(patch[i * PATCH + j], around, f, filters_, place, out);
        }
      }
    }
  }

  Picture in_;
  int64_t filters_, panels_, depth_, rows_, columns_, round_;
  const float* weights_;
  float *points_ = nullptr, *products_ = nullptr;
};

}  // namespace arcface
