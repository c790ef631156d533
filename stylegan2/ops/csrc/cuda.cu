// The operators' CUDA kernels. Sums are taken in an order that depends on shapes alone.
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include "cuda.h"

#ifndef STYLEGAN2_MOST_BLOCKS  // a smaller number for tests: then every kernel's outer loop runs
#define STYLEGAN2_MOST_BLOCKS 0x7fffffff
#endif

extern __shared__ double stylegan2_shared[];  // of the sizes given at the launches

namespace stylegan2 {
namespace {

// Kernels take blocks blockIdx.x, blockIdx.x + gridDim.x, ... of those that there are to do. Their
// launch bounds ask for one block a multiprocessor, without which ptxas spills some of float64's.
template <typename Kernel, typename... Arguments>
void launch(Kernel kernel, int64_t blocks, size_t shared, Stream stream, const Arguments&... all) {
  if (blocks == 0) return;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(unsigned(std::min<int64_t>(blocks, STYLEGAN2_MOST_BLOCKS)));
  config.blockDim = dim3(THREADS);
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  cudaLaunchKernelEx(&config, kernel, all...);  // cuda.cpp looks for errors
}

template <typename T>
__device__ T* shared_memory() {
  return reinterpret_cast<T*>(stylegan2_shared);
}

// Division of numbers not below 0, most of which are small.
__device__ __forceinline__ int64_t quotient(int64_t a, int64_t b) {
  return ((a | b) >> 32) == 0 ? int64_t(uint32_t(a) / uint32_t(b)) : a / b;
}

template <typename T, int N>
struct alignas(sizeof(T) * N < VECTOR ? sizeof(T) * N : VECTOR) Vector {
  T v[N];
};

template <int N, typename T>
__device__ __forceinline__ void read(const T* from, Sum<T> (&to)[N]) {
  Vector<T, N> all = {};
  if (from) all = *reinterpret_cast<const Vector<T, N>*>(from);
#pragma unroll
  for (int j = 0; j < N; j++) to[j] = Sum<T>(all.v[j]);
}

template <int N, typename T>
__device__ __forceinline__ void write(T* to, const Sum<T> (&from)[N]) {
  Vector<T, N> all;
#pragma unroll
  for (int j = 0; j < N; j++) all.v[j] = T(from[j]);
  *reinterpret_cast<Vector<T, N>*>(to) = all;
}

// Add up what threads bring that are `low` or a multiple of it apart, within groups of `high`; the
// first `low` threads of each group get the sums. low and high are powers of two. scratch: N *
// THREADS numbers.
template <int N, typename A>
__device__ void add_up(A (&sums)[N], int low, int high, A* scratch) {
  const int me = threadIdx.x;
#pragma unroll
  for (int j = 0; j < N; j++) scratch[j * THREADS + me] = sums[j];
  __syncthreads();
  for (int apart = high / 2; apart >= low; apart /= 2) {
    if (me % high < apart) {
#pragma unroll
      for (int j = 0; j < N; j++) {
        sums[j] += scratch[j * THREADS + me + apart];
        scratch[j * THREADS + me] = sums[j];
      }
    }
    __syncthreads();
  }
}

// ---- Numbers by rows ----

// F: how many numbers go in, what it wants to know of a row, and the result for a number.
template <typename F, int N>
__global__ void __launch_bounds__(THREADS, 1)
    sweep_kernel(const F f, const Numbers<typename F::T> numbers, const Plan plan) {
  using T = typename F::T;
  using A = Sum<T>;
  const int lane = threadIdx.x & (plan.lanes - 1), group = int(threadIdx.x) / plan.lanes;
  const int row_step = plan.is_row_channel ? 0 : THREADS / plan.lanes;
  const int column_step = plan.is_row_channel ? plan.lanes * N : 0;
  for (int64_t block = blockIdx.x; block < plan.down * plan.across; block += gridDim.x) {
    const int64_t down = quotient(block, plan.across), across = block - down * plan.across;
    const int64_t first_row = down * plan.block_rows + group;
    const int64_t first_column = across * plan.block_width + lane * N;
    A sums[N] = {};
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
      const int64_t row = first_row + k * row_step, column = first_column + k * column_step;
      if (row >= plan.rows || column >= plan.width) break;
      const int64_t i = row * plan.width + column;
      A in[F::INPUTS][N], out[N];
#pragma unroll
      for (int n = 0; n < F::INPUTS; n++)
        read<N>(numbers.in[n] ? numbers.in[n] + i : nullptr, in[n]);
      const auto about = f.about(row, plan);
#pragma unroll
      for (int j = 0; j < N; j++) {
        A one[F::INPUTS];
#pragma unroll
        for (int n = 0; n < F::INPUTS; n++) one[n] = in[n][j];
        out[j] = f(one, about, column + j);
        sums[j] += out[j];
      }
      write<N>(numbers.out + i, out);
    }
    if (!numbers.parts) continue;
    A* const scratch = shared_memory<A>();
    if (plan.is_row_channel) {
      A sum[1] = {};
#pragma unroll
      for (int j = 0; j < N; j++) sum[0] += sums[j];
      add_up(sum, 1, plan.lanes, scratch);
      if (lane == 0 && first_row < plan.rows)
        numbers.parts[first_row * plan.across + across] = sum[0];
    } else {
      add_up(sums, plan.lanes, THREADS, scratch);
      if (group == 0 && first_column < plan.width)
#pragma unroll
        for (int j = 0; j < N; j++) numbers.parts[down * plan.width + first_column + j] = sums[j];
    }
    __syncthreads();  // scratch is used again
  }
}

template <typename F>
void sweep(const F& f, const Numbers<typename F::T>& numbers, const Plan& plan, Stream stream) {
  using T = typename F::T;
  constexpr int MANY = VECTOR / sizeof(T);
  const int64_t blocks = plan.down * plan.across;
  const size_t shared = numbers.parts ? plan.vector * THREADS * sizeof(Sum<T>) : 0;
  if (plan.vector == MANY)
    launch(sweep_kernel<F, MANY>, blocks, shared, stream, f, numbers, plan);
  else
    launch(sweep_kernel<F, 1>, blocks, shared, stream, f, numbers, plan);
}

template <typename Number, int ORDER>
struct BiasActOf : BiasAct<Number> {
  using T = Number;
  using A = Sum<T>;
  static constexpr int INPUTS = ORDER + 1;

