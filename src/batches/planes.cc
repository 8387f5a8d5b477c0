// The last step of an image into a batch: its bytes become float32 planes, with the colours and the
// blanked square drawn for it.  Plain C interface, called by planes.py; it does what its class Plain
// does.

#include <algorithm>
#include <cstdint>

namespace {

constexpr int64_t kStripe = 48;  // bytes whose sums fill registers; a multiple of 3
constexpr int64_t kMost = 257;   // stripes whose sums 16 bits hold: 257 * 255

// The colours of a pixel become its own value times `own`, plus what its three channels share.
struct Colors {
  float own, red, green, blue, grey;
};

void add_up(const uint8_t* bytes, int64_t count, int64_t* sums) {
  int64_t at = 0;
  while (count - at >= kStripe) {
    uint16_t stripe[kStripe] = {};
    const int64_t end = at + std::min((count - at) / kStripe, kMost) * kStripe;
    for (; at < end; at += kStripe) {
      for (int64_t i = 0; i < kStripe; ++i) stripe[i] += bytes[at + i];
    }
    for (int64_t i = 0; i < kStripe; ++i) sums[i % 3] += stripe[i];
  }
  for (; at < count; ++at) sums[at % 3] += bytes[at];
}

void split(const uint8_t* __restrict pixel, int64_t count, float* __restrict red,
           float* __restrict green, float* __restrict blue) {
  for (int64_t x = 0; x < count; ++x) {
    red[x] = pixel[3 * x];
    green[x] = pixel[3 * x + 1];
    blue[x] = pixel[3 * x + 2];
  }
}

void recolor(const uint8_t* __restrict pixel, int64_t count, Colors colors, float* __restrict red,
             float* __restrict green, float* __restrict blue) {
  for (int64_t x = 0; x < count; ++x) {
    const float r = pixel[3 * x], g = pixel[3 * x + 1], b = pixel[3 * x + 2];
    const float shared = colors.red * r + colors.green * g + colors.blue * b + colors.grey;
    red[x] = colors.own * r + shared;
    green[x] = colors.own * g + shared;
    blue[x] = colors.own * b + shared;
  }
}

}  // namespace

extern "C" {

// image: RGB, rows of 3 * width bytes.  weights: of brightness, contrast and saturation, all 1 where
// the colours stay.  The square has 2 * half pixels around (y, x) and goes over the edge; half 0: none.
// out: three planes of height * width, one after the other.
void write_planes(const uint8_t* image, int64_t height, int64_t width, int64_t row_bytes,
                  const float* luma, double brightness, double contrast, double saturation,
                  int64_t y, int64_t x, int64_t half, float fill, float* out) {
  const int64_t size = height * width;
  const bool is_one_run = row_bytes == 3 * width;
  const int64_t runs = is_one_run ? 1 : height, run = is_one_run ? size : width;
  float *red = out, *green = out + size, *blue = out + 2 * size;
  if (brightness == 1 && contrast == 1 && saturation == 1) {
    for (int64_t i = 0; i < runs; ++i) {
      split(image + i * row_bytes, run, red + i * run, green + i * run, blue + i * run);
    }
  } else {
    int64_t sums[3] = {};
    for (int64_t i = 0; i < runs; ++i) add_up(image + i * row_bytes, 3 * run, sums);
    double mean = 0;
    for (int c = 0; c < 3; ++c) mean += luma[c] * (static_cast<double>(sums[c]) / size);
    // The 3x4 matrix of colors.jitter_matrix.
    const double scale = brightness * contrast, others = scale * (1 - saturation);
    const Colors colors{static_cast<float>(scale * saturation),
                        static_cast<float>(others * luma[0]), static_cast<float>(others * luma[1]),
                        static_cast<float>(others * luma[2]),
                        static_cast<float>(brightness * (1 - contrast) * mean)};
    for (int64_t i = 0; i < runs; ++i) {
      recolor(image + i * row_bytes, run, colors, red + i * run, green + i * run, blue + i * run);
    }
  }
  const int64_t left = std::max<int64_t>(x - half, 0), right = std::min(x + half, width);
  const int64_t top = std::max<int64_t>(y - half, 0), bottom = std::min(y + half, height);
  for (float* plane : {red, green, blue}) {
    for (int64_t row = top; row < bottom; ++row) {
      std::fill(plane + row * width + left, plane + row * width + right, fill);
    }
  }
}
}
