// BatchNorm, alone or with the PReLU or ReLU that follows it, in one pass over the data.
//
// arcface_batchnorm: inputs data (N, C, ...), gamma (C,), beta (C,), [slope (C,) or (1,)],
// moving mean (C,), moving variance (C,); outputs y like data, and what the gradient needs: mean
// (C,), 1 / standard deviation (C,).  float32.  Attributes: eps, momentum, act (none, relu, or
// prelu, which has a slope), training (1: statistics of this batch, and the moving ones are
// updated, in the forward pass; MXNet does that in the backward pass; 0: the moving ones).
//
// One thread takes one channel at a time, which a core's cache holds, so the data comes from
// memory once.  A channel's sums do not depend on the number of threads.

#include <cmath>

#include "tensors.h"

namespace arcface {
namespace {

struct Norm {  // z = scale * x + shift
  float mean, inverse, scale, shift;
};

// Sums of a row in eight parts, so that they vectorise without reordering at will.
double sum(const float* x, int64_t n) {
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t i = 0; i < n; ++i) total += x[i];
  return total;
}

double sum_squares(const float* x, int64_t n, float mean) {
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t i = 0; i < n; ++i) total += (x[i] - mean) * (x[i] - mean);
  return total;
}

struct Arguments {
  bool prelu, relu, training;
  float eps, momentum;

  explicit Arguments(const Attrs& attrs)
      : prelu(attrs.at("act") == "prelu"),
        relu(attrs.at("act") == "relu"),
        training(attrs.at("training") == "1"),
        eps(std::stof(attrs.at("eps"))),
        momentum(std::stof(attrs.at("momentum"))) {}
};

MXReturnValue parse_attrs(const Attrs& attrs, int* num_inputs, int* num_outputs) {
  *num_inputs = Arguments(attrs).prelu ? 6 : 5;
  *num_outputs = 3;
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attrs& attrs, Shapes* in, Shapes* out) {
  const Shape data = (*in)[0];
  if (data.size() < 2) {
    MX_ERROR_MSG << "arcface_batchnorm: data (N, C, ...) expected";
    return MX_FAIL;
  }
  const Shape channels = {data[1]};
  for (size_t i = 1; i < in->size(); ++i) {
    const bool shared = i == 3 && Arguments(attrs).prelu && (*in)[i] == Shape{1};  // slope
    if (!shared) (*in)[i] = channels;
  }
  *out = {data, channels, channels};
  return MX_SUCCESS;
}

MXReturnValue mutate_inputs(const Attrs& attrs, std::vector<int>* indices) {
  const int first = Arguments(attrs).prelu ? 4 : 3;
  *indices = {first, first + 1};
  return MX_SUCCESS;
}

MXReturnValue forward(const Attrs& attrs, Tensors* in, Tensors* out, const OpResource&) {
  const Arguments args(attrs);
  const Extent e = extent((*in)[0].shape);
  const float* x = (*in)[0].data<float>();
  const float* gamma = (*in)[1].data<float>();
  const float* beta = (*in)[2].data<float>();
  const float* slope = args.prelu ? (*in)[3].data<float>() : nullptr;
  const int64_t slopes = args.prelu ? (*in)[3].size() : 1;
  float* moving_mean = (*in)[args.prelu ? 4 : 3].data<float>();
  float* moving_var = (*in)[args.prelu ? 5 : 4].data<float>();
  float* y = (*out)[0].data<float>();
  const double count = double(e.batch) * e.inner;

#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < e.channels; ++c) {
    float mean = moving_mean[c], var = moving_var[c];
    if (args.training) {
      double total = 0, squares = 0;
      for (int64_t n = 0; n < e.batch; ++n) total += sum(x + (n * e.channels + c) * e.inner, e.inner);
      mean = float(total / count);
      for (int64_t n = 0; n < e.batch; ++n) {
        squares += sum_squares(x + (n * e.channels + c) * e.inner, e.inner, mean);
      }
      var = float(squares / count);
      moving_mean[c] = moving_mean[c] * args.momentum + mean * (1 - args.momentum);
      moving_var[c] = moving_var[c] * args.momentum + var * (1 - args.momentum);
    }
    const float inverse = 1 / std::sqrt(var + args.eps);
    (*out)[1].data<float>()[c] = mean;
    (*out)[2].data<float>()[c] = inverse;
    const float scale = gamma[c] * inverse, offset = beta[c];
    const float a = args.prelu ? slope[slopes == 1 ? 0 : c] : args.relu ? 0 : 1;
    for (int64_t n = 0; n < e.batch; ++n) {
      const float* from = x + (n * e.channels + c) * e.inner;
      float* to = y + (n * e.channels + c) * e.inner;
      for (int64_t i = 0; i < e.inner; ++i) {
        const float z = scale * (from[i] - mean) + offset;
        to[i] = z > 0 ? z : a * z;
      }
    }
  }
  return MX_SUCCESS;
}

