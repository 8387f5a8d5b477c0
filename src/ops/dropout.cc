// Dropout for training on the CPU: y = x / (1 - p) with probability 1 - p, else 0.
//
// MXNet draws one number of a Mersenne Twister for each value.  Here a hash of the value's place
// and of two numbers drawn from MXNet's generator decides, so mx.random.seed decides it all, and
// the gradient finds the same values again without a mask.  Attribute: p.  Input: data, any
// shape.  Outputs: data, and the two numbers as integers below 2^24.  float32.
// Hash: the finaliser of MurmurHash3 by Austin Appleby, in the public domain.

#include "tensors.h"

namespace arcface {
namespace {

struct Draw {
  uint32_t first, second;
};

inline bool keeps(uint32_t place, Draw draw, uint32_t dropped) {
  uint32_t h = place * 0x9E3779B9u + draw.first;
  h ^= h >> 16;
  h *= 0x85EBCA6Bu;
  h ^= draw.second;
  h ^= h >> 13;
  h *= 0xC2B2AE35u;
  h ^= h >> 16;
  return (h >> 8) >= dropped;  // dropped: p of 2^24
}

void apply(const float* from, int64_t size, Draw draw, float p, float* to) {
  const float scale = 1.0f / (1.0f - p);
  const uint32_t dropped = static_cast<uint32_t>(p * 16777216.0f);
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < size; ++i) {
    to[i] = keeps(static_cast<uint32_t>(i), draw, dropped) ? from[i] * scale : 0.0f;
  }
}

Draw draw_of(const float* numbers) {
  return {static_cast<uint32_t>(numbers[0]) << 8, static_cast<uint32_t>(numbers[1])};
}

MXReturnValue parse_attrs(const Attrs& attrs, int* num_inputs, int* num_outputs) {
  *num_inputs = 1;
  *num_outputs = 2;
  const float p = std::stof(attrs.at("p"));
  if (!(p >= 0 && p < 1)) {
    MX_ERROR_MSG << "arcface_dropout: p " << p << " is not in 0 .. 1";
    return MX_FAIL;
  }
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attrs&, Shapes* in, Shapes* out) {
  (*out)[0] = (*in)[0];
  (*out)[1] = {2};
  return MX_SUCCESS;
}

MXReturnValue forward(const Attrs& attrs, Tensors* in, Tensors* out, const OpResource& resource) {
  float* numbers = (*out)[1].data<float>();
  auto& generator = *resource.get_cpu_rand_states();
  for (int i = 0; i < 2; ++i) numbers[i] = static_cast<float>(generator() >> 8);
  apply((*in)[0].data<float>(), (*in)[0].size(), draw_of(numbers), std::stof(attrs.at("p")),
        (*out)[0].data<float>());
  return MX_SUCCESS;
}

// in: gradients of both outputs, data, both outputs; out: gradient of data
MXReturnValue backward(const Attrs& attrs, Tensors* in, Tensors* out, const OpResource&) {
  apply((*in)[0].data<float>(), (*in)[0].size(), draw_of((*in)[4].data<float>()),
        std::stof(attrs.at("p")), (*out)[0].data<float>());
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(arcface_dropout)
    .setForward(forward, "cpu")
    .setBackward(backward, "cpu")
    .setParseAttrs(parse_attrs)
    .setInferType(all_float32)
    .setInferSType(all_dense)
    .setInferShape(infer_shape);

}  // namespace arcface
