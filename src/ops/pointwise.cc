// 1x1 convolution on plain (N, C, H, W) data: a matrix product per place.
//
// arcface_pointwise: inputs data (N, C, H, W), weight (F, C, 1, 1); output (N, F, H, W).
// float32.  Attribute: filters.
//
// The places of all images, N * H * W of them, are the columns of one matrix, so a 7x7 layer
// fills its tiles like a 56x56 one.  Tiles are copied together ("packed") before they are
// multiplied, and products are held in registers, as in Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication", 2008.

#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "tensors.h"

namespace arcface {
namespace {

#ifdef __AVX512F__
constexpr int LANES = 16, ROWS = 8;
#else
constexpr int LANES = 8, ROWS = 4;
#endif
constexpr int VECTORS = 3;  // of a tile's columns
constexpr int COLUMNS = LANES * VECTORS;
constexpr int CHUNK = 64 * LANES;  // places at once in the gradient of the weights
constexpr int BLOCK = 4;           // rows and columns of a tile there

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float[], Free>;

Buffer allocate(int64_t floats) {
  const size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
  return Buffer(static_cast<float*>(std::aligned_alloc(64, std::max<size_t>(bytes, 64))));
}

// Copy columns [start, start + count) of data (N, C, inner), seen as (C, N * inner), to rows of
// `stride` floats.
void gather(const float* data, const Extent& e, int64_t start, int64_t count, int64_t stride,
            float* to) {
  for (int64_t done = 0; done < count;) {
    const int64_t n = (start + done) / e.inner, p = (start + done) % e.inner;
    const int64_t run = std::min(count - done, e.inner - p);
    const float* from = data + n * e.channels * e.inner + p;
    for (int64_t c = 0; c < e.channels; ++c) {
      std::copy_n(from + c * e.inner, run, to + c * stride + done);
    }
    done += run;
  }
}

// tile (ROWS, COLUMNS) = a (depth, ROWS), packed, times b (depth, COLUMNS).
void multiply(const float* a, const float* b, int64_t depth, float* tile) {
  vec sums[ROWS][VECTORS] = {};
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
    for (int v = 0; v < VECTORS; ++v) {
      *reinterpret_cast<vec*>(tile + r * COLUMNS + v * LANES) = sums[r][v];
    }
  }
}

// out (N, F, inner) = matrix (F, C) times in (N, C, inner); matrix[f, c] at f * row + c * column.
void product(const float* in, const Extent& e, const float* matrix, int64_t filters, int64_t row,
             int64_t column, float* out) {
  const int64_t columns = e.batch * e.inner, depth = e.channels;
  const int64_t panels = (filters + ROWS - 1) / ROWS;
  const Buffer packed = allocate(panels * ROWS * depth);
  for (int64_t f = 0; f < panels * ROWS; ++f) {
    float* to = packed.get() + f / ROWS * ROWS * depth + f % ROWS;
    for (int64_t k = 0; k < depth; ++k) {
      to[k * ROWS] = f < filters ? matrix[f * row + k * column] : 0;
    }
  }
#pragma omp parallel
  {
    const Buffer slice = allocate(depth * COLUMNS), tile = allocate(ROWS * COLUMNS);
    std::fill_n(slice.get(), depth * COLUMNS, 0.0f);
#pragma omp for schedule(static)
    for (int64_t start = 0; start < columns; start += COLUMNS) {
      const int64_t count = std::min<int64_t>(COLUMNS, columns - start);
      gather(in, e, start, count, COLUMNS, slice.get());
      for (int64_t panel = 0; panel < panels; ++panel) {
        multiply(packed.get() + panel * ROWS * depth, slice.get(), depth, tile.get());
        const int64_t first = panel * ROWS, rows = std::min<int64_t>(ROWS, filters - first);
        for (int64_t done = 0; done < count;) {
          const int64_t n = (start + done) / e.inner, p = (start + done) % e.inner;
          const int64_t run = std::min(count - done, e.inner - p);
          for (int64_t r = 0; r < rows; ++r) {
            std::copy_n(tile.get() + r * COLUMNS + done, run,
                        out + (n * filters + first + r) * e.inner + p);
          }
          done += run;
        }
      }
    }
  }
}

// sums[i][j] += a row i * b row j over `length` places, in LANES partial sums each.
void add_products(const float* a, const float* b, int64_t stride, int64_t length, float* sums,
                  int64_t sums_row) {
  vec total[BLOCK][BLOCK];
  for (int i = 0; i < BLOCK; ++i) {
    for (int j = 0; j < BLOCK; ++j) {
      total[i][j] = *reinterpret_cast<vec*>(sums + i * sums_row + j * LANES);
    }
  }
  for (int64_t p = 0; p < length; p += LANES) {
    vec left[BLOCK], right[BLOCK];
#pragma GCC unroll 4
    for (int i = 0; i < BLOCK; ++i) {
      left[i] = *reinterpret_cast<const vec*>(a + i * stride + p);
      right[i] = *reinterpret_cast<const vec*>(b + i * stride + p);
    }
#pragma GCC unroll 4
    for (int i = 0; i < BLOCK; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < BLOCK; ++j) total[i][j] += left[i] * right[j];
    }
  }
  for (int i = 0; i < BLOCK; ++i) {
    for (int j = 0; j < BLOCK; ++j) {
      *reinterpret_cast<vec*>(sums + i * sums_row + j * LANES) = total[i][j];
    }
  }
}

