// Depthwise convolution on plain (N, C, H, W) data: one k x k kernel per channel.
//
// arcface_depthwise: inputs data (N, C, H, W), weight (C, 1, k, k); output (N, C, H', W').
// float32.  Attributes: kernel, stride, pad (one number each, for both directions).
//
// A plane is copied into a frame of zeros; then a tap of the kernel is a constant distance in
// memory, and all places of a plane are one long vector loop, whatever its width.  A stride is
// served by computing every place and keeping some: there are few such layers.

#include <algorithm>

#include "tensors.h"

namespace arcface {
namespace {

struct Plan {
  int64_t batch, channels, height, width, out_height, out_width, kernel, stride, pad;

  // Rows of a frame, its pitch, and floats to allocate: loops may run over the end of a row.
  int64_t rows() const { return height + 2 * pad; }
  int64_t pitch() const { return width + 2 * pad; }
  int64_t places() const { return (rows() - kernel + 1) * pitch(); }  // of stride 1
  int64_t size() const { return rows() * pitch() + kernel; }
};

Plan make_plan(const Attrs& attrs, const std::vector<int64_t>& data) {
  Plan p;
  p.kernel = std::stol(attrs.at("kernel"));
  p.stride = std::stol(attrs.at("stride"));
  p.pad = std::stol(attrs.at("pad"));
  p.batch = data[0], p.channels = data[1], p.height = data[2], p.width = data[3];
  p.out_height = (p.rows() - p.kernel) / p.stride + 1;
  p.out_width = (p.pitch() - p.kernel) / p.stride + 1;
  return p;
}

MXReturnValue parse_attrs(const Attrs&, int* num_inputs, int* num_outputs) {
  *num_inputs = 2;
  *num_outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attrs& attrs, Shapes* in, Shapes* out) {
  const Shape data = (*in)[0];
  if (data.size() != 4) {
    MX_ERROR_MSG << "arcface_depthwise: data (N, C, H, W) expected";
    return MX_FAIL;
  }
  const Plan p = make_plan(attrs, std::vector<int64_t>(data.begin(), data.end()));
  if (p.rows() < p.kernel || p.pitch() < p.kernel) {
    MX_ERROR_MSG << "arcface_depthwise: kernel " << p.kernel << " exceeds the padded input";
    return MX_FAIL;
  }
  const auto k = static_cast<unsigned>(p.kernel);
  (*in)[1] = {data[1], 1, k, k};
  (*out)[0] = {data[0], data[1], static_cast<unsigned>(p.out_height),
               static_cast<unsigned>(p.out_width)};
  return MX_SUCCESS;
}

void to_frame(const Plan& p, const float* plane, float* frame) {
  for (int64_t y = 0; y < p.height; ++y) {
    std::copy_n(plane + y * p.width, p.width, frame + (y + p.pad) * p.pitch() + p.pad);
  }
}

// K: the kernel's side if known when compiled, which lets its loops unroll; else 0.
template <int K>
void correlate(const Plan& p, const float* frame, const float* weight, float* places) {
  const int64_t k = K ? K : p.kernel, pitch = p.pitch(), n = p.places();
  if (K == 3) {
    const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3], w4 = weight[4],
                w5 = weight[5], w6 = weight[6], w7 = weight[7], w8 = weight[8];
    const float *top = frame, *middle = frame + pitch, *low = frame + 2 * pitch;
    for (int64_t i = 0; i < n; ++i) {
      places[i] = w0 * top[i] + w1 * top[i + 1] + w2 * top[i + 2] + w3 * middle[i] +
                  w4 * middle[i + 1] + w5 * middle[i + 2] + w6 * low[i] + w7 * low[i + 1] +
                  w8 * low[i + 2];
    }
    return;
  }
  std::fill_n(places, n, 0.0f);
  for (int64_t r = 0; r < k; ++r) {
    for (int64_t s = 0; s < k; ++s) {
      const float w = weight[r * k + s];
      const float* from = frame + r * pitch + s;
      for (int64_t i = 0; i < n; ++i) places[i] += w * from[i];
    }
  }
}

// The transpose of correlate: adds what each place of `frame` got from `places`, as a gather.
// `places` starts `margin` floats after a run of zeros, and zeros follow it.
template <int K>
void scatter(const Plan& p, const float* places, const float* weight, float* frame) {
  const int64_t k = K ? K : p.kernel, pitch = p.pitch(), n = p.rows() * pitch;
  if (K == 3) {
    const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3], w4 = weight[4],
                w5 = weight[5], w6 = weight[6], w7 = weight[7], w8 = weight[8];
    const float *top = places, *middle = places - pitch, *low = places - 2 * pitch;
    for (int64_t i = 0; i < n; ++i) {
      frame[i] = w0 * top[i] + w1 * top[i - 1] + w2 * top[i - 2] + w3 * middle[i] +
                 w4 * middle[i - 1] + w5 * middle[i - 2] + w6 * low[i] + w7 * low[i - 1] +
                 w8 * low[i - 2];
    }
    return;
  }
  std::fill_n(frame, n, 0.0f);
  for (int64_t r = 0; r < k; ++r) {
    for (int64_t s = 0; s < k; ++s) {
      const float w = weight[r * k + s];
      const float* from = places - r * pitch - s;
      for (int64_t i = 0; i < n; ++i) frame[i] += w * from[i];
    }
  }
}

