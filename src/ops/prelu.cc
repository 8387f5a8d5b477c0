// PReLU for the CPU: y = x where x > 0, else slope[c] * x.
//
// Loaded by MXNet through its extension interface (lib_api.h).  Inputs: data (N, C, ...) or
// (N, C), slope (C,) or (1,).  float32 and float64.  Sums over the batch are taken in a fixed
// order, so the gradient does not depend on the number of threads.

#include "tensors.h"

namespace arcface {
namespace {

template <typename T>
void forward(const T* x, const T* slope, bool shared, const Extent e, T* y) {
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < e.batch * e.channels; ++row) {
    const T a = slope[shared ? 0 : row % e.channels];
    const T* from = x + row * e.inner;
    T* to = y + row * e.inner;
    for (int64_t i = 0; i < e.inner; ++i) to[i] = from[i] > T(0) ? from[i] : a * from[i];
  }
}

template <typename T>
void backward(const T* dy, const T* x, const T* slope, bool shared, const Extent e, T* dx,
              T* dslope) {
  std::vector<double> sums(e.batch * e.channels);  // one per row: no order to depend on
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < e.batch * e.channels; ++row) {
    const T a = slope[shared ? 0 : row % e.channels];
    const T* out = dy + row * e.inner;
    const T* from = x + row * e.inner;
    T* to = dx + row * e.inner;
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < e.inner; ++i) {
      const bool passes = from[i] > T(0);
      sum += passes ? T(0) : out[i] * from[i];
      to[i] = passes ? out[i] : a * out[i];
    }
    sums[row] = sum;
  }
  std::vector<double> total(shared ? 1 : e.channels);
  for (int64_t row = 0; row < e.batch * e.channels; ++row) {
    total[shared ? 0 : row % e.channels] += sums[row];
  }
  for (size_t c = 0; c < total.size(); ++c) dslope[c] = static_cast<T>(total[c]);
}

MXReturnValue parse_attrs(const Attrs&, int* num_inputs, int* num_outputs) {
  *num_inputs = 2;
  *num_outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue infer_type(const Attrs&, std::vector<int>* in, std::vector<int>* out) {
  const int type = (*in)[0] >= 0 ? (*in)[0] : (*in)[1];
  if (type >= 0 && type != mxnet::ext::kFloat32 && type != mxnet::ext::kFloat64) {
    MX_ERROR_MSG << "arcface_prelu: float32 or float64 expected, type code " << type;
    return MX_FAIL;
  }
  (*in)[0] = (*in)[1] = (*out)[0] = type;
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attrs&, Shapes* in, Shapes* out) {
  const auto& data = (*in)[0];
  auto& slope = (*in)[1];
  if (data.size() < 2) {
    MX_ERROR_MSG << "arcface_prelu: data (N, C, ...) expected, it has " << data.size()
                 << " dimensions";
    return MX_FAIL;
  }
  if (slope.size() != 1 || slope[0] != 1) slope = {data[1]};
  (*out)[0] = data;
  return MX_SUCCESS;
}

template <typename T>
void forward_tensors(Tensors& in, Tensors& out) {
  const Extent e = extent(in[0].shape);
  forward(in[0].data<T>(), in[1].data<T>(), in[1].size() != e.channels, e, out[0].data<T>());
}

template <typename T>  // in: dy, data, slope, y; out: gradients of data and slope
void backward_tensors(Tensors& in, Tensors& out) {
  const Extent e = extent(in[1].shape);
  backward(in[0].data<T>(), in[1].data<T>(), in[2].data<T>(), in[2].size() != e.channels, e,
           out[0].data<T>(), out[1].data<T>());
}

MXReturnValue compute_forward(const Attrs&, Tensors* in, Tensors* out,
                              const OpResource&) {
  const bool is_double = (*in)[0].dtype == mxnet::ext::kFloat64;
  (is_double ? forward_tensors<double> : forward_tensors<float>)(*in, *out);
  return MX_SUCCESS;
}

MXReturnValue compute_backward(const Attrs&, Tensors* in, Tensors* out,
                               const OpResource&) {
  const bool is_double = (*in)[0].dtype == mxnet::ext::kFloat64;
  (is_double ? backward_tensors<double> : backward_tensors<float>)(*in, *out);
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(arcface_prelu)
    .setForward(compute_forward, "cpu")
    .setBackward(compute_backward, "cpu")
    .setParseAttrs(parse_attrs)
    .setInferType(infer_type)
    .setInferShape(infer_shape);

}  // namespace arcface

// MXNet calls this once, when it loads the library.
mxnet::ext::MXReturnValue initialize(int version) {
  return version >= 10900 ? mxnet::ext::MX_SUCCESS : mxnet::ext::MX_FAIL;
}
