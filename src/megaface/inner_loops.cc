// The inner loops of the search: scores against thresholds and against even steps, and exact
// distances.  Plain C interface, called by inner_loops.py; they do what its class Plain does, to the
// last bit.

#include <algorithm>
#include <cstdint>
#include <limits>

namespace {

constexpr int64_t kBlock = 128;  // scores, in the nearest cache while thresholds pass over them
constexpr int64_t kGroup = 64;   // scores whose steps fill one register of bytes,
constexpr int64_t kSpan = 1024;  // and those whose steps are counted at a time: < 256 groups
constexpr int64_t kAhead = 2;    // pairs whose rows are on the way to the second cache
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

// The step that a score has reached: thresholds are 1, 2, .. of it.
inline int32_t step_of(float score, float most) {
  const float above = score > 0 ? score : 0;
  return static_cast<int32_t>(above < most ? above : most);
}

// The squared difference of row elements, and sums of them in the order of numpy: halves down to
// kLeaf values, there in kLanes partial sums.
inline double square(const float* a, const float* b, int64_t j) {
  const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
  return difference * difference;
}

double pairwise_sum(const float* a, const float* b, int64_t n) {
  if (n > kLeaf) {
    const int64_t half = n / 2 - (n / 2) % kLanes;
    return pairwise_sum(a, b, half) + pairwise_sum(a + half, b + half, n - half);
  }
  double sum = 0;
  int64_t j = 0;
  if (n >= kLanes) {
    double lane[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) lane[i] = square(a, b, i);
    for (j = kLanes; j + kLanes <= n; j += kLanes)
      for (int64_t i = 0; i < kLanes; ++i) lane[i] += square(a, b, j + i);
    sum = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
  }
  for (; j < n; ++j) sum += square(a, b, j);
  return sum;
}

}  // namespace

// scores: (lines, n).  lower, upper: the thresholds of line i are start[i] .. start[i + 1], lower
// descending; another one is floor[i], numbered start[lines] + i.
// surely: by threshold, the scores at or above upper.  threshold, column: where a score lies at
// or above lower and below upper, or at or above the floor, the first `capacity` of them.  Returns
// how many there are.
extern "C" int64_t compare(const float* scores, int64_t lines, int64_t n, const int64_t* start,
                           const float* lower, const float* upper, const float* floor,
                           int64_t* surely, int64_t capacity, int64_t* threshold,
                           int64_t* column) {
  int64_t found = 0;
  const auto list = [&](int64_t number, int64_t at) {
    if (found < capacity) {
      threshold[found] = number;
      column[found] = at;
    }
    ++found;
  };
  for (int64_t k = 0; k < start[lines]; ++k) surely[k] = 0;
  for (int64_t line = 0; line < lines; ++line) {
    for (int64_t at = 0; at < n; at += kBlock) {
      const float* block = scores + line * n + at;
      const int64_t size = std::min(kBlock, n - at);
      const float top = highest(block, size);
      if (top >= floor[line]) {
        for (int64_t j = 0; j < size; ++j)
          if (block[j] >= floor[line]) list(start[lines] + line, at + j);
      }
      for (int64_t k = start[line + 1] - 1; k >= start[line] && top >= lower[k]; --k) {
        const Counts counts = count_at_least(block, size, lower[k], upper[k]);
        surely[k] += counts.upper;
        if (counts.lower == counts.upper) continue;
        for (int64_t j = 0; j < size; ++j)
          if (block[j] >= lower[k] && block[j] < upper[k]) list(k, at + j);
      }
    }
  }
  return found;
}

// scores: (lines, n).  A score has surely reached step k = 1 .. steps (at most 255) if
// score + down[line] >= k, and may have if score + up[line] >= k.  surely: by step, how many of all
// lines have.  line, step, column: those that may, the first `capacity`.  Returns how many those are.
extern "C" int64_t compare_with_steps(const float* scores, int64_t lines, int64_t n,
                                      const float* down, const float* up, int64_t steps,
                                      int64_t* surely, int64_t capacity, int64_t* line,
                                      int64_t* step, int64_t* column) {
  int64_t found = 0;
  const float most = static_cast<float>(steps);
  for (int64_t k = 0; k < steps; ++k) surely[k] = 0;
  for (int64_t i = 0; i < lines; ++i) {
    for (int64_t at = 0; at < n; at += kSpan) {
      const int64_t size = std::min(kSpan, n - at);
      uint8_t low[kSpan], top = 0;
      for (int64_t g = 0; g < size; g += kGroup) {
        const float* group = scores + i * n + at + g;
        float last[kGroup];
        if (size - g < kGroup) {
          std::fill(last, last + kGroup, -std::numeric_limits<float>::infinity());
          std::copy(group, group + size - g, last);
          group = last;
        }
        int32_t differs = 0;
        for (int64_t j = 0; j < kGroup; ++j) {
          const int32_t reached = step_of(group[j] + down[i], most);
          low[g + j] = static_cast<uint8_t>(reached);
          differs |= reached ^ step_of(group[j] + up[i], most);
        }
        for (int64_t j = 0; j < kGroup; ++j) top = std::max(top, low[g + j]);
        if (!differs) continue;
        for (int64_t j = 0; j < kGroup; ++j) {
          const int64_t high = step_of(group[j] + up[i], most);
          for (int64_t k = low[g + j] + 1; k <= high; ++k) {
            if (found < capacity) {
              line[found] = i;
              step[found] = k - 1;
              column[found] = at + g + j;
            }
            ++found;
          }
        }
      }
      const int64_t end = (size + kGroup - 1) / kGroup * kGroup;
      for (int64_t k = 0; k < top; ++k) {
        uint8_t lane[kGroup] = {};
        const uint8_t wanted = static_cast<uint8_t>(k + 1);
        for (int64_t g = 0; g < end; g += kGroup)
          for (int64_t j = 0; j < kGroup; ++j) lane[j] += low[g + j] >= wanted;
        int32_t sum = 0;
        for (int64_t j = 0; j < kGroup; ++j) sum += lane[j];
        surely[k] += sum;
      }
    }
  }
  return found;
}

// place: by value, the first of the limits that reaches it, `size` if none does.  Both ascend.
extern "C" void places(const double* limits, int64_t size, const double* values, int64_t count,
                       int64_t* place) {
  const double* at = limits;
  for (int64_t i = 0; i < count; ++i) {
    int64_t step = 16;
    while (limits + size - at > step && at[step] < values[i]) {
      at += step;
      step *= 2;
    }
    at = std::lower_bound(at, at + std::min(step + 1, limits + size - at), values[i]);
    place[i] = at - limits;
  }
}

// Squared distances of `count` pairs of rows, float64, as vectors.squared_distances gives them.
extern "C" void squared_distances(const float* left, const int64_t* left_row, const float* right,
                                  const int64_t* right_row, int64_t count, int64_t dim,
                                  double* distance) {
  for (int64_t pair = 0; pair < count; ++pair) {
    if (pair + kAhead < count) {
      const float* next = right + right_row[pair + kAhead] * dim;
      for (int64_t j = 0; j < dim; j += 16) __builtin_prefetch(next + j, 0, 2);
    }
    distance[pair] = pairwise_sum(left + left_row[pair] * dim, right + right_row[pair] * dim, dim);
  }
}
