// The gradients of depthwise convolution to its input and its weights, channels last, float32.
//
// Pixels of the input are worked on T at a time, along a row, for a few channels (Lanes) at a time:
// what they read is read once, and their sums stay in registers. Pixels outside an image are a pixel
// of zeros, so that edges need no other code.
#pragma once

#include <cstdint>

#include "lanes.h"

namespace classifiers {

constexpr int MOST_TAPS = 7;  // of a side of a kernel
constexpr int AHEAD = 2;      // rows that memory is asked for before they are worked on

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

// T inputs from channel c on, as many channels at a time as V has; returns the first one left. `out`
// has the outputs' gradients that they meet, M of each row for each input: those of row r begin at
// r * (T + M - 1). Inputs, and the taps that they meet, are `skip` numbers apart.
template <int M, int T, typename V>
int64_t spread_pixels(float* dx, const float* x, const float* const* out, const Meeting& meeting,
                      int64_t skip, int64_t channels, int64_t c) {
  constexpr int N = T + M - 1;
  for (; c + WIDTH<V> <= channels; c += WIDTH<V>) {
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

// Inputs of one row and one phase, T at a time from number j on; returns the next. The last of the
// outputs that input j meets is j + last.
template <int M, int T>
int64_t spread_row(const Sizes& s, float* dx, const float* x, const Meeting& meeting,
                   const float* zeros, int64_t last, int64_t j, int64_t count) {
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
    const int64_t rest = spread_pixels<M, T, Lanes>(to, from, out, meeting, skip, s.channels, 0);
    spread_pixels<M, T, float>(to, from, out, meeting, skip, s.channels, rest);
  }
  return j;
}

template <int M>
void spread_phase(const Sizes& s, float* dx, const float* x, const Meeting& meeting,
                  const float* zeros, int64_t last, int64_t count) {
  int64_t j = spread_row<M, 4>(s, dx, x, meeting, zeros, last, 0, count);
  j = spread_row<M, 2>(s, dx, x, meeting, zeros, last, j, count);
  spread_row<M, 1>(s, dx, x, meeting, zeros, last, j, count);
}

// Has numbers brought to the cache, 16 of which are a line of it, while others are worked on.
inline void fetch(const float* from, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(from + i);
}

// The inputs of one row.
inline void spread_row_of(const Sizes& s, const float* dy, const float* x, const float* w,
                          float* dx, float* dw, const float* zeros, int64_t row) {
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
      phase_of(s, dx + at, x + at, meeting, zeros, last, count);
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
  const int64_t in_row = s.width * s.channels, out_row = s.out_width * s.channels;
  for (int64_t row = 0; row < s.height; row++) {
    // The next image's rows follow the last one's.
    fetch(x + (row + AHEAD) * in_row, in_row);
    fetch(dx + (row + AHEAD) * in_row, in_row);
    fetch(dy + (row + AHEAD) * out_row / s.stride, out_row / s.stride);
    spread_row_of(s, dy, x, w, dx, dw, zeros, row);
  }
}

}  // namespace classifiers
