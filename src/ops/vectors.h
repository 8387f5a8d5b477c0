// Vectors of floats as wide as the processor's registers, and memory for them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace arcface {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float[], Free>;

inline Buffer allocate(int64_t floats) {
  const size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
  return Buffer(static_cast<float*>(std::aligned_alloc(64, std::max<size_t>(bytes, 64))));
}

inline int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }
inline int64_t whole_vectors(int64_t n) { return ceil_div(n, LANES) * LANES; }

inline vec load(const float* from, int64_t count) {  // the first `count` lanes, the others zero
  vec v = {};
  if (count >= LANES) std::memcpy(&v, from, sizeof v);
  else std::memcpy(&v, from, count * sizeof(float));
  return v;
}

inline void store(float* to, int64_t count, const vec& v) {
  if (count >= LANES) std::memcpy(to, &v, sizeof v);
  else std::memcpy(to, &v, count * sizeof(float));
}

}  // namespace arcface
