// The operators of training on the CPU, as PyTorch calls them; signatures: classifiers/models/native.py.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <vector>

#include "depthwise.h"
#include "norm_act.h"

namespace classifiers {
namespace {

using at::Tensor;

// Parts that are summed one by one: as many on every machine, so that results do not depend on its
// threads.
constexpr int64_t MOST_PARTS = 32;

Tensor channels_last(const Tensor& x) {
  TORCH_CHECK(x.dim() == 4 && x.scalar_type() == at::kFloat && x.size(1) > 0,
              "expected float32 images, found ", x.scalar_type(), " ", x.sizes());
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

const float* numbers(const Tensor& x) { return x.const_data_ptr<float>(); }
float* numbers_of(Tensor& x) { return x.mutable_data_ptr<float>(); }

// ---- Depthwise convolution ----

Sizes sizes_of(const Tensor& dy, const Tensor& x, const Tensor& w, int64_t stride,
               at::IntArrayRef padding) {
  TORCH_CHECK(padding.size() == 4, "padding: expected top, bottom, left, right");
  const int64_t taps = w.size(-1), top = padding[0], left = padding[2];
  TORCH_CHECK(w.dim() == 4 && w.size(0) == x.size(1) && w.size(1) == 1 && w.size(2) == taps &&
                  (taps == 3 || taps == 5 || taps == 7) && (stride == 1 || stride == 2),
              "weights ", w.sizes(), " at stride ", stride, " of images ", x.sizes());
  const int64_t height = (x.size(2) + top + padding[1] - taps) / stride + 1;
  const int64_t width = (x.size(3) + left + padding[3] - taps) / stride + 1;
  TORCH_CHECK(dy.sizes() == at::IntArrayRef({x.size(0), x.size(1), height, width}),
              "gradient ", dy.sizes(), " of images ", x.sizes());
  return {x.size(1), x.size(2), x.size(3), height, width,
          int(taps), int(stride), int(top), int(left)};
}

std::tuple<Tensor, Tensor> depthwise_backward(const Tensor& dy_any, const Tensor& x_any,
                                              const Tensor& w_any, int64_t stride,
                                              at::IntArrayRef padding) {
  const Tensor dy = channels_last(dy_any), x = channels_last(x_any);
  const Sizes s = sizes_of(dy, x, w_any, stride, padding);
  const Tensor w = w_any.squeeze(1).permute({1, 2, 0}).contiguous();  // [K, K, C]
  Tensor dx = at::empty_like(x), dw = at::empty_like(w);
  const float *of_y = numbers(dy), *from = numbers(x), *taps = numbers(w);
  float *of_x = numbers_of(dx), *of_w = numbers_of(dw);
  const std::vector<float> zeros(s.channels, 0);
  const int64_t num = x.size(0), size = w.numel(), parts = std::min(num, MOST_PARTS);
  std::vector<float> sums(parts * size, 0);
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++)
      for (int64_t n = part * num / parts; n < (part + 1) * num / parts; n++)
        spread_image(s, of_y + n * s.num_out(), from + n * s.num_in(), taps,
                     of_x + n * s.num_in(), &sums[part * size], zeros.data());
  });
  at::parallel_for(0, size, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      double sum = 0;
      for (int64_t part = 0; part < parts; part++) sum += sums[part * size + i];
      of_w[i] = float(sum);
    }
  });
  return {dx, dw.permute({2, 0, 1}).unsqueeze(1)};
}

// ---- Batch norm and activation ----

// Calls f(part, first number, numbers) for parts of all pixels, whole lines each; returns how many.
template <typename F>
int64_t each_part(int64_t size, int64_t channels, F f) {
  const int64_t line = pixels_of_line(channels) * channels;
  const int64_t lines = (size + line - 1) / line;
  const int64_t parts = std::min(lines, MOST_PARTS);
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) {
      const int64_t first = part * lines / parts * line;
      const int64_t last = std::min((part + 1) * lines / parts * line, size);
      f(part, first, last - first);
    }
  });
  return parts;
}

template <typename F>
void by_activation(int64_t act, F f) {
  switch (act) {
    case IDENTITY: return f(std::integral_constant<int, IDENTITY>());
    case RELU: return f(std::integral_constant<int, RELU>());
    case RELU6: return f(std::integral_constant<int, RELU6>());
  }
  TORCH_CHECK(false, "activation ", act);
}

Lines lines_of(const Tensor& weight, const Tensor& bias, const Tensor& mean,
               const Tensor& inverse) {
  return Lines(weight.numel(), numbers(weight), numbers(bias), numbers(mean), numbers(inverse));
}