  struct About {
    int64_t channel;  // of the row; negative if columns have theirs
  };

  __device__ About about(int64_t row, const Plan& plan) const {
    if (!plan.is_row_channel) return {-1};
    return {row - quotient(row, plan.channels) * plan.channels};
  }

  __device__ A operator()(const A (&in)[INPUTS], const About& about, int64_t column) const {
    const int64_t c = about.channel < 0 ? column : about.channel;
    const A bias = this->b ? this->b[c] : A(0), more = this->add ? this->add[c] : A(0);
    const Shape<A>& shape = this->shape;
    const A v = in[ORDER] + bias;
    if constexpr (ORDER == 0) {
      return shape.act <= LRELU ? bend(v, shape) : apply(v, shape);
    } else if constexpr (ORDER == 1) {
      return (in[0] + more) * (this->from_y ? bend_first(in[1], shape) : apply_first(v, shape));
    } else {
      return in[0] * (in[1] + more) * apply_second(v, shape);
    }
  }
};

template <typename Number, bool IS_TANGENT>
struct ModulateOf : Modulate<Number> {
  using T = Number;
  using A = Sum<T>;
  static constexpr int INPUTS = IS_TANGENT ? 3 : 1;

  struct About {
    const A *s, *ds;  // of the image
    A noise;          // of the pixel
  };

  __device__ About about(int64_t row, const Plan& plan) const {
    const int64_t image = quotient(row, this->size), first = image * plan.channels;
    const int64_t pixel = row - image * (this->size - this->noise_step);
    return {this->s ? this->s + first : nullptr, this->ds ? this->ds + first : nullptr,
            this->noise ? this->noise[pixel] : A(0)};
  }

