// Convolution of (N, H, W, C) data with what surrounds it in a residual unit, for inference.
//
// arcface_convolution: sum + PReLU(BatchNorm(convolution(BatchNorm(data)) + bias)), all but the
// convolution if asked for.  Zeros are padded after the first BatchNorm.  float32.
// Inputs: data (N, H, W, C), weight (F, C, k, k), [bias (F,)], [before: gamma, beta, moving mean,
// moving variance (C,)], [after: the same (F,)], [slope (F,) or (1,)], [sum (N, H', W', F)];
// output (N, H', W', F).  Attributes: filters, kernel, stride, pad (one number each, for both
// directions); bias, before, after, prelu, sum (0 or 1); eps_before, eps_after; fixed (1: the
// weights of the first pass stay, so they are packed once).

#include <omp.h>

#include <cmath>

#include "direct.h"
#include "tensors.h"
#include "winograd.h"

namespace arcface {
namespace {

// Winograd's transforms, and its weights of four times the size, pay with so many.
constexpr int64_t FEWEST_CHANNELS = 16, FEWEST_TILES_OF_ALL = 32;

constexpr int64_t MOST_FRAME = 8 << 20;  // floats, 32 MiB

bool is_winograd(const Kernel& kernel, const Picture& in) {
  return kernel.size == 3 && kernel.stride == 1 && kernel.pad == 1 &&
         in.channels >= FEWEST_CHANNELS && count_tiles(in) >= FEWEST_TILES_OF_ALL;
}

struct Arguments {
  unsigned filters;
  Kernel kernel;
  bool bias, before, after, prelu, sum, fixed;
  float eps_before, eps_after;

  explicit Arguments(const Attrs& attrs)
      : filters(std::stoul(attrs.at("filters"))),
        kernel{std::stol(attrs.at("kernel")), std::stol(attrs.at("stride")),
               std::stol(attrs.at("pad"))},
        bias(attrs.at("bias") == "1"),
        before(attrs.at("before") == "1"),
        after(attrs.at("after") == "1"),
        prelu(attrs.at("prelu") == "1"),
        sum(attrs.at("sum") == "1"),
        fixed(attrs.at("fixed") == "1"),
        eps_before(std::stof(attrs.at("eps_before"))),
        eps_after(std::stof(attrs.at("eps_after"))) {}

  // Places among the inputs.
  int first_before() const { return 2 + bias; }
  int first_after() const { return first_before() + 4 * before; }
  int slope() const { return first_after() + 4 * after; }
  int count() const { return slope() + prelu + sum; }
};

// A value for each channel, zeros up to whole vectors.
std::vector<float> filled(int64_t count, float value) {
  std::vector<float> all(whole_vectors(count), 0.0f);
  std::fill_n(all.begin(), count, value);
  return all;
}

// Memory that all operators share: new pages for each would take as long as the loops over them.
float* workspace(const OpResource& resource, int64_t floats) {
  constexpr size_t LINE = 64;
  void* memory = resource.alloc_cpu(floats * sizeof(float) + LINE);
  size_t size = floats * sizeof(float) + LINE;
  return static_cast<float*>(std::align(LINE, floats * sizeof(float), memory, size));
}

struct Line {  // scale * x + shift per channel
  std::vector<float> scale, shift;

  explicit Line(int64_t channels) : scale(filled(channels, 1)), shift(filled(channels, 0)) {}

  // The BatchNorm whose gamma is tensors[first] comes after it.
  void norm(Tensors& tensors, int first, float eps) {
    const float *gamma = tensors[first].data<float>(), *beta = tensors[first + 1].data<float>(),
                *mean = tensors[first + 2].data<float>(), *var = tensors[first + 3].data<float>();
    for (int64_t c = 0; c < tensors[first].size(); ++c) {
      const float factor = gamma[c] / std::sqrt(var[c] + eps);
      scale[c] *= factor;
      shift[c] = (shift[c] - mean[c]) * factor + beta[c];
    }
  }
};

class Block : public mxnet::ext::CustomStatefulOp {
 public:
  explicit Block(const Arguments& args) : args_(args) { ignore_warn = true; }

