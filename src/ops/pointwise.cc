// 1x1 convolution on plain (N, C, H, W) data: a matrix product per place.
//
// arcface_pointwise: inputs data (N, C, H, W), weight (F, C, 1, 1); output (N, F, H, W).
// float32.  Attribute: filters.
//
// Products of matrices: see product.h.

#include <omp.h>

#include "product.h"

namespace arcface {
namespace {

constexpr int CHUNK = 64 * LANES;  // places at once in the gradient of the weights
constexpr int64_t MOST_SUMS = 8 << 20;  // floats, 32 MiB
constexpr int BLOCK = 4;           // rows and columns of a tile there

// Copy of data (N, C, inner), seen as (C, N * inner), the rows first .. first + depth and the
// columns start .. start + count to rows of `stride` floats.
void gather(const float* data, const Extent& e, int64_t start, int64_t count, int64_t first,
            int64_t depth, int64_t stride, float* to) {
  for (int64_t done = 0; done < count;) {
    const int64_t n = (start + done) / e.inner, p = (start + done) % e.inner;
    const int64_t run = std::min(count - done, e.inner - p);
    const float* from = data + (n * e.channels + first) * e.inner + p;
    for (int64_t c = 0; c < depth; ++c) {
      std::copy_n(from + c * e.inner, run, to + c * stride + done);
    }
    done += run;
  }
}

struct Places {  // the columns of a 1x1 convolution
  const float* data;
  Extent e;

  void operator()(int64_t start, int64_t count, int64_t first, int64_t depth, float* to) const {
    gather(data, e, start, count, first, depth, COLUMNS, to);
  }
};

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
  // Threads share the places, each with sums of its own; or, where these would take too much
  // memory, the filters.
  const int64_t threads = omp_get_max_threads();
  const int64_t parts = size * threads <= MOST_SUMS ? threads : 1;
  const int64_t groups = threads / parts;
  const Buffer all = allocate(parts * size);
  std::fill_n(all.get(), parts * size, 0.0f);
  // Rows are a little longer than a power of two, which would crowd few cache sets.
  const int64_t stride = CHUNK + LANES;
#pragma omp parallel for schedule(static)
  for (int64_t worker = 0; worker < threads; ++worker) {
    const int64_t part = worker % parts, group = worker / parts;
    const int64_t low = filters / BLOCK * group / groups * BLOCK;
    const int64_t high = filters / BLOCK * (group + 1) / groups * BLOCK;
    float* sums = all.get() + part * size;
    const Buffer left = allocate(filters * stride), right = allocate(channels * stride);
    std::fill_n(left.get(), filters * stride, 0.0f);
    std::fill_n(right.get(), channels * stride, 0.0f);
    for (int64_t start = part * CHUNK; start < columns; start += parts * CHUNK) {
      const int64_t count = std::min<int64_t>(CHUNK, columns - start);
      const int64_t length = (count + LANES - 1) / LANES * LANES;
      gather(dy, out, start, count, 0, out.channels, stride, left.get());
      gather(x, in, start, count, 0, in.channels, stride, right.get());
      if (length > count) {  // the last places of all: zeros up to a whole vector
        for (int64_t f = 0; f < filters; ++f) {
          std::fill_n(left.get() + f * stride + count, length - count, 0.0f);
        }
        for (int64_t c = 0; c < channels; ++c) {
          std::fill_n(right.get() + c * stride + count, length - count, 0.0f);
        }
      }
      for (int64_t f = low; f < high; f += BLOCK) {
        for (int64_t c = 0; c < channels; c += BLOCK) {
          add_products(left.get() + f * stride, right.get() + c * stride, stride, length,
                       sums + (f * channels + c) * LANES, channels * LANES);
        }
      }
    }
  }
#pragma omp parallel for schedule(static)
  for (int64_t f = 0; f < out.channels; ++f) {
    for (int64_t c = 0; c < in.channels; ++c) {
      float total = 0;
      for (int64_t part = 0; part < parts; ++part) {
        const float* sums = all.get() + part * size + (f * channels + c) * LANES;
        for (int l = 0; l < LANES; ++l) total += sums[l];
      }
      gradient[f * in.channels + c] = total;
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
  const int64_t filters = (*out)[0].shape[1];
  const Matrix weights{(*in)[1].data<float>(), filters, e.channels, e.channels, 1};
  product(weights, e.batch * e.inner, e.inner, DEPTH, Places{(*in)[0].data<float>(), e},
          (*out)[0].data<float>());
  return MX_SUCCESS;
}

MXReturnValue backward(const Attrs&, Tensors* in, Tensors* out, const OpResource&) {
  const Extent up = extent((*in)[0].shape), e = extent((*in)[1].shape);
  const float *dy = (*in)[0].data<float>(), *x = (*in)[1].data<float>();
  const Matrix transposed{(*in)[2].data<float>(), e.channels, up.channels, 1, e.channels};
  product(transposed, e.batch * e.inner, e.inner, DEPTH, Places{dy, up}, (*out)[0].data<float>());
  weight_gradient(dy, up, x, e, (*out)[1].data<float>());
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