  __device__ A operator()(const A (&in)[INPUTS], const About& about, int64_t c) const {
    A v = about.noise + (this->b ? this->b[c] : A(0));
    if (about.s) v += in[0] * about.s[c];
    if constexpr (IS_TANGENT) {
      if (about.ds) v += in[1] * about.ds[c];
      return v * (this->is_factor ? this->shape.gain : bend_first(in[2], this->shape));
    } else {
      return bend(v, this->shape);
    }
  }
};

// ---- modulate_adjoint ----

template <typename T, int N>
__global__ void __launch_bounds__(THREADS, 1) modulate_adjoint_kernel(const ModulateAdjoint<T> op) {
  using A = Sum<T>;
  A* const scratch = shared_memory<A>();
  const int lane = threadIdx.x & (op.lanes - 1), group = int(threadIdx.x) / op.lanes;
  const int groups = THREADS / op.lanes;
  for (int64_t block = blockIdx.x; block < op.num * op.strips; block += gridDim.x) {
    const int64_t image = quotient(block, op.strips);
    const int64_t first = (block - image * op.strips) * op.strip() + group;
    A rows[ITEMS] = {};  // sums over the channels of a pixel
    for (int64_t start = 0; start < op.channels; start += op.lanes * N) {
      const int64_t c = start + lane * N;
      A sum_s[N] = {}, sum_b[N] = {};
      if (c < op.channels) {
        A scale[N] = {};
        if (op.s) read<N>(op.s + image * op.channels + c, scale);
#pragma unroll
        for (int k = 0; k < ITEMS; k++) {
          const int64_t pixel = first + k * groups;
          if (pixel >= op.size) break;
          const int64_t i = (image * op.size + pixel) * op.channels + c;
          A dy[N], x[N], y[N];
          read<N>(op.dy + i, dy);
          read<N>(op.x ? op.x + i : nullptr, x);
          read<N>(op.y ? op.y + i : nullptr, y);
#pragma unroll
          for (int j = 0; j < N; j++) {
            const A delta = dy[j] * (op.y ? bend_first(y[j], op.shape) : op.shape.gain);
            sum_s[j] += delta * x[j];
            sum_b[j] += delta;
            rows[k] += delta;
            dy[j] = delta * scale[j];
          }
          if (op.dx) write<N>(op.dx + i, dy);
        }
      }
      const int64_t part = block * op.channels + c;
      if (op.parts_s) {
        add_up(sum_s, op.lanes, THREADS, scratch);
        if (group == 0 && c < op.channels) write<N>(op.parts_s + part, sum_s);
        __syncthreads();
      }
      if (op.parts_b) {
        add_up(sum_b, op.lanes, THREADS, scratch);
        if (group == 0 && c < op.channels) write<N>(op.parts_b + part, sum_b);
        __syncthreads();
      }
    }
    if (!op.noise) continue;
    add_up(rows, 1, op.lanes, scratch);
#pragma unroll
    for (int k = 0; k < ITEMS; k++) {
      const int64_t pixel = first + k * groups;
      if (lane == 0 && pixel < op.size) op.noise[image * op.size + pixel] = rows[k];
    }
    __syncthreads();
  }
}

// ---- Sums of parts, in double ----

template <typename A>
__global__ void __launch_bounds__(THREADS, 1) sum_kernel(const Parts<A> p) {
  for (int64_t block = blockIdx.x; block < p.batch * p.channels; block += gridDim.x) {
    const int64_t batch = quotient(block, p.channels), channel = block - batch * p.channels;
    double sum[1] = {};
    for (int64_t i = threadIdx.x; i < p.outer * p.inner; i += THREADS) {
      const int64_t outer = quotient(i, p.inner), inner = i - outer * p.inner;
      sum[0] += p.parts[((batch * p.outer + outer) * p.channels + channel) * p.inner + inner];
    }
    add_up(sum, 1, THREADS, shared_memory<double>());
    if (threadIdx.x == 0) p.out[block] = A(sum[0]);
    __syncthreads();
  }
}

// ---- upfirdn2d ----

constexpr size_t TILE_BYTES = 32 * 1024;  // of shared memory for a block, at most

// Where numbers lie: channels, rows and pixels are so far apart.
struct Strides {
  int64_t image, channel, row, column;

  Strides(int64_t channels, int64_t height, int64_t width, bool is_last)
      : image(channels * height * width), channel(is_last ? 1 : height * width),
        row(is_last ? width * channels : width), column(is_last ? channels : 1) {}
};

// Division by a number that stays the same, exact while both are below 2^16.
struct Divisor {
  int by;
  uint64_t factor;