template <int K>
void add_weight_gradient(const Plan& p, const float* frame, const float* places, float* gradient) {
  const int64_t k = K ? K : p.kernel, pitch = p.pitch(), n = p.places();
  if (K == 3) {
    const float *top = frame, *middle = frame + pitch, *low = frame + 2 * pitch;
    float g0 = 0, g1 = 0, g2 = 0, g3 = 0, g4 = 0, g5 = 0, g6 = 0, g7 = 0, g8 = 0;
#pragma omp simd reduction(+ : g0, g1, g2, g3, g4, g5, g6, g7, g8)
    for (int64_t i = 0; i < n; ++i) {
      const float d = places[i];
      g0 += d * top[i], g1 += d * top[i + 1], g2 += d * top[i + 2];
      g3 += d * middle[i], g4 += d * middle[i + 1], g5 += d * middle[i + 2];
      g6 += d * low[i], g7 += d * low[i + 1], g8 += d * low[i + 2];
    }
    const float all[9] = {g0, g1, g2, g3, g4, g5, g6, g7, g8};
    for (int i = 0; i < 9; ++i) gradient[i] += all[i];
    return;
  }
  for (int64_t r = 0; r < k; ++r) {
    for (int64_t s = 0; s < k; ++s) {
      const float* from = frame + r * pitch + s;
      float g = 0;
#pragma omp simd reduction(+ : g)
      for (int64_t i = 0; i < n; ++i) g += places[i] * from[i];
      gradient[r * k + s] += g;
    }
  }
}

template <int K>
void forward_planes(const Plan& p, const float* x, const float* weight, float* y) {
#pragma omp parallel
  {
    std::vector<float> frame(p.size()), places(p.places());
#pragma omp for schedule(static)
    for (int64_t plane = 0; plane < p.batch * p.channels; ++plane) {
      to_frame(p, x + plane * p.height * p.width, frame.data());
      correlate<K>(p, frame.data(), weight + plane % p.channels * p.kernel * p.kernel,
                   places.data());
      float* to = y + plane * p.out_height * p.out_width;
      for (int64_t row = 0; row < p.out_height; ++row) {
        const float* from = places.data() + row * p.stride * p.pitch();
        for (int64_t col = 0; col < p.out_width; ++col) *to++ = from[col * p.stride];
      }
    }
  }
}

template <int K>
void backward_planes(const Plan& p, const float* dy, const float* x, const float* weight,
                     float* dx, float* dweight) {
  const int64_t margin = (p.kernel - 1) * (p.pitch() + 1), taps = p.kernel * p.kernel;
#pragma omp parallel
  {
    std::vector<float> frame(p.size()), back(p.size());
    std::vector<float> framed(2 * margin + p.rows() * p.pitch());  // dy between zeros
    float* places = framed.data() + margin;
#pragma omp for schedule(static)
    for (int64_t c = 0; c < p.channels; ++c) {
      float* gradient = dweight + c * taps;
      std::fill_n(gradient, taps, 0.0f);
      for (int64_t n = 0; n < p.batch; ++n) {
        const int64_t plane = n * p.channels + c;
        to_frame(p, x + plane * p.height * p.width, frame.data());
        const float* from = dy + plane * p.out_height * p.out_width;
        for (int64_t row = 0; row < p.out_height; ++row) {
          float* to = places + row * p.stride * p.pitch();
          for (int64_t col = 0; col < p.out_width; ++col) to[col * p.stride] = *from++;
        }
        add_weight_gradient<K>(p, frame.data(), places, gradient);
        scatter<K>(p, places, weight + c * taps, back.data());
        float* to = dx + plane * p.height * p.width;
        for (int64_t row = 0; row < p.height; ++row) {
          std::copy_n(back.data() + (row + p.pad) * p.pitch() + p.pad, p.width, to + row * p.width);
        }
      }
    }
  }
}

MXReturnValue forward(const Attrs& attrs, Tensors* in, Tensors* out, const OpResource&) {
  const Plan p = make_plan(attrs, (*in)[0].shape);
  const auto run = p.kernel == 3 ? forward_planes<3> : forward_planes<0>;
  run(p, (*in)[0].data<float>(), (*in)[1].data<float>(), (*out)[0].data<float>());
  return MX_SUCCESS;
}

MXReturnValue backward(const Attrs& attrs, Tensors* in, Tensors* out, const OpResource&) {
  const Plan p = make_plan(attrs, (*in)[1].shape);
  const auto run = p.kernel == 3 ? backward_planes<3> : backward_planes<0>;
  run(p, (*in)[0].data<float>(), (*in)[1].data<float>(), (*in)[2].data<float>(),
      (*out)[0].data<float>(), (*out)[1].data<float>());
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(arcface_depthwise)
    .setForward(forward, "cpu")
    .setBackward(backward, "cpu")
    .setParseAttrs(parse_attrs)
    .setInferType(all_float32)
    .setInferShape(infer_shape);

}  // namespace arcface
