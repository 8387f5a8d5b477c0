// The last step of an image into a batch: its bytes become float32 planes, with the colours and the
// blanked square drawn for it.  Plain C interface, called by planes.py; it does what its class Plain
// does.

#include <algorithm>
#include <cstdint>

namespace {

struct Planes {
  float *red, *green, *blue;
};

// row_bytes: from one row of the image to the next.
void split(const uint8_t* image, int64_t height, int64_t width, int64_t row_bytes, Planes out) {
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* __restrict pixel = image + y * row_bytes;
    float* __restrict red = out.red + y * width;
    float* __restrict green = out.green + y * width;
    float* __restrict blue = out.blue + y * width;
    for (int64_t x = 0; x < width; ++x) {
      red[x] = pixel[3 * x];
      green[x] = pixel[3 * x + 1];
      blue[x] = pixel[3 * x + 2];
    }
  }
}

// Of whole numbers, so the order of the sum does not matter.
double mean_of(const float* plane, int64_t size) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += plane[i];
  return sum / static_cast<double>(size);
}

// The 3x4 matrix of colors.jitter_matrix: a pixel's own value, plus what all three channels share.
void recolor(Planes out, int64_t size, const float* luma, double brightness, double contrast,
             double saturation) {
  const double scale = brightness * contrast, others = scale * (1 - saturation);
  const double mean = luma[0] * mean_of(out.red, size) + luma[1] * mean_of(out.green, size) +
                      luma[2] * mean_of(out.blue, size);
  const float own = static_cast<float>(scale * saturation);
  const float grey = static_cast<float>(brightness * (1 - contrast) * mean);
  const float r = static_cast<float>(others * luma[0]), g = static_cast<float>(others * luma[1]),
              b = static_cast<float>(others * luma[2]);
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const float red = out.red[i], green = out.green[i], blue = out.blue[i];
    const float shared = r * red + g * green + b * blue + grey;
    out.red[i] = own * red + shared;
    out.green[i] = own * green + shared;
    out.blue[i] = own * blue + shared;
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
  const Planes planes{out, out + size, out + 2 * size};
  if (row_bytes == 3 * width) {
    split(image, 1, size, 0, planes);
  } else {
    split(image, height, width, row_bytes, planes);
  }
  if (brightness != 1 || contrast != 1 || saturation != 1) {
    recolor(planes, size, luma, brightness, contrast, saturation);
  }
  const int64_t left = std::max<int64_t>(x - half, 0), right = std::min(x + half, width);
  const int64_t top = std::max<int64_t>(y - half, 0), bottom = std::min(y + half, height);
  for (float* plane : {planes.red, planes.green, planes.blue}) {
    for (int64_t row = top; row < bottom; ++row) {
      std::fill(plane + row * width + left, plane + row * width + right, fill);
    }
  }
}
}
