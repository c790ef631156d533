// Batch norm in training mode with the activation after it, channels last, float32.
//
// Pixels are taken in lines of several, long enough for vectors whatever the number of channels;
// place j of a line belongs to channel j % C. Sums are of blocks that stay in the cache, in float,
// and of blocks in double: means first and deviations from them second, so that nothing cancels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace classifiers {

enum Activation { IDENTITY, RELU, RELU6 };

constexpr int64_t LINE = 256;          // numbers of a line, at least
constexpr int64_t BLOCK = 16 << 10;    // numbers of a block, about
constexpr int TOGETHER = 4;            // lines that are summed in registers

inline int64_t pixels_of_line(int64_t channels) { return (LINE + channels - 1) / channels; }

// Repeats numbers of channels over a line.
inline std::vector<float> widen(const float* numbers, int64_t channels) {
  std::vector<float> line(pixels_of_line(channels) * channels);
  for (size_t j = 0; j < line.size(); j++) line[j] = numbers[j % channels];
  return line;
}

// What batch norm makes of numbers x, scale * x + offset before the activation, as lines.
struct Lines {
  Lines(int64_t channels, const float* weight, const float* bias, const float* means,
        const float* inverse)
      : mean(widen(means, channels)), scale(mean.size()), offset(mean.size()) {
    for (size_t j = 0; j < mean.size(); j++) {
      scale[j] = weight[j % channels] * inverse[j % channels];
      offset[j] = bias[j % channels] - mean[j] * scale[j];
    }
  }

  std::vector<float> mean, scale, offset;
};

// Calls f(numbers, lines, length) for blocks of `size` numbers of pixels; the last block may be of
// one line that is shorter.
template <typename F>
void each_block(int64_t size, int64_t line, F f) {
  const int64_t most = std::max<int64_t>(BLOCK / line, 1);
  const int64_t lines = size / line;
  for (int64_t i = 0; i < lines; i += most) f(i * line, std::min(most, lines - i), line);
  if (size % line != 0) f(lines * line, int64_t(1), size % line);
}

// sums[j] = sum of term(n, j) over the numbers n of place j.
template <typename F>
void sum_lines(int64_t lines, int64_t length, float* sums, F term) {
  std::fill(sums, sums + length, 0.f);
  int64_t i = 0;
  for (; i + TOGETHER <= lines; i += TOGETHER) {
    const int64_t n = i * length;
#pragma omp simd
    for (int64_t j = 0; j < length; j++)
      sums[j] += (term(n + j, j) + term(n + length + j, j)) +
                 (term(n + 2 * length + j, j) + term(n + 3 * length + j, j));
  }
  for (; i < lines; i++) {
#pragma omp simd
    for (int64_t j = 0; j < length; j++) sums[j] += term(i * length + j, j);
  }
}

// ---- Statistics ----

// Mean and sum of squared deviations of `count` numbers.
struct Moments {
  double count = 0, mean = 0, squares = 0;

  void add(const Moments& more) {
    if (more.count == 0) return;
    const double total = count + more.count, delta = more.mean - mean;
    mean += delta * more.count / total;
    squares += more.squares + delta * delta * count * more.count / total;
    count = total;
  }
};

// Adds the pixels x, `size` numbers, to the moments of each channel.
inline void add_moments(const float* x, int64_t size, int64_t channels, Moments* moments) {
  const int64_t line = pixels_of_line(channels) * channels;
  std::vector<float> means(line), squares(line);
  std::vector<double> counts(line, 0), all_means(line, 0), all_squares(line, 0);
  each_block(size, line, [&](int64_t start, int64_t lines, int64_t length) {
    const float* from = x + start;
    float *mean = means.data(), *square = squares.data();
    sum_lines(lines, length, mean, [=](int64_t n, int64_t) { return from[n]; });
    const float share = 1.f / lines;
#pragma omp simd
    for (int64_t j = 0; j < length; j++) mean[j] *= share;
    sum_lines(lines, length, square, [=](int64_t n, int64_t j) {
      const float d = from[n] - mean[j];
      return d * d;
    });
    // All places of a line have seen equally many numbers before.
    const double before = counts[0], part = lines / (before + lines);
    double *all_mean = all_means.data(), *all_square = all_squares.data();
#pragma omp simd
    for (int64_t j = 0; j < length; j++) {
      const double delta = mean[j] - all_mean[j];
      all_mean[j] += delta * part;
      all_square[j] += square[j] + delta * delta * before * part;
    }
    for (int64_t j = 0; j < length; j++) counts[j] += lines;
  });
  for (int64_t j = 0; j < line; j++)
    moments[j % channels].add({counts[j], all_means[j], all_squares[j]});
}