  explicit Divisor(int by) : by(by), factor((uint64_t(1) << 32) / by + 1) {}
  __device__ __forceinline__ int quotient(int a) const { return int((uint32_t(a) * factor) >> 32); }
};

// What a block makes: rows * columns outputs of so many channels, and the samples they are made of.
// In shared memory a row holds the samples of all the channels, in the order of the images.
struct Tile {
  int channels = 1, rows = 1, columns = 1, in_rows = 1, in_columns = 1;

  static int samples(const Axis& a, int outputs) {
    return std::min(a.size, ((outputs - 1) * a.down + a.taps + a.up - 1) / a.up);
  }
  void fit(const Axis& y, const Axis& x) {
    in_rows = samples(y, rows);
    in_columns = samples(x, columns);
  }
  // Numbers in shared memory: samples, samples filtered along y, and sums of more than one term.
  STYLEGAN2_BOTH int64_t size_in() const { return int64_t(in_rows) * in_columns * channels; }
  STYLEGAN2_BOTH int64_t size_between() const { return int64_t(rows) * in_columns * channels; }
  STYLEGAN2_BOTH int64_t size_out() const { return int64_t(rows) * columns * channels; }
  int64_t bytes(int taps, int terms, size_t number) const {
    const int64_t sums = terms > 1 ? size_out() : 0;
    return (taps + size_in() + size_between() + sums) * number + (rows + columns) * sizeof(Window);
  }
};

template <typename T>
struct Tiled {
  Upfirdn2d<T> op;
  Tile tile;
  Strides in, out;
  int64_t num, channels, down, across, deep;  // tiles: along y, along x, over channels
  Divisor row_in, run_in, row_out, run_out;   // run: of the numbers in a row that vary fastest
};

template <typename T>
__device__ __forceinline__ Sum<T> tap(const Upfirdn2d<T>& op, int i) {
  return op.taps ? op.taps[i] : op.few[i];
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 1) tile_kernel(const __grid_constant__ Tiled<T> p) {
  using A = Sum<T>;
  const Upfirdn2d<T>& op = p.op;
  const Tile& tile = p.tile;
  const int taps_y = op.y.taps * op.terms, num_taps = taps_y + op.x.taps * op.terms;
  A* const taps = shared_memory<A>();
  A* const samples = taps + num_taps;
  A* const between = samples + tile.size_in();
  A* const sums = between + tile.size_between();
  Window* const ys = reinterpret_cast<Window*>(sums + (op.terms > 1 ? tile.size_out() : 0));
  Window* const xs = ys + tile.rows;
  const int me = threadIdx.x;
  const int apart = op.is_last ? tile.channels : 1;    // neighbours along x in shared memory
  const int plane = op.is_last ? 1 : tile.in_columns;  // neighbours along channels
  for (int i = me; i < num_taps; i += THREADS) taps[i] = tap(op, i);

  for (int64_t block = blockIdx.x; block < p.num * p.deep * p.down * p.across; block += gridDim.x) {
    int64_t rest = quotient(block, p.across);
    const int x0 = int(block - rest * p.across) * tile.columns;
    const int64_t over = quotient(rest, p.down);
    const int y0 = int(rest - over * p.down) * tile.rows;
    const int64_t image = quotient(over, p.deep), c0 = (over - image * p.deep) * tile.channels;
    const int rows = std::min(tile.rows, op.y.size_out - y0);
    const int columns = std::min(tile.columns, op.x.size_out - x0);
    const int channels = int(std::min<int64_t>(tile.channels, p.channels - c0));

    // Windows.
    for (int i = me; i < rows; i += THREADS) ys[i] = window(op.y, y0 + i);
    for (int i = me; i < columns; i += THREADS) xs[i] = window(op.x, x0 + i);
    __syncthreads();
    const int first_y = ys[0].first, first_x = xs[0].first;
    const int have_y = std::min(ys[rows - 1].first + ys[rows - 1].count, op.y.size) - first_y;
    const int have_x = std::min(xs[columns - 1].first + xs[columns - 1].count, op.x.size) - first_x;

    // Samples.
    const T* const from = op.in + image * p.in.image + c0 * p.in.channel +
                          first_y * p.in.row + first_x * p.in.column;
    for (int i = me; i < int(tile.size_in()); i += THREADS) {
      const int y = p.row_in.quotient(i), r = i - y * p.row_in.by;
      const int slow = p.run_in.quotient(r), fast = r - slow * p.run_in.by;
      const int x = op.is_last ? slow : fast, c = op.is_last ? fast : slow;
      if (y < have_y && x < have_x && c < channels)
        samples[i] = A(from[y * p.in.row + x * p.in.column + c * p.in.channel]);
    }
    __syncthreads();

    T* const to = op.out + image * p.out.image + c0 * p.out.channel + y0 * p.out.row +
                  x0 * p.out.column;
    for (int term = 0; term < op.terms; term++) {
      // Along y.
      for (int i = me; i < rows * p.row_in.by; i += THREADS) {
        const int y = p.row_in.quotient(i), r = i - y * p.row_in.by;
        const Window w = ys[y];
        const A* t = taps + term * op.y.taps + w.tap;
        const A* s = samples + (w.first - first_y) * p.row_in.by + r;
        A sum = 0;
        for (int k = 0; k < w.count; k++) sum += t[k * op.y.up] * s[k * p.row_in.by];
        between[i] = sum;
      }
      __syncthreads();

      // Along x.
      for (int i = me; i < rows * p.row_out.by; i += THREADS) {
        const int y = p.row_out.quotient(i), r = i - y * p.row_out.by;
        const int slow = p.run_out.quotient(r), fast = r - slow * p.run_out.by;
        const int x = op.is_last ? slow : fast, c = op.is_last ? fast : slow;
        if (x >= columns || c >= channels) continue;
        const Window w = xs[x];
        const A* t = taps + taps_y + term * op.x.taps + w.tap;
        const A* s = between + y * p.row_in.by + c * plane + (w.first - first_x) * apart;
        A sum = term > 0 ? sums[i] : A(0);
        for (int k = 0; k < w.count; k++) sum += t[k * op.x.up] * s[k * apart];
        if (term + 1 < op.terms)
          sums[i] = sum;
        else
          to[y * p.out.row + x * p.out.column + c * p.out.channel] = T(sum);
      }
      __syncthreads();
    }
  }
}

// One thread an output, for filters that are too large for tiles.
template <typename T>
__global__ void __launch_bounds__(THREADS, 1) far_kernel(const __grid_constant__ Tiled<T> p) {
  using A = Sum<T>;
  const Upfirdn2d<T>& op = p.op;
  const int64_t size = op.y.size_out * p.out.row;  // of the outputs of a plane, or of an image
  const int64_t total = p.num * p.out.image;
  for (int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x; i < total;
       i += int64_t(gridDim.x) * THREADS) {
    const int64_t over = quotient(i, size), within = i - over * size;
    const int y = int(quotient(within, p.out.row));
    const int64_t r = within - y * p.out.row;
    const int x = int(quotient(r, p.out.column));
    const int64_t plane = over * op.y.size * p.in.row + (r - x * p.out.column);
    const Window wy = window(op.y, y), wx = window(op.x, x);
    const T* const from = op.in + plane + wy.first * p.in.row + wx.first * p.in.column;
    A sum = 0;
    for (int term = 0; term < op.terms; term++) {
      const int ty = term * op.y.taps + wy.tap;
      const int tx = op.terms * op.y.taps + term * op.x.taps + wx.tap;
      for (int k = 0; k < wy.count; k++) {
        A row = 0;
        for (int l = 0; l < wx.count; l++)
          row += tap(op, tx + l * op.x.up) * A(from[k * p.in.row + l * p.in.column]);
        sum += tap(op, ty + k * op.y.up) * row;
      }
    }
    op.out[i] = T(sum);
  }
}

// About a thousand outputs a block, fewer where their samples take too much shared memory.
template <typename T>
bool find_tile(const Upfirdn2d<T>& op, int64_t channels, Tile& tile) {
  const int side = op.is_last ? 8 : 32;
  tile.rows = std::min(op.y.size_out, side);
  tile.columns = std::min(op.x.size_out, side);
  const int most = op.is_last ? int(64 / sizeof(T)) : 1024 / (tile.rows * tile.columns);
  tile.channels = int(std::min<int64_t>(channels, std::max(1, most)));
  const int taps = (op.y.taps + op.x.taps) * op.terms;
  if (taps > FEW_TAPS) return false;
  for (;;) {
    tile.fit(op.y, op.x);
    if (tile.bytes(taps, op.terms, sizeof(Sum<T>)) <= int64_t(TILE_BYTES)) return true;
    int& longest = tile.rows > tile.columns ? tile.rows : tile.columns;
    int& largest = longest > 4 || tile.channels == 1 ? longest : tile.channels;
    if (largest == 1) return false;
    largest = (largest + 1) / 2;
  }
}

}  // namespace

