// 3x3 convolution of float32 images on the CPU with a quarter of the multiplications.
//
// Winograd's minimal filtering F(4x4, 3x3): tiles of 6x6 input pixels give 4x4 output pixels, as
// y = A'[(G w G') * (B' x B)]A, where * is a matrix product over the channels for each of the 36
// positions. Source: arXiv:1509.09308, with the interpolation points 0, 1, -1, 2, -2.
#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <vector>

#include "operators.h"
#include "product.h"

namespace stylegan2 {
namespace {

using at::Tensor;

constexpr int OUT = 4, IN = 6, POSITIONS = IN * IN;
constexpr int64_t SCRATCH = 1 << 18;     // floats of transformed tiles that a thread works on
constexpr int64_t APART = 16;            // floats between positions, lest they share cache sets

// ---- The transforms along one axis. ----

// B' of 6 pixels.
inline void input_axis(const Lanes* d, int step, Lanes* v, int step_out) {
  const Lanes d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step],
              d5 = d[5 * step];
  const Lanes even = d4 - 4 * d2, odd = d3 - 4 * d1, even2 = d4 - d2, odd2 = 2 * (d3 - d1);
  v[0] = 4 * d0 - 5 * d2 + d4;
  v[step_out] = even + odd;
  v[2 * step_out] = even - odd;
  v[3 * step_out] = even2 + odd2;
  v[4 * step_out] = even2 - odd2;
  v[5 * step_out] = 4 * d1 - 5 * d3 + d5;
}

// A' of 6 products.
inline void output_axis(const Lanes* m, int step, Lanes* y, int step_out) {
  const Lanes sum = m[step] + m[2 * step], diff = m[step] - m[2 * step];
  const Lanes sum2 = m[3 * step] + m[4 * step], diff2 = m[3 * step] - m[4 * step];
  y[0] = m[0] + sum + sum2;
  y[step_out] = diff + 2 * diff2;
  y[2 * step_out] = sum + 4 * sum2;
  y[3 * step_out] = diff + 8 * diff2 + m[5 * step];
}

// A of the gradients of 4 pixels.
inline void gradient_axis(const Lanes* y, int step, Lanes* m, int step_out) {
  const Lanes even = y[0] + y[2 * step], odd = y[step] + y[3 * step];
  const Lanes even2 = y[0] + 4 * y[2 * step], odd2 = 2 * y[step] + 8 * y[3 * step];
  m[0] = y[0];
  m[step_out] = even + odd;
  m[2 * step_out] = even - odd;
  m[3 * step_out] = even2 + odd2;
  m[4 * step_out] = even2 - odd2;
  m[5 * step_out] = y[3 * step];
}

// G of 3 taps.
inline void kernel_axis(const Lanes* w, int step, Lanes* u, int step_out) {
  const Lanes ends = w[0] + w[2 * step], ends2 = w[0] + 4 * w[2 * step];
  u[0] = w[0] / 4;
  u[step_out] = (ends + w[step]) / -6;
  u[2 * step_out] = (ends - w[step]) / -6;
  u[3 * step_out] = (ends2 + 2 * w[step]) / 24;
  u[4 * step_out] = (ends2 - 2 * w[step]) / 24;
  u[5 * step_out] = w[2 * step];
}

// G' of the gradients of 6 transformed taps.
inline void kernel_gradient_axis(const Lanes* u, int step, Lanes* w, int step_out) {
  const Lanes sum = u[step] + u[2 * step], diff = u[step] - u[2 * step];
  const Lanes sum2 = u[3 * step] + u[4 * step], diff2 = u[3 * step] - u[4 * step];
  w[0] = u[0] / 4 - sum / 6 + sum2 / 24;
  w[step_out] = diff2 / 12 - diff / 6;
  w[2 * step_out] = sum2 / 6 - sum / 6 + u[5 * step];
}

// Both axes: SIZE x SIZE numbers, got by get(y, x), become SIZE_OUT x SIZE_OUT for put(y, x, v).
template <auto AXIS, int SIZE, int SIZE_OUT, typename Get, typename Put>
inline void both_axes(Get get, Put put) {
  Lanes half[SIZE_OUT * SIZE];
#pragma GCC unroll 6
  for (int x = 0; x < SIZE; x++) {
    Lanes column[SIZE];
#pragma GCC unroll 6
    for (int y = 0; y < SIZE; y++) column[y] = get(y, x);
    AXIS(column, 1, half + x, SIZE);
  }
#pragma GCC unroll 6
  for (int y = 0; y < SIZE_OUT; y++) {
    Lanes row[SIZE_OUT];
    AXIS(half + y * SIZE, 1, row, 1);
#pragma GCC unroll 6
    for (int x = 0; x < SIZE_OUT; x++) put(y, x, row[x]);
  }
}

// ---- Tiles of images, channels side by side. ----

struct Images {
  int64_t num, height, width, channels;

