// Vectors of float32 and products of small matrices, for convolution on the CPU.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>

namespace stylegan2 {
namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16, ROWS = 12;
#else
constexpr int LANES = 8, ROWS = 6;
#endif
typedef float Lanes __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

constexpr int PANEL = 2 * LANES;  // columns of a product that are computed side by side

inline Lanes load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }
inline void store(float* to, Lanes v) { *reinterpret_cast<Lanes*>(to) = v; }

// c[r, :] (+)= sum over k of a[r * row + k * step] * b[k, :], WIDTH vectors wide.
template <int R, int WIDTH, bool ADD>
inline void multiply(const float* a, int64_t row, int64_t step, const float* b, int64_t stride_b,
                     float* c, int64_t stride_c, int64_t depth) {
  Lanes sum[R][WIDTH];
  for (int r = 0; r < R; r++)
    for (int w = 0; w < WIDTH; w++)
      sum[r][w] = ADD ? load(c + r * stride_c + w * LANES) : Lanes{};
  for (int64_t k = 0; k < depth; k++) {
    Lanes wide[WIDTH];
    for (int w = 0; w < WIDTH; w++) wide[w] = load(b + k * stride_b + w * LANES);
    for (int r = 0; r < R; r++) {
      const float one = a[r * row + k * step];
      for (int w = 0; w < WIDTH; w++) sum[r][w] += wide[w] * one;
    }
  }
  for (int r = 0; r < R; r++)
    for (int w = 0; w < WIDTH; w++) store(c + r * stride_c + w * LANES, sum[r][w]);
}

template <int WIDTH, bool ADD>
void multiply_rows(const float* a, int64_t row, int64_t step, const float* b, int64_t stride_b,
                   float* c, int64_t stride_c, int64_t rows, int64_t depth) {
  int64_t r = 0;
  for (; r + ROWS <= rows; r += ROWS)
    multiply<ROWS, WIDTH, ADD>(a + r * row, row, step, b, stride_b, c + r * stride_c, stride_c,
                               depth);
  for (; r + ROWS / 3 <= rows; r += ROWS / 3)
    multiply<ROWS / 3, WIDTH, ADD>(a + r * row, row, step, b, stride_b, c + r * stride_c, stride_c,
                                   depth);
  for (; r < rows; r++)
    multiply<1, WIDTH, ADD>(a + r * row, row, step, b, stride_b, c + r * stride_c, stride_c,
                            depth);
}

// The columns of a matrix in panels of PANEL (the last may have LANES), row by row.
struct Panels {
  int64_t rows, columns;

  int64_t width(int64_t column) const { return std::min<int64_t>(PANEL, columns - column); }
  int64_t panel(int64_t matrix, int64_t column) const {
    return matrix * rows * columns + column * rows;
  }
  int64_t at(int64_t matrix, int64_t row, int64_t column) const {
    const int64_t first = column / PANEL * PANEL;
    return panel(matrix, first) + row * width(first) + column - first;
  }
};

// c (+)= a * b for one panel of b, c's rows being stride_c apart.
template <bool ADD>
inline void multiply_panel(const float* a, int64_t row, const Panels& panels, const float* b,
                           int64_t matrix, int64_t column, float* c, int64_t stride_c,
                           int64_t rows) {
  const int64_t width = panels.width(column);
  const auto product = width == PANEL ? multiply_rows<2, ADD> : multiply_rows<1, ADD>;
  product(a, row, 1, b + panels.panel(matrix, column), width, c, stride_c, rows, panels.rows);
}

// c += a' * b, where a [depth, rows] and b [depth, columns] lie apart by row_a and columns.
inline void add_transposed(const float* a, int64_t row_a, const float* b, int64_t columns,
                           float* c, int64_t rows, int64_t depth) {
  for (int64_t k = 0; k < columns; k += PANEL) {
    const bool is_wide = columns - k >= PANEL;
    const auto product = is_wide ? multiply_rows<2, true> : multiply_rows<1, true>;
    product(a, 1, row_a, b + k, columns, c + k, columns, rows, depth);
  }
}

// ---- Images, channels side by side. ----

inline at::Tensor channels_last(const at::Tensor& x) {
  TORCH_CHECK(x.dim() == 4 && x.scalar_type() == at::kFloat, "expected float32 [N, C, H, W]");
  TORCH_CHECK(x.size(1) % LANES == 0, x.size(1), " channels, expected a multiple of ", LANES);
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

inline at::Tensor empty_images(const at::Tensor& like, int64_t channels, int64_t height,
                               int64_t width) {
  return at::empty({like.size(0), channels, height, width},
                   like.options().memory_format(at::MemoryFormat::ChannelsLast));
}

}  // namespace
}  // namespace stylegan2