void check_channels(const Tensor& one, const Tensor& x) {
  TORCH_CHECK(one.scalar_type() == at::kFloat && one.is_contiguous() && one.dim() == 1 &&
                  one.numel() == x.size(1),
              "expected a float32 number for each channel of images ", x.sizes());
}

std::tuple<Tensor, Tensor, Tensor> norm_act(const Tensor& x_any, const Tensor& weight,
                                            const Tensor& bias, Tensor& running_mean,
                                            Tensor& running_var, double momentum, double eps,
                                            int64_t act) {
  const Tensor x = channels_last(x_any);
  for (const Tensor& one : {weight, bias, running_mean, running_var}) check_channels(one, x);
  const int64_t channels = x.size(1), size = x.numel();
  const float* from = numbers(x);
  std::vector<Moments> moments(MOST_PARTS * channels);
  const int64_t parts = each_part(size, channels, [&](int64_t part, int64_t first, int64_t n) {
    add_moments(from + first, n, channels, &moments[part * channels]);
  });
  Tensor mean = at::empty_like(weight), inverse = at::empty_like(weight);
  float *means = numbers_of(mean), *inverses = numbers_of(inverse);
  float *old_means = numbers_of(running_mean), *old_vars = numbers_of(running_var);
  for (int64_t c = 0; c < channels; c++) {
    Moments all;
    for (int64_t part = 0; part < parts; part++) all.add(moments[part * channels + c]);
    if (all.count == 0) {  // a batch without pixels moves nothing
      means[c] = 0;
      inverses[c] = float(1 / std::sqrt(eps));
      continue;
    }
    means[c] = float(all.mean);
    inverses[c] = float(1 / std::sqrt(all.squares / all.count + eps));
    const double var = all.squares / (all.count - 1);
    old_means[c] = float(momentum * all.mean + (1 - momentum) * old_means[c]);
    old_vars[c] = float(momentum * var + (1 - momentum) * old_vars[c]);
  }
  const Lines lines = lines_of(weight, bias, mean, inverse);
  Tensor y = at::empty_like(x);
  float* to = numbers_of(y);
  by_activation(act, [&](auto a) {
    each_part(size, channels, [&](int64_t, int64_t first, int64_t n) {
      normalise<a()>(from + first, to + first, n, lines);
    });
  });
  return {y, mean, inverse};
}

std::tuple<Tensor, Tensor, Tensor> norm_act_backward(const Tensor& dy_any, const Tensor& x_any,
                                                     const Tensor& weight, const Tensor& bias,
                                                     const Tensor& mean, const Tensor& inverse,
                                                     int64_t act) {
  const Tensor dy = channels_last(dy_any), x = channels_last(x_any);
  for (const Tensor& one : {weight, bias, mean, inverse}) check_channels(one, x);
  const int64_t channels = x.size(1), size = x.numel();
  const double pixels = double(size) / channels;
  const float *of_y = numbers(dy), *from = numbers(x), *inverses = numbers(inverse);
  const Lines lines = lines_of(weight, bias, mean, inverse);
  Tensor dx = at::empty_like(x), dw = at::empty_like(weight), db = at::empty_like(weight);
  float *of_x = numbers_of(dx), *of_w = numbers_of(dw), *of_b = numbers_of(db);
  std::vector<double> sums(MOST_PARTS * channels, 0), products(MOST_PARTS * channels, 0);
  std::vector<float> mean_g(channels), slope(channels);
  by_activation(act, [&](auto a) {
    const int64_t parts = each_part(size, channels, [&](int64_t part, int64_t first, int64_t n) {
      add_gradients<a()>(of_y + first, from + first, n, channels, lines, &sums[part * channels],
                         &products[part * channels]);
    });
    for (int64_t c = 0; c < channels; c++) {
      double sum = 0, product = 0;
      for (int64_t part = 0; part < parts; part++) {
        sum += sums[part * channels + c];
        product += products[part * channels + c];
      }
      of_b[c] = float(sum);
      of_w[c] = float(product * inverses[c]);
      mean_g[c] = float(sum / pixels);
      slope[c] = float(product * inverses[c] * inverses[c] / pixels);
    }
    const auto means_g = widen(mean_g.data(), channels), slopes = widen(slope.data(), channels);
    each_part(size, channels, [&](int64_t, int64_t first, int64_t n) {
      denormalise<a()>(of_y + first, from + first, of_x + first, n, lines, means_g.data(),
                       slopes.data());
    });
  });
  return {dx, dw, db};
}

TORCH_LIBRARY_IMPL(classifiers, CPU, library) {
  library.impl("depthwise_backward", depthwise_backward);
  library.impl("norm_act", norm_act);
  library.impl("norm_act_backward", norm_act_backward);
}

}  // namespace
}  // namespace classifiers