template <typename T>
void launch_bias_act(int order, const BiasAct<T>& op, const Numbers<T>& numbers, const Plan& plan,
                     Stream stream) {
  if (order == 0) sweep(BiasActOf<T, 0>{op}, numbers, plan, stream);
  if (order == 1) sweep(BiasActOf<T, 1>{op}, numbers, plan, stream);
  if (order == 2) sweep(BiasActOf<T, 2>{op}, numbers, plan, stream);
}

template <typename T>
void launch_modulate(bool is_tangent, const Modulate<T>& op, const Numbers<T>& numbers,
                     const Plan& plan, Stream stream) {
  if (is_tangent)
    sweep(ModulateOf<T, true>{op}, numbers, plan, stream);
  else
    sweep(ModulateOf<T, false>{op}, numbers, plan, stream);
}

template <typename T>
void launch_modulate_adjoint(const ModulateAdjoint<T>& op, Stream stream) {
  constexpr int MANY = VECTOR / sizeof(T);
  const size_t shared = std::max(op.vector, ITEMS) * THREADS * sizeof(Sum<T>);
  if (op.vector == MANY)
    launch(modulate_adjoint_kernel<T, MANY>, op.num * op.strips, shared, stream, op);
  else
    launch(modulate_adjoint_kernel<T, 1>, op.num * op.strips, shared, stream, op);
}

