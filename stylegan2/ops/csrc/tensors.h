// What the operators ask of tensors, on the CPU and on CUDA devices alike.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "arithmetic.h"

namespace stylegan2 {

using at::Tensor;

template <typename F>
void by_type(at::ScalarType type, F f) {
  switch (type) {
    case at::kFloat: return f(float());
    case at::kDouble: return f(double());
    case at::kHalf: return f(at::Half());
    case at::kBFloat16: return f(at::BFloat16());
    default: TORCH_CHECK_NOT_IMPLEMENTED(false, "x: ", type, ", expected floating point numbers");
  }
}

// The type of tensors of sums.
inline at::ScalarType sum_type(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

inline Axis make_axis(int64_t size, int64_t taps, at::IntArrayRef a) {
  TORCH_CHECK(a.size() == 4 && a[0] > 0 && a[1] > 0, "axis: expected up, down, before, after");
  const int64_t padded = size * a[0] + a[2] + a[3] - taps;
  TORCH_CHECK(padded >= 0 && size > 0, "padding: nothing is left of ", size, " samples");
  TORCH_CHECK(std::max({padded, size * a[0], a[2], -a[2]}) < std::numeric_limits<int>::max() / 2,
              "size: ", size, " samples become too many");
  return {int(size), int(padded / a[1] + 1), int(taps), int(a[0]), int(a[1]), int(a[2])};
}

// ---- Numbers in memory order, each with its channel ----

// `outer` times `channels` runs of `inner` numbers; inner is 1 where channels lie side by side.
struct Layout {
  int64_t outer, channels, inner;
};

inline Layout make_layout(const Tensor& x, int64_t dim, bool has_channels) {
  if (!has_channels || x.size(dim) == 1 || x.numel() == 0)
    return {1, has_channels ? x.size(dim) : 1, x.numel()};
  const int64_t inner = std::max<int64_t>(x.stride(dim), 1);
  return {x.numel() / (x.size(dim) * inner), x.size(dim), inner};
}

inline Tensor dense(const Tensor& x) {
  return x.is_non_overlapping_and_dense() ? x : x.contiguous();
}

inline Tensor laid_out_like(const Tensor& x, const Tensor& model) {
  TORCH_CHECK(x.sizes() == model.sizes(), "shape ", x.sizes(), ", expected ", model.sizes());
  if (x.strides() == model.strides() && x.scalar_type() == model.scalar_type()) return x;
  return at::empty_like(model).copy_(x);
}

inline Tensor channels_last(const Tensor& x) {
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

inline Tensor empty_last(const Tensor& like) {
  return at::empty(like.sizes(), like.options().memory_format(at::MemoryFormat::ChannelsLast));
}

// ---- Activations ----

// The clamp is rounded to T: a result tells whether it was clamped.
template <typename T>
Shape<Sum<T>> make_shape(int64_t act, double alpha, double gain, double clamp) {
  using A = Sum<T>;
  const double slope = act == LINEAR ? 1 : act == RELU ? 0 : alpha;
  return {int(act), A(slope), A(gain), A(T(clamp))};
}

template <typename T>
Shape<Sum<T>> bent(double slope, double gain, double clamp) {
  return make_shape<T>(LRELU, slope, gain, clamp);
}

}  // namespace stylegan2
