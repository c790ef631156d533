// The gradients of depthwise convolution to its input and its weights, channels last, float32.
//
// Pixels of the input are worked on T at a time, along a row, for a few channels (Lanes) at a time:
// what they read is read once, and their sums stay in registers. Pixels outside an image are a pixel
// of zeros, so that edges need no other code.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lanes.h"

namespace classifiers {

constexpr int MOST_TAPS = 7;        // of a side of a kernel
constexpr int MOST_PIXELS = 4;      // T
constexpr int64_t NEAR = 6 << 10;   // numbers that stay in the L1 cache, about
constexpr int64_t BAND = 32 << 10;  // numbers that stay in the L2 cache, about

struct Sizes {
  int64_t channels, height, width;  // of the input
  int64_t out_height, out_width;
  int taps, stride;  // of a side of the kernel
  int top, left;     // rows and columns of zeros before the input

  int64_t num_in() const { return height * width * channels; }
  int64_t num_out() const { return out_height * out_width * channels; }
};

// What the inputs of a row share: their rows of outputs, and those rows' taps.
struct Meeting {
  int rows;
  const float* dy[MOST_TAPS];
  const float* w[MOST_TAPS];
  float* dw[MOST_TAPS];
};

// T inputs for channels c to end, as many at a time as V has; returns the first channel left. `out`
// has the outputs' gradients that they meet, M of each row for each input: those of row r begin at
// r * (T + M - 1). Inputs, and the taps that they meet, are `skip` numbers apart.
template <int M, int T, typename V>
int64_t spread_pixels(float* dx, const float* x, const float* const* out, const Meeting& meeting,
                      int64_t skip, int64_t c, int64_t end) {
  constexpr int N = T + M - 1;
  for (; c + WIDTH<V> <= end; c += WIDTH<V>) {
    V sum[T] = {}, in[T];
    for (int t = 0; t < T; t++) in[t] = load<V>(x + t * skip + c);
    for (int r = 0; r < meeting.rows; r++) {
      V dy[N];
      for (int i = 0; i < N; i++) dy[i] = load<V>(out[r * N + i] + c);
      for (int m = 0; m < M; m++) {
        const V weight = load<V>(meeting.w[r] + m * skip + c);
        V gradient = load<V>(meeting.dw[r] + m * skip + c);
        for (int t = 0; t < T; t++) {
          sum[t] += weight * dy[t + M - 1 - m];
          gradient += in[t] * dy[t + M - 1 - m];
        }
        store<V>(meeting.dw[r] + m * skip + c, gradient);
      }
    }
    for (int t = 0; t < T; t++) store<V>(dx + t * skip + c, sum[t]);
  }
  return c;
}

// Channels that are worked on in turn, so that all that T pixels need stays in the L1 cache.
inline int64_t channels_at_once(const Sizes& s) {
  const int64_t pixels = s.taps * (3 * s.taps + MOST_PIXELS) + 2 * MOST_PIXELS;
  return std::max<int64_t>(NEAR / pixels / 16 * 16, 32);
}

// Inputs of one row and one phase, T at a time from number j on; returns the next. The last of the
// outputs that input j meets is j + last.
template <int M, int T>
int64_t spread_row(const Sizes& s, float* dx, const float* x, const Meeting& meeting,
                   const float* zeros, int64_t last, int64_t j, int64_t count, int64_t c,
                   int64_t end) {
  constexpr int N = T + M - 1;
  const int64_t skip = s.stride * s.channels;
  const float* out[MOST_TAPS * N];
  for (; j + T <= count; j += T) {
    for (int i = 0; i < N; i++) {
      const int64_t column = j + last - (M - 1) + i;
      const bool is_inside = column >= 0 && column < s.out_width;
      for (int r = 0; r < meeting.rows; r++)
        out[r * N + i] = is_inside ? meeting.dy[r] + column * s.channels : zeros;
    }
    float* to = dx + j * skip;
    const float* from = x + j * skip;
    const int64_t rest = spread_pixels<M, T, Lanes>(to, from, out, meeting, skip, c, end);
    spread_pixels<M, T, float>(to, from, out, meeting, skip, rest, end);
  }
  return j;
}

template <int M>
void spread_phase(const Sizes& s, float* dx, const float* x, const Meeting& meeting,
                  const float* zeros, int64_t last, int64_t count, int64_t c, int64_t end) {
  int64_t j = spread_row<M, 4>(s, dx, x, meeting, zeros, last, 0, count, c, end);
  j = spread_row<M, 2>(s, dx, x, meeting, zeros, last, j, count, c, end);
  spread_row<M, 1>(s, dx, x, meeting, zeros, last, j, count, c, end);
}

// Has the next part of the numbers in question brought to the cache while others are worked on: a
// few channels at a time is no order in which the processor would do so by itself.
class Ahead {
 public:
  Ahead(const float* from, int64_t numbers, int64_t steps)
      : at_(from), end_(from + numbers), step_(numbers / steps + LINE) {}