int64_t blocks(int64_t n) { return (n + BLOCK - 1) / BLOCK * BLOCK; }

// gradient (F, C) = sum over all places of dy (F, places) times x (C, places).
void weight_gradient(const float* dy, const Extent& out, const float* x, const Extent& in,
                     float* gradient) {
  const int64_t columns = in.batch * in.inner;
  const int64_t filters = blocks(out.channels), channels = blocks(in.channels);
  const int64_t size = filters * channels * LANES;
  const int threads = omp_get_max_threads();
  const Buffer all = allocate(threads * size);
  std::fill_n(all.get(), threads * size, 0.0f);
#pragma omp parallel num_threads(threads)
  {
    float* sums = all.get() + omp_get_thread_num() * size;
    // The rows are a little longer than a power of two, which would crowd few cache sets.
    const int64_t stride = CHUNK + LANES;
    const Buffer left = allocate(filters * stride), right = allocate(channels * stride);
    std::fill_n(left.get(), filters * stride, 0.0f);
    std::fill_n(right.get(), channels * stride, 0.0f);
#pragma omp for schedule(static)
    for (int64_t start = 0; start < columns; start += CHUNK) {
      const int64_t count = std::min<int64_t>(CHUNK, columns - start);
      const int64_t length = (count + LANES - 1) / LANES * LANES;
      gather(dy, out, start, count, stride, left.get());
      gather(x, in, start, count, stride, right.get());
      if (length > count) {  // the last places of all: zeros up to a whole vector
        for (int64_t f = 0; f < filters; ++f) {
          std::fill_n(left.get() + f * stride + count, length - count, 0.0f);
        }
        for (int64_t c = 0; c < channels; ++c) {
          std::fill_n(right.get() + c * stride + count, length - count, 0.0f);
        }
      }
      for (int64_t f = 0; f < filters; f += BLOCK) {
        for (int64_t c = 0; c < channels; c += BLOCK) {
          add_products(left.get() + f * stride, right.get() + c * stride, stride, length,
                       sums + (f * channels + c) * LANES, channels * LANES);
        }
      }
    }
#pragma omp for schedule(static)
    for (int64_t f = 0; f < out.channels; ++f) {
      for (int64_t c = 0; c < in.channels; ++c) {
        float total = 0;
        for (int t = 0; t < threads; ++t) {
          const float* part = all.get() + t * size + (f * channels + c) * LANES;
          for (int l = 0; l < LANES; ++l) total += part[l];
        }
        gradient[f * in.channels + c] = total;
      }
    }
  }
}

MXReturnValue parse_attrs(const Attrs&, int* num_inputs, int* num_outputs) {
  *num_inputs = 2;
  *num_outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attrs& attrs, Shapes* in, Shapes* out) {
  Shape data = (*in)[0];
  if (data.size() != 4) {
    MX_ERROR_MSG << "arcface_pointwise: data (N, C, H, W) expected";
    return MX_FAIL;
  }
  const auto filters = static_cast<unsigned>(std::stoul(attrs.at("filters")));
  (*in)[1] = {filters, data[1], 1, 1};
  data[1] = filters;
  (*out)[0] = data;
  return MX_SUCCESS;
}

MXReturnValue forward(const Attrs&, Tensors* in, Tensors* out, const OpResource&) {
  const Extent e = extent((*in)[0].shape);
  product((*in)[0].data<float>(), e, (*in)[1].data<float>(), (*out)[0].shape[1], e.channels, 1,
          (*out)[0].data<float>());
  return MX_SUCCESS;
}

MXReturnValue backward(const Attrs&, Tensors* in, Tensors* out, const OpResource&) {
  const Extent up = extent((*in)[0].shape), e = extent((*in)[1].shape);
  const float* dy = (*in)[0].data<float>();
  product(dy, up, (*in)[2].data<float>(), e.channels, 1, e.channels, (*out)[0].data<float>());
  weight_gradient(dy, up, (*in)[1].data<float>(), e, (*out)[1].data<float>());
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(arcface_pointwise)
    .setForward(forward, "cpu")
    .setBackward(backward, "cpu")
    .setParseAttrs(parse_attrs)
    .setInferType(all_float32)
    .setInferShape(infer_shape);

}  // namespace arcface
