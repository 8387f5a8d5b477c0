// The two inner loops of the search: scores against thresholds, and exact distances.
// Plain C interface, called by inner_loops.py; both do what its class Plain does, to the last bit.

#include <cstdint>
#include <vector>

namespace {

constexpr int64_t kBlock = 128;  // scores, in the nearest cache while thresholds pass over them
constexpr int64_t kLanes = 8;    // numpy's partial sums,
constexpr int64_t kLeaf = 128;   // and the longest part that it sums without halving

float highest(const float* scores, int64_t n) {
  float top = scores[0];
#pragma omp simd reduction(max : top)
  for (int64_t j = 0; j < n; ++j) top = scores[j] > top ? scores[j] : top;
  return top;
}

struct Counts {
  int32_t lower = 0, upper = 0;
};

Counts count_at_least(const float* scores, int64_t n, float lower, float upper) {
  Counts counts;
  for (int64_t j = 0; j < n; ++j) {
    counts.lower += scores[j] >= lower;
    counts.upper += scores[j] >= upper;
  }
  return counts;
}

// Sums in the order of numpy: halves down to kLeaf values, there in kLanes partial sums.
double pairwise_sum(const double* values, int64_t n) {
  if (n > kLeaf) {
    const int64_t half = n / 2 - (n / 2) % kLanes;
    return pairwise_sum(values, half) + pairwise_sum(values + half, n - half);
  }
  double sum = 0;
  int64_t j = 0;
  if (n >= kLanes) {
    double lane[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) lane[i] = values[i];
    for (j = kLanes; j + kLanes <= n; j += kLanes)
      for (int64_t i = 0; i < kLanes; ++i) lane[i] += values[j + i];
    sum = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
  }
  for (; j < n; ++j) sum += values[j];
  return sum;
}

}  // namespace

// scores: (lines, n).  lower, upper: the thresholds of line i are start[i] .. start[i + 1].
// surely: by threshold, the scores at or above upper.  threshold, column: where a score lies at
// or above lower and below upper, the first `capacity` of them.  Returns how many there are.
extern "C" int64_t compare(const float* scores, int64_t lines, int64_t n, const int64_t* start,
                           const float* lower, const float* upper, int64_t* surely,
                           int64_t capacity, int64_t* threshold, int64_t* column) {
  int64_t found = 0;
  for (int64_t k = 0; k < start[lines]; ++k) surely[k] = 0;
  for (int64_t line = 0; line < lines; ++line) {
    for (int64_t at = 0; at < n; at += kBlock) {
      const float* block = scores + line * n + at;
      const int64_t size = n - at < kBlock ? n - at : kBlock;
      const float top = highest(block, size);
      for (int64_t k = start[line]; k < start[line + 1]; ++k) {
        if (!(top >= lower[k])) continue;
        const Counts counts = count_at_least(block, size, lower[k], upper[k]);
        surely[k] += counts.upper;
        if (counts.lower == counts.upper) continue;
        for (int64_t j = 0; j < size; ++j) {
          if (!(block[j] >= lower[k] && block[j] < upper[k])) continue;
          if (found < capacity) {
            threshold[found] = k;
            column[found] = at + j;
          }
          ++found;
        }
      }
    }
  }
  return found;
}

// Squared distances of `count` pairs of rows, float64, as vectors.squared_distances gives them.
extern "C" void squared_distances(const float* left, const int64_t* left_row, const float* right,
                                  const int64_t* right_row, int64_t count, int64_t dim,
                                  double* distance) {
  std::vector<double> squares(dim);
  for (int64_t pair = 0; pair < count; ++pair) {
    const float* a = left + left_row[pair] * dim;
    const float* b = right + right_row[pair] * dim;
    for (int64_t j = 0; j < dim; ++j) {
      const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
      squares[j] = difference * difference;
    }
    if (pair + 1 < count) {
      const float* next = right + right_row[pair + 1] * dim;
      for (int64_t j = 0; j < dim; j += 16) __builtin_prefetch(next + j);
    }
    distance[pair] = pairwise_sum(squares.data(), dim);
  }
}
