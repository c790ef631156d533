// What cuda.cpp asks of cuda.cu. No header of PyTorch is included: nvcc takes a minute for them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "arithmetic.h"

struct CUstream_st;  // cudaStream_t points to one

namespace stylegan2 {

using Stream = CUstream_st*;

constexpr int THREADS = 256;  // of a block
constexpr int ITEMS = 4;      // vectors of numbers that a thread takes one after the other
constexpr int VECTOR = 16;    // bytes of such a vector

inline int64_t divided_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The smallest power of two that is not below n, or most.
inline int power_of_two(int64_t n, int most) {
  int p = 1;
  while (p < n && p < most) p *= 2;
  return p;
}

// ---- Numbers by rows, each made of one or more others at its place ----

// A matrix and how blocks share it. Either each row has one channel, and sums are taken along rows;
// or each column has its own, and sums are taken along columns. The threads of a block are `lanes`
// along the rows times THREADS / lanes.
struct Plan {
  int64_t rows, width, channels;
  bool is_row_channel;
  int vector, lanes;  // numbers in a vector
  int64_t block_rows, block_width;
  int64_t down, across;  // blocks

  Plan(int64_t rows, int64_t width, int64_t channels, bool is_row_channel, int vector)
      : rows(rows), width(width), channels(channels), is_row_channel(is_row_channel),
        vector(vector),
        lanes(power_of_two(divided_up(width, vector), is_row_channel ? THREADS : 32)),
        block_rows(THREADS / lanes * (is_row_channel ? 1 : ITEMS)),
        block_width(int64_t(lanes) * vector * (is_row_channel ? ITEMS : 1)),
        down(divided_up(rows, block_rows)), across(divided_up(width, block_width)) {}

  int64_t parts() const { return is_row_channel ? rows * across : down * width; }
};

// in: as many as the operator takes; null for zeros. parts: null where no sums are wanted, else
// plan.parts() of them, [rows, across] or [down, width].
template <typename T>
struct Numbers {
  const T* in[3];
  T* out;
  Sum<T>* parts;
};

// b, add: by channel; null for none.
template <typename T>
struct BiasAct {
  Shape<Sum<T>> shape;
  const Sum<T>*b, *add;
  bool from_y;
};

// order 0: of x. 1: of dy and ref. 2: of dy, ddx and ref.
template <typename T>
void launch_bias_act(int order, const BiasAct<T>& op, const Numbers<T>& numbers, const Plan& plan,
                     Stream stream);

// Rows are pixels, `size` of them an image. s, ds: by image and channel, noise: by pixel (the same
// for all images if noise_step is 0, else it is size), b: by channel; null for none. is_factor: the
// derivative is the gain whatever y.
template <typename T>
struct Modulate {
  Shape<Sum<T>> shape;
  const Sum<T>*s, *ds, *noise, *b;
  int64_t size, noise_step;
  bool is_factor;
};

// Of x, or of the derivative along dx, ds, noise and b: of dx, x and y.
template <typename T>
void launch_modulate(bool is_tangent, const Modulate<T>& op, const Numbers<T>& numbers,
                     const Plan& plan, Stream stream);

// Results that are not wanted are null. parts_s and parts_b: [num, strips, channels].
template <typename T>
struct ModulateAdjoint {
  Shape<Sum<T>> shape;
  const T *dy, *x, *y;
  const Sum<T>* s;
  T* dx;
  Sum<T>*parts_s, *parts_b, *noise;
  int64_t num, size, channels;
  int vector, lanes;
  int64_t strips;  // of `strip` pixels, an image

  void share(int numbers) {
    vector = numbers;
    lanes = power_of_two(divided_up(channels, vector), 32);
    strips = divided_up(size, strip());
  }
  STYLEGAN2_BOTH int strip() const { return THREADS / lanes * ITEMS; }
};

template <typename T>
void launch_modulate_adjoint(const ModulateAdjoint<T>& op, Stream stream);

// Sum up parts, [batch, outer, channels, inner], to out, [batch, channels].
template <typename A>
struct Parts {
  const A* parts;
  A* out;
  int64_t batch, outer, channels, inner;
};

template <typename A>
void launch_sum(const Parts<A>& parts, Stream stream);

// ---- upfirdn2d ----

constexpr int FEW_TAPS = 128;  // go along with the call; more lie in the device's memory

// taps: those along y of every term, then those along x; null if they are `few`.
template <typename T>
struct Upfirdn2d {
  const T* in;
  T* out;
  Axis y, x;
  int64_t num, channels;
  bool is_last;  // the channels of a pixel lie side by side
  int terms;
  const Sum<T>* taps;
  Sum<T> few[FEW_TAPS];
};

template <typename T>
void launch_upfirdn2d(const Upfirdn2d<T>& op, Stream stream);

}  // namespace stylegan2