  void advance() {
    for (const float* until = std::min(at_ + step_, end_); at_ < until; at_ += LINE)
      __builtin_prefetch(at_);
  }

 private:
  static constexpr int64_t LINE = 64 / sizeof(float);
  const float *at_, *end_;
  int64_t step_;
};

// The inputs of one row, for channels c to end.
inline void spread_row_of(const Sizes& s, const float* dy, const float* x, const float* w,
                          float* dx, float* dw, const float* zeros, int64_t row, int64_t c,
                          int64_t end) {
  for (int phase = 0; phase < s.stride; phase++) {  // of columns: those that meet equal taps
    const int first = (phase + s.left) % s.stride;
    Meeting meeting{};
    for (int k = 0; k < s.taps; k++) {
      const int64_t to = row + s.top - k;
      if (to < 0 || to % s.stride != 0 || to / s.stride >= s.out_height) continue;
      const int64_t tap = (k * s.taps + first) * s.channels;
      meeting.dy[meeting.rows] = dy + to / s.stride * s.out_width * s.channels;
      meeting.w[meeting.rows] = w + tap;
      meeting.dw[meeting.rows++] = dw + tap;
    }
    const int64_t at = (row * s.width + phase) * s.channels;
    const int64_t last = (phase + s.left - first) / s.stride;
    const int64_t count = (s.width - phase + s.stride - 1) / s.stride;
    const auto spread = [&](auto phase_of) {
      phase_of(s, dx + at, x + at, meeting, zeros, last, count, c, end);
    };
    switch ((s.taps - first + s.stride - 1) / s.stride) {
      case 1: spread(spread_phase<1>); break;
      case 2: spread(spread_phase<2>); break;
      case 3: spread(spread_phase<3>); break;
      case 4: spread(spread_phase<4>); break;
      case 5: spread(spread_phase<5>); break;
      case 7: spread(spread_phase<7>); break;
    }
  }
}

// One image: dx is written, dw [K, K, C] added to.
inline void spread_image(const Sizes& s, const float* dy, const float* x, const float* w,
                         float* dx, float* dw, const float* zeros) {
  const int64_t step = channels_at_once(s);
  const int64_t in_row = s.width * s.channels, out_row = s.out_width * s.channels;
  const int64_t band = std::clamp<int64_t>(BAND / (2 * in_row + out_row), 1, s.height);
  for (int64_t begin = 0; begin < s.height; begin += band) {
    const int64_t rows = std::min(band, s.height - begin), next = begin + rows;
    const int64_t steps = (s.channels + step - 1) / step * rows;
    Ahead of_x(x + next * in_row, band * in_row, steps);
    Ahead of_dx(dx + next * in_row, band * in_row, steps);
    Ahead of_dy(dy + next * out_row / s.stride, band * out_row / s.stride, steps);
    for (int64_t c = 0; c < s.channels; c += step) {
      const int64_t end = std::min(c + step, s.channels);
      for (int64_t row = begin; row < next; row++) {
        of_x.advance();
        of_dx.advance();
        of_dy.advance();
        spread_row_of(s, dy, x, w, dx, dw, zeros, row, c, end);
      }
    }
  }
}

}  // namespace classifiers