// ---- Forward and gradients ----

// NaN stays NaN.
template <int ACT>
inline float bend(float v) {
  if (ACT != IDENTITY) v = v < 0 ? 0 : v;
  if (ACT == RELU6) v = v > 6 ? 6 : v;
  return v;
}

template <int ACT>
inline float pass(float dy, float v) {
  if (ACT == RELU) return v > 0 ? dy : 0;
  if (ACT == RELU6) return v > 0 && v < 6 ? dy : 0;
  return dy;
}

template <int ACT>
void normalise(const float* x, float* y, int64_t size, const Lines& lines) {
  const float *scale = lines.scale.data(), *offset = lines.offset.data();
  const int64_t line = lines.scale.size();
  for (int64_t start = 0; start < size; start += line) {
    const int64_t length = std::min(line, size - start);
#pragma omp simd
    for (int64_t j = 0; j < length; j++)
      y[start + j] = bend<ACT>(x[start + j] * scale[j] + offset[j]);
  }
}

// Adds to each channel the sums of g and of g * (x - mean), g being the gradient before `bend`.
template <int ACT>
void add_gradients(const float* dy, const float* x, int64_t size, int64_t channels,
                   const Lines& lines, double* sums, double* products) {
  const float *scale = lines.scale.data(), *offset = lines.offset.data();
  const float* mean = lines.mean.data();
  const int64_t line = lines.scale.size();
  std::vector<float> of_g(line), of_gx(line);
  std::vector<double> all_g(line, 0), all_gx(line, 0);
  each_block(size, line, [&](int64_t start, int64_t count, int64_t length) {
    float *g = of_g.data(), *gx = of_gx.data();
    std::fill(g, g + length, 0.f);
    std::fill(gx, gx + length, 0.f);
    for (int64_t i = 0; i < count; i++) {
      const float *a = x + start + i * length, *b = dy + start + i * length;
#pragma omp simd
      for (int64_t j = 0; j < length; j++) {
        const float v = pass<ACT>(b[j], a[j] * scale[j] + offset[j]);
        g[j] += v;
        gx[j] += v * (a[j] - mean[j]);
      }
    }
    for (int64_t j = 0; j < length; j++) {
      all_g[j] += g[j];
      all_gx[j] += gx[j];
    }
  });
  for (int64_t j = 0; j < line; j++) {
    sums[j % channels] += all_g[j];
    products[j % channels] += all_gx[j];
  }
}

// dx = scale * (g - mean of g - (x - mean) * slope); the mean of g and the slope are lines.
template <int ACT>
void denormalise(const float* dy, const float* x, float* dx, int64_t size, const Lines& lines,
                 const float* mean_g, const float* slope) {
  const float *scale = lines.scale.data(), *offset = lines.offset.data();
  const float* mean = lines.mean.data();
  const int64_t line = lines.scale.size();
  for (int64_t start = 0; start < size; start += line) {
    const int64_t length = std::min(line, size - start);
#pragma omp simd
    for (int64_t j = 0; j < length; j++) {
      const float v = x[start + j];
      const float g = pass<ACT>(dy[start + j], v * scale[j] + offset[j]);
      dx[start + j] = scale[j] * (g - mean_g[j] - (v - mean[j]) * slope[j]);
    }
  }
}

}  // namespace classifiers