  int64_t down() const { return (height + OUT - 1) / OUT; }
  int64_t across() const { return (width + OUT - 1) / OUT; }
  int64_t tiles() const { return num * down() * across(); }

  // The pixels of a window of a tile, which begins `before` pixels earlier; `none` off the image.
  template <int SIZE, typename T>
  void pixels(T* images, int64_t tile, int64_t before, T* none, T** found) const {
    const int64_t x0 = tile % across() * OUT - before;
    const int64_t y0 = tile / across() % down() * OUT - before;
    T* image = images + tile / (across() * down()) * height * width * channels;
    for (int64_t y = 0; y < SIZE; y++)
      for (int64_t x = 0; x < SIZE; x++) {
        const bool is_inside = y0 + y >= 0 && y0 + y < height && x0 + x >= 0 && x0 + x < width;
        found[y * SIZE + x] =
            is_inside ? image + ((y0 + y) * width + x0 + x) * channels : none;
      }
  }
};

// Tiles that are worked on together, and how far their positions lie apart.
struct Block {
  int64_t tiles, channels;

  int64_t apart() const { return tiles * channels + APART; }
  int64_t floats() const { return POSITIONS * apart(); }
};

// As many as fit into the caches, at least `least`, but as many blocks for each thread.
int64_t tiles_of_a_block(int64_t tiles, int64_t channels, int64_t least) {
  const int64_t most = std::max(SCRATCH / (POSITIONS * channels), least);
  const int64_t threads = at::get_num_threads();
  const int64_t each = std::max<int64_t>((tiles + threads - 1) / threads, 1);  // of a thread
  const int64_t blocks = (each + most - 1) / most;
  return ((each + blocks - 1) / blocks + ROWS - 1) / ROWS * ROWS;
}

// Transformed pixels of the tiles first, first + 1, ...: [POSITIONS, tiles, channels].
template <auto AXIS, int SIZE>
void transform(const Images& images, const float* x, int64_t first, int64_t num, int64_t before,
               const Block& block, const float* none, float* out) {
  const float* pixel[SIZE * SIZE];
  for (int64_t t = 0; t < num; t++) {
    images.pixels<SIZE>(x, first + t, before, none, pixel);
    float* tile = out + t * block.channels;
    for (int64_t c = 0; c < block.channels; c += LANES)
      both_axes<AXIS, SIZE, IN>(
          [&](int y, int x) { return load(pixel[y * SIZE + x] + c); },
          [&](int y, int x, Lanes v) { store(tile + (y * IN + x) * block.apart() + c, v); });
  }
}

void restore(const Images& images, const float* products, int64_t first, int64_t num,
             const Block& block, float* none, float* out) {
  float* pixel[OUT * OUT];
  for (int64_t t = 0; t < num; t++) {
    images.pixels<OUT>(out, first + t, 0, none, pixel);
    const float* tile = products + t * block.channels;
    for (int64_t c = 0; c < block.channels; c += LANES)
      both_axes<output_axis, IN, OUT>(
          [&](int y, int x) { return load(tile + (y * IN + x) * block.apart() + c); },
          [&](int y, int x, Lanes v) { store(pixel[y * OUT + x] + c, v); });
  }
}

// ---- Convolution. ----

// Kernels [3, 3, C_in, C_out] transformed, one matrix [C_in, C_out] a position.
void transform_kernels(const Panels& panels, const float* w, float* u) {
  at::parallel_for(0, panels.rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; c++)
      for (int64_t k = 0; k < panels.columns; k += LANES)
        both_axes<kernel_axis, 3, IN>(
            [&](int y, int x) {
              return load(w + ((y * 3 + x) * panels.rows + c) * panels.columns + k);
            },
            [&](int y, int x, Lanes v) { store(u + panels.at(y * IN + x, c, k), v); });
  });
}

Images images_of(const Tensor& x) { return {x.size(0), x.size(2), x.size(3), x.size(1)}; }

}  // namespace

