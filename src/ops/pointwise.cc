// 1x1 convolution on plain (N, C, H, W) data: a matrix product per place.
//
// arcface_pointwise: inputs data (N, C, H, W), weight (F, C, 1, 1); output (N, F, H, W).
// float32.  Attribute: filters.
//
// The places of all images, N * H * W of them, are the columns of one matrix, so a 7x7 layer
// fills its tiles like a 56x56 one.  They are packed a slab at a time: see panels.h.

#include <omp.h>

#include "panels.h"
#include "tensors.h"

namespace arcface {
namespace {

constexpr int64_t SLAB = 64 << 10;         // floats: a quarter of a mebibyte, in the second cache
constexpr int64_t MOST_TILES = 8;          // of a slab
constexpr int64_t JOBS = 4;                // for each thread, at least, where there are so many
constexpr int64_t CHUNK = 64 * LANES;      // places at once in the gradient of the weights, at most
constexpr int64_t LEAST_CHUNK = 8 * LANES;
constexpr int64_t CHUNKS = 128 << 10;      // floats of both sides: half a mebibyte
constexpr int64_t FEW_PLACES = 4;          // for each channel: too few to share them
constexpr int64_t MOST_SUMS = 8 << 20;     // floats, 32 MiB

// f(n, p, done, run) for each image's share of the columns start .. start + count.
template <class F>
void for_runs(const Extent& e, int64_t start, int64_t count, const F& f) {
  for (int64_t done = 0; done < count;) {
    const int64_t p = (start + done) % e.inner, run = std::min(count - done, e.inner - p);
    f((start + done) / e.inner, p, done, run);
    done += run;
  }
}

// Panels of the columns start .. start + count of data (N, C, inner), C deep.
void pack_columns(const float* data, const Extent& e, int64_t start, int64_t count, float* to) {
  for_runs(e, start, count, [&](int64_t n, int64_t p, int64_t done, int64_t run) {
    for (int64_t c = 0; c < e.channels; ++c) {
      const float* from = data + (n * e.channels + c) * e.inner + p;
      for (int64_t i = 0, length; i < run; i += length) {
        const int64_t lane = (done + i) % LANES;
        length = std::min(run - i, LANES - lane);
        float* place = to + ((done + i - lane) * e.channels + c * LANES) + lane;
        store(place, length, load(from + i, length));
      }
    }
  });
}

// Panels of the lines first .. end of data (N, C, inner), `depth` apart, as deep as columns.
void pack_channels(const float* data, const Extent& e, int64_t start, int64_t count,
                   int64_t first, int64_t end, int64_t depth, float* to) {
  for_runs(e, start, count, [&](int64_t n, int64_t p, int64_t done, int64_t run) {
    for (int64_t c = first; c < end; c += LANES) {
      pack_lines(data + (n * e.channels + c) * e.inner + p, e.inner, end - c, run,
                 to + (c - first) * depth + done * LANES);
    }
  });
}

// One tile of the output (N, filters, inner): filters f ... and the columns start ... of it.
template <int V>
void multiply_tile(const float* matrix, int64_t f, int64_t filters, const float* slab,
                   const Extent& e, int64_t start, int64_t count, float* out) {
  vec sums[ROWS][V];
  multiply<V>(half_panel(matrix, f, e.channels), slab, e.channels * LANES, e.channels, sums);
  const int64_t rows = std::min<int64_t>(ROWS, filters - f);
  const int64_t n = start / e.inner, p = start % e.inner;
  if (count == V * LANES && p + count <= e.inner) {
    for (int64_t r = 0; r < rows; ++r) {
      float* to = out + (n * filters + f + r) * e.inner + p;
      for (int v = 0; v < V; ++v) store(to + v * LANES, LANES, sums[r][v]);
    }
    return;
  }
  for_runs(e, start, count, [&](int64_t n, int64_t p, int64_t done, int64_t run) {
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(reinterpret_cast<const float*>(sums[r]) + done, run,
                  out + (n * filters + f + r) * e.inner + p);
    }
  });
}

// out (N, filters, inner) = matrix (filters, C), packed, times data (N, C, inner).
void product(const float* matrix, int64_t filters, const float* data, const Extent& e,
             float* out) {
  const int64_t columns = e.batch * e.inner, threads = omp_get_max_threads();
  const int64_t tiles = std::clamp<int64_t>(SLAB / (e.channels * COLUMNS), 1, MOST_TILES);
  const int64_t shared = std::max<int64_t>(columns / (COLUMNS * JOBS * threads), 1);
  const int64_t width = std::min(tiles, shared) * COLUMNS;
  const int64_t slabs = ceil_div(columns, width);
  // Where slabs are few the threads share the filters as well.
  const int64_t groups = slabs < JOBS * threads ? threads : 1;
  const int64_t share = ceil_div(ceil_div(filters, ROWS), groups) * ROWS;
#pragma omp parallel
  {
    const Buffer slab = allocate(e.channels * width);
    std::fill_n(slab.get(), e.channels * width, 0.0f);
#pragma omp for schedule(dynamic)
    for (int64_t job = 0; job < slabs * groups; ++job) {
      const int64_t start = job / groups * width, end = std::min(start + width, columns);
      const int64_t low = job % groups * share, high = std::min(low + share, filters);
      pack_columns(data, e, start, end - start, slab.get());
      for (int64_t f = low; f < high; f += ROWS) {
        for (int64_t at = start; at < end; at += COLUMNS) {
          const int64_t count = std::min<int64_t>(COLUMNS, end - at);
          const auto run = count > 2 * LANES ? multiply_tile<3>
                           : count > LANES   ? multiply_tile<2>
                                             : multiply_tile<1>;
          run(matrix, f, filters, slab.get() + (at - start) * e.channels, e, at, count, out);
        }
      }
    }
  }
}

// sums (rows, pitch) += the rows of tall times those of wide, packed `depth` deep in panels of
// `chunk`.
template <int V>
void add_tile(const float* tall, const float* wide, int64_t chunk, int64_t depth, float* sums,
              int64_t pitch) {
  vec tile[ROWS][V];
  multiply<V>(tall, wide, chunk * LANES, depth, tile);
  for (int r = 0; r < ROWS; ++r) {
    for (int v = 0; v < V; ++v) {
      float* to = sums + r * pitch + v * LANES;
      store(to, LANES, load(to, LANES) + tile[r][v]);
    }
  }
}

struct Side {
  const float* data;
  Extent e;
};

// gradient (tall channels, wide channels) = sum over all places of tall times wide, at
// gradient[t * tall_step + w * wide_step].
void outer_sums(const Side& tall, const Side& wide, float* gradient, int64_t tall_step,
                int64_t wide_step) {
  const int64_t columns = tall.e.batch * tall.e.inner, threads = omp_get_max_threads();
  const int64_t rows = whole_vectors(tall.e.channels), pitch = whole_vectors(wide.e.channels);
  // Threads share the places, each with sums of its own, or the wide side.
  const bool share = columns >= FEW_PLACES * pitch && rows * pitch * threads <= MOST_SUMS;
  const int64_t parts = share ? threads : 1, groups = threads / parts;
  const int64_t slice = ceil_div(ceil_div(pitch, COLUMNS), groups) * COLUMNS;
  const int64_t fitting = std::clamp(CHUNKS / (rows + pitch) / LANES * LANES, LEAST_CHUNK, CHUNK);
  const int64_t chunk = std::min(fitting, whole_vectors(ceil_div(columns, parts)));
  const Buffer all = allocate(parts * rows * pitch);
  std::fill_n(all.get(), parts * rows * pitch, 0.0f);
#pragma omp parallel for schedule(static)
  for (int64_t worker = 0; worker < threads; ++worker) {
    const int64_t part = worker % parts, low = worker / parts * slice;
    const int64_t high = std::min(low + slice, wide.e.channels);
    float* sums = all.get() + part * rows * pitch;
    const Buffer left = allocate(rows * chunk), right = allocate(slice * chunk);
    for (int64_t start = part * chunk; start < columns && low < high; start += parts * chunk) {
      const int64_t count = std::min(chunk, columns - start);
      pack_channels(tall.data, tall.e, start, count, 0, tall.e.channels, chunk, left.get());
      pack_channels(wide.data, wide.e, start, count, low, high, chunk, right.get());
      for (int64_t w = low; w < high; w += COLUMNS) {
        const auto run = high - w > 2 * LANES ? add_tile<3>
                         : high - w > LANES   ? add_tile<2>
                                              : add_tile<1>;
        for (int64_t t = 0; t < tall.e.channels; t += ROWS) {
          run(half_panel(left.get(), t, chunk), right.get() + (w - low) * chunk, chunk, count,
              sums + t * pitch + w, pitch);
        }
      }
    }
  }
#pragma omp parallel for schedule(static)
  for (int64_t first = 0; first < wide.e.channels; first += LANES) {
    const int64_t end = std::min<int64_t>(first + LANES, wide.e.channels);
    for (int64_t t = 0; t < tall.e.channels; ++t) {
      for (int64_t w = first; w < end; ++w) {
        float total = 0;
        for (int64_t part = 0; part < parts; ++part) {
          total += all[(part * rows + t) * pitch + w];
        }
        gradient[t * tall_step + w * wide_step] = total;
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
  const float* weights = (*in)[1].data<float>();
  const int64_t filters = (*out)[0].shape[1];
  const Buffer matrix = allocate(whole_vectors(filters) * e.channels);
#pragma omp parallel for schedule(static)
  for (int64_t f = 0; f < filters; f += LANES) {
    pack_lines(weights + f * e.channels, e.channels, filters - f, e.channels,
               matrix.get() + f * e.channels);
  }
  product(matrix.get(), filters, (*in)[0].data<float>(), e, (*out)[0].data<float>());
  return MX_SUCCESS;
}

MXReturnValue backward(const Attrs&, Tensors* in, Tensors* out, const OpResource&) {
  const Extent up = extent((*in)[0].shape), e = extent((*in)[1].shape);
  const float *dy = (*in)[0].data<float>(), *x = (*in)[1].data<float>();
  const int64_t filters = up.channels, channels = e.channels;
  const Buffer matrix = allocate(whole_vectors(channels) * filters);
  std::fill_n(matrix.get(), whole_vectors(channels) * filters, 0.0f);
  pack_columns((*in)[2].data<float>(), {1, filters, channels}, 0, channels, matrix.get());
  product(matrix.get(), channels, dy, up, (*out)[0].data<float>());
  float* gradient = (*out)[1].data<float>();
  if (filters > channels) outer_sums({x, e}, {dy, up}, gradient, 1, channels);
  else outer_sums({dy, up}, {x, e}, gradient, channels, 1);
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
