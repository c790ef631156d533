// What the operators do to one element, for the CPU and the CUDA build alike.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#if defined(__CUDACC__)
#define STYLEGAN2_BOTH __host__ __device__ __forceinline__
#else
#define STYLEGAN2_BOTH inline
#endif

namespace stylegan2 {

// Sums are taken in double for double and in float for all else.
template <typename T>
using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

// ---- Activations: value and derivatives at v, in the type A that sums are taken in. ----

// The order is that of ACTIVATIONS in bias_act.py. LINEAR and RELU are LRELU with slope 1 and 0.
enum Act : int { LINEAR, RELU, LRELU, TANH, SIGMOID, ELU, SELU, SOFTPLUS, SWISH };

// y = clamp(gain * act(v), -clamp, clamp); an infinite clamp is none.
template <typename A>
struct Shape {
  int act;
  A slope, gain, clamp, low;  // low: gain * slope

  STYLEGAN2_BOTH Shape(int act, A slope, A gain, A clamp)
      : act(act), slope(slope), gain(gain), clamp(clamp), low(gain * slope) {}

  STYLEGAN2_BOTH A clamped(A y) const {
    return y > clamp ? clamp : y < -clamp ? -clamp : y;  // NaN stays NaN
  }
  STYLEGAN2_BOTH bool passes(A y) const { return y < clamp && y > -clamp; }
};

constexpr double SELU_SCALE = 1.0507009873554805;
constexpr double SELU_ALPHA = 1.6732632423543772;

template <typename A>
STYLEGAN2_BOTH A sigmoid(A v) {
  return A(1) / (A(1) + exp(-v));
}

template <typename A>
STYLEGAN2_BOTH A act_value(A v, const Shape<A>& shape) {
  switch (shape.act) {
    case TANH: return tanh(v);
    case SIGMOID: return sigmoid(v);
    case ELU: return v > A(0) ? v : expm1(v);
    case SELU: return A(SELU_SCALE) * (v > A(0) ? v : A(SELU_ALPHA) * expm1(v));
    case SOFTPLUS: return (v > A(0) ? v : A(0)) + log1p(exp(v > A(0) ? -v : v));
    case SWISH: return v * sigmoid(v);
    default: return v > A(0) ? v : shape.slope * v;
  }
}

template <typename A>
STYLEGAN2_BOTH A act_first(A v, const Shape<A>& shape) {
  switch (shape.act) {
    case TANH: return A(1) - tanh(v) * tanh(v);
    case SIGMOID: return sigmoid(v) * sigmoid(-v);
    case ELU: return v > A(0) ? A(1) : exp(v);
    case SELU: return A(SELU_SCALE) * (v > A(0) ? A(1) : A(SELU_ALPHA) * exp(v));
    case SOFTPLUS: return sigmoid(v);
    case SWISH: return sigmoid(v) * (A(1) + v * sigmoid(-v));
    default: return v > A(0) ? A(1) : shape.slope;
  }
}

template <typename A>
STYLEGAN2_BOTH A act_second(A v, const Shape<A>& shape) {
  const A s = sigmoid(v);
  switch (shape.act) {
    case TANH: return A(-2) * tanh(v) * (A(1) - tanh(v) * tanh(v));
    case SIGMOID: return s * (A(1) - s) * (A(1) - A(2) * s);
    case ELU: return v > A(0) ? A(0) : exp(v);
    case SELU: return v > A(0) ? A(0) : A(SELU_SCALE * SELU_ALPHA) * exp(v);
    case SOFTPLUS: return s * (A(1) - s);
    case SWISH: return s * (A(1) - s) * (A(2) + v * (A(1) - A(2) * s));
    default: return A(0);
  }
}

template <typename A>
STYLEGAN2_BOTH A apply(A v, const Shape<A>& shape) {
  return shape.clamped(shape.gain * act_value(v, shape));
}

template <typename A>
STYLEGAN2_BOTH A apply_first(A v, const Shape<A>& shape) {
  return shape.passes(shape.gain * act_value(v, shape)) ? shape.gain * act_first(v, shape) : A(0);
}

template <typename A>
STYLEGAN2_BOTH A apply_second(A v, const Shape<A>& shape) {
  return shape.passes(shape.gain * act_value(v, shape)) ? shape.gain * act_second(v, shape) : A(0);
}

// The piecewise linear ones (up to LRELU) without a branch. Where gain > 0 and slope >= 0, y tells
// the derivative as well as v does, so that v need not be kept.
template <typename A>
STYLEGAN2_BOTH A bend(A v, const Shape<A>& shape) {
  return shape.clamped(v * (v > A(0) ? shape.gain : shape.low));
}

template <typename A>
STYLEGAN2_BOTH A bend_first(A y, const Shape<A>& shape) {
  return shape.passes(y) ? (y > A(0) ? shape.gain : shape.low) : A(0);
}

// ---- Resampling along one axis: zeros inserted, padded or cropped, filtered, subsampled. ----

struct Axis {
  int size, size_out, taps, up, down, before;
};

// The samples that an output sample is made of, and the taps they meet: taps tap, tap + up, ...
// meet samples first, first + 1, ... The inserted zeros and the padding do not occur.
struct Window {
  int tap, first, count;
};

STYLEGAN2_BOTH Window window(const Axis& a, int out) {
  const int start = out * a.down - a.before;  // of tap 0, in the finer grid
  int first = start >= 0 ? (start + a.up - 1) / a.up : -(-start / a.up);
  int tap = first * a.up - start;
  if (first < 0) {
    tap -= first * a.up;
    first = 0;
  }
  const int meet = tap < a.taps ? (a.taps - tap + a.up - 1) / a.up : 0;
  const int left = a.size > first ? a.size - first : 0;
  return {tap, first, meet < left ? meet : left};
}

}  // namespace stylegan2
