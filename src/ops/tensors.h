// What every operator of this folder shares: names, attributes and shapes.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "mxnet/lib_api.h"

namespace arcface {

using mxnet::ext::MXReturnValue;
using mxnet::ext::MXTensor;
using mxnet::ext::OpResource;
using mxnet::ext::MX_FAIL;
using mxnet::ext::MX_SUCCESS;
using Attrs = std::unordered_map<std::string, std::string>;
using Shape = std::vector<unsigned int>;
using Shapes = std::vector<Shape>;
using Tensors = std::vector<MXTensor>;

struct Extent {  // data (N, C, ...) seen as (batch, channels, inner)
  int64_t batch, channels, inner;
};

inline Extent extent(const std::vector<int64_t>& shape) {
  Extent e{shape[0], shape[1], 1};
  for (size_t i = 2; i < shape.size(); ++i) e.inner *= shape[i];
  return e;
}

// Every input and output is float32.
inline MXReturnValue all_float32(const Attrs&, std::vector<int>* in, std::vector<int>* out) {
  for (int type : *in) {
    if (type >= 0 && type != mxnet::ext::kFloat32) {
      MX_ERROR_MSG << "float32 expected, type code " << type;
      return MX_FAIL;
    }
  }
  in->assign(in->size(), mxnet::ext::kFloat32);
  out->assign(out->size(), mxnet::ext::kFloat32);
  return MX_SUCCESS;
}

// Every input and output is dense.  Auxiliary states come without a storage type.
inline MXReturnValue all_dense(const Attrs&, std::vector<int>* in, std::vector<int>* out) {
  in->assign(in->size(), mxnet::ext::kDefaultStorage);
  out->assign(out->size(), mxnet::ext::kDefaultStorage);
  return MX_SUCCESS;
}

}  // namespace arcface