// Correlation with kernels [C_out, C_in, 3, 3], one pixel of zeros around: images of x's size.
Tensor winograd(const Tensor& x_any, const Tensor& w) {
  const Tensor x = channels_last(x_any);
  TORCH_CHECK(w.dim() == 4 && w.size(1) == x.size(1) && w.size(2) == 3 && w.size(3) == 3 &&
                  w.size(0) % LANES == 0 && w.scalar_type() == at::kFloat,
              "w: ", w.sizes(), ", expected float32 [C_out, ", x.size(1), ", 3, 3]");
  const int64_t num_in = x.size(1), num_out = w.size(0);
  const Panels panels{num_in, num_out};
  const Tensor taps = w.permute({2, 3, 1, 0}).contiguous();
  const Tensor transformed = at::empty({POSITIONS * num_in * num_out}, x.options());
  float* u = transformed.mutable_data_ptr<float>();
  transform_kernels(panels, taps.const_data_ptr<float>(), u);

  const Tensor y = empty_images(x, num_out, x.size(2), x.size(3));
  const Images in = images_of(x), out = images_of(y);
  const float* from = x.const_data_ptr<float>();
  float* to = y.mutable_data_ptr<float>();
  const int64_t size = tiles_of_a_block(in.tiles(), num_in + num_out, 12);
  const Block pixels{size, num_in}, products{size, num_out};
  at::parallel_for(0, (in.tiles() + size - 1) / size, 1, [&](int64_t begin, int64_t end) {
    thread_local std::vector<float> scratch;
    const int64_t none = std::max(num_in, num_out);
    scratch.resize(2 * none + pixels.floats() + products.floats());
    float *zeros = scratch.data(), *dump = zeros + none, *v = dump + none;
    float* m = v + pixels.floats();
    std::fill(zeros, zeros + none, 0.f);
    for (int64_t block = begin; block < end; block++) {
      const int64_t first = block * size, num = std::min(size, in.tiles() - first);
      transform<input_axis, IN>(in, from, first, num, 1, pixels, zeros, v);
      for (int p = 0; p < POSITIONS; p++)
        for (int64_t k = 0; k < num_out; k += PANEL)
          multiply_panel<false>(v + p * pixels.apart(), num_in, panels, u, p, k,
                                m + p * products.apart() + k, num_out, num);
      restore(out, m, first, num, products, dump, to);
    }
  });
  return y;
}

// The gradient of `winograd` in its kernels, [C_out, C_in, 3, 3], from x and the gradient in y.
Tensor winograd_kernels(const Tensor& x_any, const Tensor& dy_any) {
  const Tensor x = channels_last(x_any), dy = channels_last(dy_any);
  TORCH_CHECK(x.size(0) == dy.size(0) && x.size(2) == dy.size(2) && x.size(3) == dy.size(3),
              "dy: ", dy.sizes(), ", expected the size of ", x.sizes());
  const int64_t num_in = x.size(1), num_out = dy.size(1);
  const Images in = images_of(x), out = images_of(dy);
  const float *from_x = x.const_data_ptr<float>(), *from_dy = dy.const_data_ptr<float>();
  const int64_t size = tiles_of_a_block(in.tiles(), num_in + num_out, 72);
  const Block pixels{size, num_in}, gradients{size, num_out};
  const int64_t blocks = (in.tiles() + size - 1) / size;
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), blocks));
  const int64_t each = POSITIONS * num_in * num_out;
  const Tensor sums = at::zeros({parts, each}, x.options());
  float* all_sums = sums.mutable_data_ptr<float>();
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    thread_local std::vector<float> scratch;
    const int64_t none = std::max(num_in, num_out);
    scratch.resize(none + pixels.floats() + gradients.floats());
    float *zeros = scratch.data(), *v = zeros + none, *m = v + pixels.floats();
    std::fill(zeros, zeros + none, 0.f);
    for (int64_t part = begin; part < end; part++)
      for (int64_t block = blocks * part / parts; block < blocks * (part + 1) / parts; block++) {
        const int64_t first = block * size, num = std::min(size, in.tiles() - first);
        transform<input_axis, IN>(in, from_x, first, num, 1, pixels, zeros, v);
        transform<gradient_axis, OUT>(out, from_dy, first, num, 0, gradients, zeros, m);
        for (int p = 0; p < POSITIONS; p++)
          add_transposed(v + p * pixels.apart(), num_in, m + p * gradients.apart(), num_out,
                         all_sums + part * each + p * num_in * num_out, num_in, num);
      }
  });
  const Tensor dw = at::empty({3, 3, num_in, num_out}, x.options());
  float* to = dw.mutable_data_ptr<float>();
  at::parallel_for(0, num_in, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * num_out; i < end * num_out; i += LANES)
      both_axes<kernel_gradient_axis, IN, 3>(
          [&](int y, int x) {
            const float* from = all_sums + (y * IN + x) * num_in * num_out + i;
            Lanes sum = load(from);
            for (int64_t part = 1; part < parts; part++) sum += load(from + part * each);
            return sum;
          },
          [&](int y, int x, Lanes v) { store(to + (y * 3 + x) * num_in * num_out + i, v); });
  });
  return dw.permute({3, 2, 0, 1});
}

TORCH_LIBRARY_IMPL(stylegan2, CPU, m) {
  m.impl("winograd", &winograd);
  m.impl("winograd_kernels", &winograd_kernels);
}

}  // namespace stylegan2