template <typename A>
void launch_sum(const Parts<A>& parts, Stream stream) {
  launch(sum_kernel<A>, parts.batch * parts.channels, THREADS * sizeof(double), stream, parts);
}

template <typename T>
void launch_upfirdn2d(const Upfirdn2d<T>& op, Stream stream) {
  // Planes of separate channels are the channels of one image.
  const int64_t num = op.is_last ? op.num : 1;
  const int64_t channels = op.is_last ? op.channels : op.num * op.channels;
  Tile tile;
  const bool has_tile = find_tile(op, channels, tile);
  const auto run = [&](int columns) { return op.is_last ? tile.channels : columns; };
  const Tiled<T> p = {
      op, tile,
      Strides(channels, op.y.size, op.x.size, op.is_last),
      Strides(channels, op.y.size_out, op.x.size_out, op.is_last),
      num, channels,
      divided_up(op.y.size_out, tile.rows),
      divided_up(op.x.size_out, tile.columns),
      divided_up(channels, tile.channels),
      Divisor(tile.in_columns * tile.channels), Divisor(run(tile.in_columns)),
      Divisor(tile.columns * tile.channels), Divisor(run(tile.columns)),
  };
  if (has_tile) {
    const int taps = (op.y.taps + op.x.taps) * op.terms;
    launch(tile_kernel<T>, num * p.deep * p.down * p.across,
           tile.bytes(taps, op.terms, sizeof(Sum<T>)), stream, p);
  } else {
    launch(far_kernel<T>, divided_up(num * p.out.image, THREADS), 0, stream, p);
  }
}

#define STYLEGAN2_FOR(T)                                                                       \
  template void launch_bias_act<T>(int, const BiasAct<T>&, const Numbers<T>&, const Plan&,     \
                                   Stream);                                                    \
  template void launch_modulate<T>(bool, const Modulate<T>&, const Numbers<T>&, const Plan&,   \
                                   Stream);                                                    \
  template void launch_modulate_adjoint<T>(const ModulateAdjoint<T>&, Stream);                 \
  template void launch_upfirdn2d<T>(const Upfirdn2d<T>&, Stream);

STYLEGAN2_FOR(float)
STYLEGAN2_FOR(double)
STYLEGAN2_FOR(c10::Half)
STYLEGAN2_FOR(c10::BFloat16)
template void launch_sum<float>(const Parts<float>&, Stream);
template void launch_sum<double>(const Parts<double>&, Stream);

}  // namespace stylegan2