  MXReturnValue Forward(Tensors* inputs, Tensors* outputs, const OpResource& resource) override {
    Tensors& in = *inputs;
    const auto& shape = in[0].shape;
    const Picture picture{shape[0], shape[1], shape[2], shape[3]};
    Line before(picture.channels), after(args_.filters);
    if (args_.before) before.norm(in, args_.first_before(), args_.eps_before);
    if (args_.bias) std::copy_n(in[2].data<float>(), args_.filters, after.shift.begin());
    if (args_.after) after.norm(in, args_.first_after(), args_.eps_after);
    std::vector<float> slope = filled(args_.filters, 1);
    if (args_.prelu) {
      const bool shared = in[args_.slope()].size() == 1;
      const float* from = in[args_.slope()].data<float>();
      for (unsigned f = 0; f < args_.filters; ++f) slope[f] = from[shared ? 0 : f];
    }
    const Around around{before.scale.data(), before.shift.data(), after.scale.data(),
                        after.shift.data(),  slope.data(),
                        args_.sum ? in[args_.count() - 1].data<float>() : nullptr};
    const float *data = in[0].data<float>(), *weights = in[1].data<float>();
    float* out = (*outputs)[0].data<float>();
    const int64_t filters = args_.filters;
    if (is_winograd(args_.kernel, picture)) {
      if (!weights_) weights_ = transform_weights(weights, filters, picture.channels);
      Winograd winograd(picture, filters, weights_.get(), omp_get_max_threads());
      winograd.run(data, around, workspace(resource, winograd.workspace()), out);
    } else {
      if (!weights_) weights_ = pack_weights(weights, filters, picture.channels, args_.kernel.size);
      convolve_in_parts(data, picture, around, resource, out);
    }
    if (!args_.fixed) weights_.reset();
    return MX_SUCCESS;
  }

 private:
  // So many images at once that their frame stays small.
  void convolve_in_parts(const float* data, const Picture& picture, Around around,
                         const OpResource& resource, float* out) {
    Picture part = picture;
    part.batch = 1;
    const int64_t input = picture.height * picture.width * picture.channels;
    const int64_t frame = frame_size(part, args_.kernel.pad);
    const int64_t output =
        args_.kernel.out(picture.height) * args_.kernel.out(picture.width) * args_.filters;
    const int64_t images = std::clamp<int64_t>(MOST_FRAME / frame, 1, picture.batch);
    float* space = workspace(resource, images * frame);
    for (int64_t first = 0; first < picture.batch; first += images) {
      part.batch = std::min(images, picture.batch - first);
      convolve(data + first * input, part, args_.kernel, args_.filters, weights_.get(), around,
               space, out + first * output);
      if (around.sum) around.sum += images * output;
    }
  }

  Arguments args_;
  Buffer weights_;  // packed or transformed
};

MXReturnValue create(const Attrs& attrs, const mxnet::ext::MXContext&, const Shapes&,
                     const std::vector<int>, mxnet::ext::CustomStatefulOp** op) {
  *op = mxnet::ext::CustomStatefulOp::create<Block>(Arguments(attrs));
  return MX_SUCCESS;
}

MXReturnValue parse_attrs(const Attrs& attrs, int* num_inputs, int* num_outputs) {
  *num_inputs = Arguments(attrs).count();
  *num_outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue infer_shape(const Attrs& attrs, Shapes* in, Shapes* out) {
  const Arguments args(attrs);
  Shape data = (*in)[0];
  if (data.size() != 4) {
    MX_ERROR_MSG << "arcface_convolution: data (N, H, W, C) expected";
    return MX_FAIL;
  }
  const unsigned channels = data[3];
  const auto size = static_cast<unsigned>(args.kernel.size);
  for (int axis : {1, 2}) {
    if (data[axis] + 2 * args.kernel.pad < size) {
      MX_ERROR_MSG << "arcface_convolution: kernel " << size << " exceeds the padded input";
      return MX_FAIL;
    }
    data[axis] = static_cast<unsigned>(args.kernel.out(data[axis]));
  }
  data[3] = args.filters;
  (*in)[1] = {args.filters, channels, size, size};
  for (int i = 2; i < args.count(); ++i) {
    const bool before = i >= args.first_before() && i < args.first_after();
    const bool shared = i == args.slope() && (*in)[i].size() == 1 && (*in)[i][0] == 1;
    if (!shared) (*in)[i] = {before ? channels : args.filters};
  }
  if (args.sum) in->back() = data;
  (*out)[0] = data;
  return MX_SUCCESS;
}

// The moving statistics, so that they stay auxiliary states.
MXReturnValue mutate_inputs(const Attrs& attrs, std::vector<int>* indices) {
  const Arguments args(attrs);
  indices->clear();
  if (args.before) *indices = {args.first_before() + 2, args.first_before() + 3};
  if (args.after) {
    indices->push_back(args.first_after() + 2);
    indices->push_back(args.first_after() + 3);
  }
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(arcface_convolution)
    .setCreateOpState(create, "cpu")
    .setParseAttrs(parse_attrs)
    .setInferType(all_float32)
    .setInferSType(all_dense)
    .setInferShape(infer_shape)
    .setMutateInputs(mutate_inputs);

}  // namespace arcface