// in: dy and the gradients of mean and 1/std (not used), the inputs, the outputs.
MXReturnValue backward(const Attrs& attrs, Tensors* in, Tensors* out, const OpResource&) {
  const Arguments args(attrs);
  const Extent e = extent((*in)[3].shape);
  const size_t inputs = args.prelu ? 6 : 5;
  const float* dy = (*in)[0].data<float>();
  const float* x = (*in)[3].data<float>();
  const float* gamma = (*in)[4].data<float>();
  const float* beta = (*in)[5].data<float>();
  const float* slope = args.prelu ? (*in)[6].data<float>() : nullptr;
  const int64_t slopes = args.prelu ? (*in)[6].size() : 1;
  const float* means = (*in)[3 + inputs + 1].data<float>();
  const float* inverses = (*in)[3 + inputs + 2].data<float>();
  float* dx = (*out)[0].data<float>();
  std::vector<float> dslope(e.channels);

#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < e.channels; ++c) {
    const float mean = means[c], inverse = inverses[c];
    const float scale = gamma[c] * inverse, offset = beta[c];
    const float a = args.prelu ? slope[slopes == 1 ? 0 : c] : args.relu ? 0 : 1;
    double total = 0, weighted = 0, negative = 0;  // sums of dz, dz * (x - mean), dy * min(z, 0)
    for (int64_t n = 0; n < e.batch; ++n) {
      const float* from = x + (n * e.channels + c) * e.inner;
      const float* up = dy + (n * e.channels + c) * e.inner;
      float t = 0, w = 0, s = 0;
#pragma omp simd reduction(+ : t, w, s)
      for (int64_t i = 0; i < e.inner; ++i) {
        const float centred = from[i] - mean;
        const float z = scale * centred + offset;
        const float dz = z > 0 ? up[i] : a * up[i];
        t += dz;
        w += dz * centred;
        s += z > 0 ? 0 : up[i] * z;
      }
      total += t, weighted += w, negative += s;
    }
    (*out)[1].data<float>()[c] = float(weighted * inverse);
    (*out)[2].data<float>()[c] = float(total);
    dslope[c] = float(negative);
    const double count = double(e.batch) * e.inner;
    // Without batch statistics mean and variance are constants.
    const float drift = args.training ? float(total / count) : 0;
    const float tilt = args.training ? float(weighted * inverse * inverse / count) : 0;
    for (int64_t n = 0; n < e.batch; ++n) {
      const float* from = x + (n * e.channels + c) * e.inner;
      const float* up = dy + (n * e.channels + c) * e.inner;
      float* to = dx + (n * e.channels + c) * e.inner;
      for (int64_t i = 0; i < e.inner; ++i) {
        const float centred = from[i] - mean;
        const float z = scale * centred + offset;
        const float dz = z > 0 ? up[i] : a * up[i];
        to[i] = scale * (dz - drift - centred * tilt);
      }
    }
  }
  if (args.prelu) {
    float* to = (*out)[3].data<float>();
    if (slopes == 1) to[0] = 0;
    for (int64_t c = 0; c < e.channels; ++c) {
      if (slopes == 1) to[0] += dslope[c];
      else to[c] = dslope[c];
    }
  }
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(arcface_batchnorm)
    .setForward(forward, "cpu")
    .setBackward(backward, "cpu")
    .setParseAttrs(parse_attrs)
    .setInferType(all_float32)
    .setInferSType(all_dense)
    .setInferShape(infer_shape)
    .setMutateInputs(mutate_inputs);

}  // namespace arcface
