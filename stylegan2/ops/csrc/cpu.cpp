// The operators on the CPU.
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <tuple>
#include <type_traits>
#include <vector>

#include "operators.h"
#include "tensors.h"

namespace stylegan2 {
namespace {

// Rounding to nearest even, in a form that compilers turn into vector code.
template <typename T, typename A>
inline T narrow(A v) {
  if constexpr (std::is_same_v<T, at::BFloat16>) {
    const uint32_t bits = std::bit_cast<uint32_t>(v);
    const uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
    return at::BFloat16(is_nan ? 0x7fc0 : uint16_t(nearest), at::BFloat16::from_bits());
  } else {
    return T(v);
  }
}

// ---- upfirdn2d ----

// out[i] (+)= sum over k of taps[k * step] * in[k * stride + i], i < n.
template <int K, bool ADD, typename In, typename Out, typename A>
void mix_fixed(Out* out, const In* in, int64_t stride, const A* taps, int step, int64_t n) {
  A t[K];
  for (int k = 0; k < K; k++) t[k] = taps[k * step];
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    A sum = t[0] * A(in[i]);
    for (int k = 1; k < K; k++) sum += t[k] * A(in[k * stride + i]);
    if (ADD) sum += A(out[i]);
    out[i] = narrow<Out>(sum);
  }
}

template <bool ADD, typename In, typename Out, typename A>
void mix(Out* out, const In* in, int64_t stride, const A* taps, int step, int count, int64_t n,
         A* scratch) {
  switch (count) {
    case 0:
      if (!ADD) std::fill(out, out + n, Out(0));
      return;
    case 1: return mix_fixed<1, ADD>(out, in, stride, taps, step, n);
    case 2: return mix_fixed<2, ADD>(out, in, stride, taps, step, n);
    case 3: return mix_fixed<3, ADD>(out, in, stride, taps, step, n);
    case 4: return mix_fixed<4, ADD>(out, in, stride, taps, step, n);
  }
  // Four taps at a time, summed up in scratch.
  mix_fixed<4, false>(scratch, in, stride, taps, step, n);
  int k = 4;
  for (; k + 4 < count; k += 4)
    mix_fixed<4, true>(scratch, in + k * stride, stride, taps + k * step, step, n);
  for (; k < count; k++)
    mix_fixed<1, true>(scratch, in + k * stride, stride, taps + k * step, step, n);
  for (int64_t i = 0; i < n; i++) out[i] = narrow<Out>(ADD ? A(out[i]) + scratch[i] : scratch[i]);
}

// Images of `unit` numbers a pixel (the channels, or 1), rows by rows.
template <typename T>
struct Upfirdn2d {
  using A = Sum<T>;
  Axis y, x;
  int64_t unit;
  std::vector<std::vector<A>> rows, cols;  // taps of each term

  struct Scratch {
    std::vector<A> row, sums, more, phase;
  };

  // One row of the result, as the sum of the terms: along y, then along x.
  void row(const T* in, T* out, int out_y, Scratch& s) const {
    const int64_t width = x.size * unit, width_out = x.size_out * unit;
    const Window w = window(y, out_y);
    const bool is_sum = rows.size() > 1;
    for (size_t term = 0; term < rows.size(); term++) {
      mix<false>(s.row.data(), in + w.first * width, width, rows[term].data() + w.tap, y.up,
                 w.count, width, s.more.data());
      if (!is_sum)
        across<false>(s.row.data(), out, cols[term], s);
      else if (term == 0)
        across<false>(s.row.data(), s.sums.data(), cols[term], s);
      else
        across<true>(s.row.data(), s.sums.data(), cols[term], s);
    }
    if (is_sum)
      for (int64_t i = 0; i < width_out; i++) out[i] = narrow<T>(s.sums[i]);
  }

  template <bool ADD, typename Out>
  void across(const A* in, Out* out, const std::vector<A>& taps, Scratch& s) const {
    if (unit < 8 && x.size_out >= 16) return across_phases<ADD>(in, out, taps, s);
    for (int i = 0; i < x.size_out; i++) {
      const Window w = window(x, i);
      mix<ADD>(out + i * unit, in + w.first * unit, unit, taps.data() + w.tap, x.up, w.count, unit,
               s.more.data());
    }
  }

  // Few numbers a pixel: each channel by itself, its samples sorted by phase, so that a run of
  // outputs of one phase is made of runs of samples.
  template <bool ADD, typename Out>
  void across_phases(const A* in, Out* out, const std::vector<A>& taps, Scratch& s) const {
    const int length = (x.size + x.down - 1) / x.down + 1;
    A* sorted = s.phase.data();
    A* result = sorted + int64_t(length) * x.down;
    for (int64_t c = 0; c < unit; c++) {
      for (int phase = 0; phase < x.down; phase++) {
        A* to = sorted + int64_t(phase) * length;
        int64_t n = 0;
        for (int i = phase; i < x.size; i += x.down) to[n++] = in[i * unit + c];
      }
      for (int phase = 0; phase < x.up; phase++) {
        // Outputs phase, phase + up, ... start `down` samples apart.
        const int num = (x.size_out - phase + x.up - 1) / x.up;
        if (num <= 0) continue;
        const int start = phase * x.down - x.before;
        const int first = start >= 0 ? (start + x.up - 1) / x.up : -(-start / x.up);
        const int tap = first * x.up - start;
        std::fill(result, result + num, A(0));
        for (int k = 0; tap + k * x.up < x.taps; k++) {
          // Sample first + k + n * down for n = 0, 1, ..., those that there are.
          const int at = first + k;
          const int low = at >= 0 ? 0 : (-at + x.down - 1) / x.down;
          const int high = at >= x.size ? 0 : std::min(num, (x.size - 1 - at) / x.down + 1);
          if (low >= high) continue;
          const int moved = at + low * x.down;
          const A* from = sorted + int64_t(moved % x.down) * length + moved / x.down;
          mix_fixed<1, true>(result + low, from, 0, taps.data() + tap + k * x.up, 1, high - low);
        }
        for (int n = 0; n < num; n++) {
          Out& to = out[(int64_t(n) * x.up + phase) * unit + c];
          to = narrow<Out>(ADD ? A(to) + result[n] : result[n]);
        }
      }
    }
  }

  void images(const T* in, T* out, int64_t num) const {
    const int64_t image = int64_t(y.size) * x.size * unit;
    const int64_t width_out = x.size_out * unit;
    const int64_t work = std::max<int64_t>(1, width_out * std::max(1, y.taps / y.up));
    at::parallel_for(0, num * y.size_out, 1 + 32768 / work, [&](int64_t begin, int64_t end) {
      Scratch s;
      s.row.resize(x.size * unit);
      s.more.resize(std::max<int64_t>(x.size * unit, width_out));
      s.sums.resize(rows.size() > 1 ? width_out : 0);
      s.phase.resize(x.size + 4 * x.down + x.size_out + 2);
      for (int64_t i = begin; i < end; i++)
        row(in + i / y.size_out * image, out + i * width_out, int(i % y.size_out), s);
    });
  }
};

}  // namespace

Tensor upfirdn2d(const Tensor& x, at::ArrayRef<double> rows, at::ArrayRef<double> cols,
                 int64_t terms, at::IntArrayRef y_axis, at::IntArrayRef x_axis) {
  TORCH_CHECK(x.dim() == 4 && terms > 0, "x: expected [N, C, H, W]");
  const auto format = x.suggest_memory_format();
  const Tensor in = x.contiguous(format);
  const bool is_last = format == at::MemoryFormat::ChannelsLast;
  const int64_t taps_y = rows.size() / terms, taps_x = cols.size() / terms;
  const Axis y = make_axis(x.size(2), taps_y, y_axis);
  const Axis a = make_axis(x.size(3), taps_x, x_axis);
  const Tensor out = at::empty({x.size(0), x.size(1), y.size_out, a.size_out},
                               x.options().memory_format(format));
  by_type(x.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    Upfirdn2d<T> op{y, a, is_last ? x.size(1) : 1, {}, {}};
    for (int64_t t = 0; t < terms; t++) {
      op.rows.emplace_back(rows.begin() + t * taps_y, rows.begin() + (t + 1) * taps_y);
      op.cols.emplace_back(cols.begin() + t * taps_x, cols.begin() + (t + 1) * taps_x);
    }
    op.images(in.const_data_ptr<T>(), out.mutable_data_ptr<T>(),
              is_last ? x.size(0) : x.size(0) * x.size(1));
  });
  return out;
}


namespace {

// One number a channel (or a sample and channel), in the type that sums are taken in.
template <typename A>
std::vector<A> per_channel(const std::optional<Tensor>& x, int64_t size) {
  std::vector<A> values(size, A(0));
  if (!x) return values;
  TORCH_CHECK(x->numel() == size, "b: ", x->numel(), " numbers, expected ", size);
  const Tensor flat = x->contiguous();
  by_type(flat.scalar_type(), [&](auto zero) {
    const auto* from = flat.const_data_ptr<decltype(zero)>();
    for (int64_t i = 0; i < size; i++) values[i] = A(from[i]);
  });
  return values;
}

constexpr int64_t GRAIN = 16384;  // numbers that are worth a thread
constexpr int64_t RUN = 128;      // terms of a sum that is kept in A

// Call f(i, c) for every number i, c its channel; return the sum of the results by channel if
// is_summed. How a sum is split does not depend on the number of threads.
template <typename A, bool IS_SUMMED, typename F>
std::vector<double> sweep(const Layout& l, F f) {
  std::vector<double> sums(IS_SUMMED ? l.channels : 0);
  if (l.inner == 1) {
    const int64_t rows = std::max<int64_t>(RUN, (l.outer + 255) / 256);
    const int64_t blocks = (l.outer + rows - 1) / rows;
    std::vector<double> parts(IS_SUMMED ? blocks * l.channels : 0);
    at::parallel_for(0, blocks, 1 + GRAIN / (rows * l.channels), [&](int64_t begin, int64_t end) {
      std::vector<A> run(IS_SUMMED ? l.channels : 0);
      for (int64_t block = begin; block < end; block++) {
        for (int64_t from = block * rows; from < std::min(l.outer, (block + 1) * rows);
             from += RUN) {
          const int64_t to = std::min({l.outer, (block + 1) * rows, from + RUN});
          std::fill(run.begin(), run.end(), A(0));
          A* sum = run.data();
          for (int64_t row = from; row < to; row++) {
            const int64_t i = row * l.channels;
#pragma omp simd
            for (int64_t c = 0; c < l.channels; c++) {
              const A value = f(i + c, c);
              if (IS_SUMMED) sum[c] += value;
            }
          }
          if (IS_SUMMED)
            for (int64_t c = 0; c < l.channels; c++) parts[block * l.channels + c] += run[c];
        }
      }
    });
    if (IS_SUMMED)
      for (int64_t block = 0; block < blocks; block++)
        for (int64_t c = 0; c < l.channels; c++) sums[c] += parts[block * l.channels + c];
    return sums;
  }
  constexpr int64_t PIECE = 4096;
  const int64_t pieces = (l.inner + PIECE - 1) / PIECE, planes = l.outer * l.channels;
  std::vector<double> parts(IS_SUMMED ? planes * pieces : 0);
  at::parallel_for(0, planes * pieces, 1 + GRAIN / std::clamp<int64_t>(l.inner, 1, PIECE),
                   [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; k++) {
      const int64_t plane = k / pieces, c = plane % l.channels, first = k % pieces * PIECE;
      const int64_t i = plane * l.inner + first, num = std::min(PIECE, l.inner - first);
      A sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < num; j++) {
        const A value = f(i + j, c);
        if (IS_SUMMED) sum += value;
      }
      if (IS_SUMMED) parts[k] = sum;
    }
  });
  if (IS_SUMMED)
    for (int64_t k = 0; k < planes * pieces; k++) sums[k / pieces % l.channels] += parts[k];
  return sums;
}

// ---- bias_act ----

Tensor sums_tensor(const std::vector<double>& sums, const Tensor& x) {
  Tensor out = at::empty({int64_t(sums.size())}, x.options().dtype(sum_type(x)));
  by_type(out.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    std::transform(sums.begin(), sums.end(), out.mutable_data_ptr<T>(),
                   [](double v) { return T(v); });
  });
  return out;
}

// The sweep of bias_act and its derivatives; f makes a result from index, channel and bias.
template <typename T, typename F>
Tensor swept(const Tensor& like, Tensor& out, int64_t dim, const std::optional<Tensor>& b,
             const std::optional<Tensor>& add, bool is_summed, F f) {
  using A = Sum<T>;
  const Layout l = make_layout(like, dim, b || add || is_summed);
  const int64_t channels = like.dim() ? like.size(dim) : 1;
  const auto bias = per_channel<A>(b, b ? channels : l.channels);
  const auto more = per_channel<A>(add, add ? channels : l.channels);
  T* to = out.mutable_data_ptr<T>();
  const A *pb = bias.data(), *pa = more.data();
  auto one = [=](int64_t i, int64_t c) {
    const A value = f(i, pb[c], pa[c]);
    to[i] = narrow<T>(value);
    return value;
  };
  return sums_tensor(is_summed ? sweep<A, true>(l, one) : sweep<A, false>(l, one), like);
}

Tensor bias_act(const Tensor& x, const std::optional<Tensor>& b, int64_t dim, int64_t act,
                double alpha, double gain, double clamp) {
  const Tensor in = dense(x);
  Tensor out = at::empty_like(in);
  by_type(in.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    const auto shape = make_shape<T>(act, alpha, gain, clamp);
    const T* from = in.const_data_ptr<T>();
    if (act <= LRELU)
      swept<T>(in, out, dim, b, {}, false,
               [=](int64_t i, A bias, A) { return bend(A(from[i]) + bias, shape); });
    else
      swept<T>(in, out, dim, b, {}, false,
               [=](int64_t i, A bias, A) { return apply(A(from[i]) + bias, shape); });
  });
  return out;
}

std::tuple<Tensor, Tensor> bias_act_first(
    const Tensor& dy, const std::optional<Tensor>& add, const Tensor& ref,
    const std::optional<Tensor>& b, int64_t dim, int64_t act, double alpha, double gain,
    double clamp, bool from_y, bool is_summed) {
  const Tensor model = dense(ref), in = laid_out_like(dy, model);
  Tensor out = at::empty_like(model), sums;
  by_type(model.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    const auto shape = make_shape<T>(act, alpha, gain, clamp);
    const T *from = in.const_data_ptr<T>(), *at = model.const_data_ptr<T>();
    if (from_y)
      sums = swept<T>(model, out, dim, {}, add, is_summed, [=](int64_t i, A, A more) {
        return (A(from[i]) + more) * bend_first(A(at[i]), shape);
      });
    else
      sums = swept<T>(model, out, dim, b, add, is_summed, [=](int64_t i, A bias, A more) {
        return (A(from[i]) + more) * apply_first(A(at[i]) + bias, shape);
      });
  });
  return {out, sums};
}

std::tuple<Tensor, Tensor> bias_act_second(
    const Tensor& dy, const Tensor& ddx, const std::optional<Tensor>& add, const Tensor& ref,
    const std::optional<Tensor>& b, int64_t dim, int64_t act, double alpha, double gain,
    double clamp, bool is_summed) {
  const Tensor model = dense(ref), first = laid_out_like(dy, model);
  const Tensor second = laid_out_like(ddx, model);
  Tensor out = at::empty_like(model), sums;
  by_type(model.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    const auto shape = make_shape<T>(act, alpha, gain, clamp);
    const T *p = first.const_data_ptr<T>(), *q = second.const_data_ptr<T>();
    const T* at = model.const_data_ptr<T>();
    sums = swept<T>(model, out, dim, b, add, is_summed, [=](int64_t i, A bias, A more) {
      return A(p[i]) * (A(q[i]) + more) * apply_second(A(at[i]) + bias, shape);
    });
  });
  return {out, sums};
}

// ---- modulate: y = bend(x * s + noise + b), one factor a sample and channel ----

// Images with the channels of a pixel side by side. Sums are split in the same way whatever the
// number of threads: by blocks of pixels of one image.
struct Pixels {
  int64_t num, channels, size;

  explicit Pixels(const Tensor& x) : num(x.size(0)), channels(x.size(1)) {
    size = x.size(2) * x.size(3);
  }
  int64_t blocks() const { return (size + RUN - 1) / RUN; }

  // Call f(image, first pixel, last pixel + 1, number of the block).
  template <typename F>
  void each_block(F f) const {
    at::parallel_for(0, num * blocks(), 1 + GRAIN / (RUN * std::max<int64_t>(channels, 1)),
                     [&](int64_t a, int64_t e) {
      for (int64_t k = a; k < e; k++) {
        const int64_t image = k / blocks(), first = k % blocks() * RUN;
        f(image, image * size + first, image * size + std::min(size, first + RUN), k);
      }
    });
  }
};

// Noise of every pixel: none, the same for all images, or one for each.
template <typename A>
struct Noise {
  std::vector<A> values;
  int64_t size, step;

  Noise(const std::optional<Tensor>& x, const Pixels& p) : size(p.size), step(0) {
    if (!x) return;
    values = per_channel<A>(x, x->numel());
    TORCH_CHECK(x->numel() == size || x->numel() == p.num * size, "noise: ", x->numel());
    step = x->numel() == size ? 0 : size;
  }
  A at(int64_t image, int64_t pixel) const {
    return values.empty() ? A(0) : values[image * step + pixel - image * size];
  }
};

}  // namespace

Tensor modulate(const Tensor& x, const Tensor& s, const std::optional<Tensor>& noise,
                const std::optional<Tensor>& b, double slope, double gain, double clamp) {
  const Tensor in = channels_last(x);
  const Tensor out = empty_last(in);
  const Pixels p(in);
  by_type(in.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    const auto shape = bent<T>(slope, gain, clamp);
    const auto scale = per_channel<A>(s, p.num * p.channels), bias = per_channel<A>(b, p.channels);
    const Noise<A> added(noise, p);
    const T* px = in.const_data_ptr<T>();
    T* py = out.mutable_data_ptr<T>();
    p.each_block([&](int64_t image, int64_t first, int64_t end, int64_t) {
      const auto local = shape;  // a copy that no store can change: the loops become vector code
      const A *ps = scale.data() + image * p.channels, *pb = bias.data();
      for (int64_t pixel = first; pixel < end; pixel++) {
        const A r = added.at(image, pixel);
        const T* from = px + pixel * p.channels;
        T* to = py + pixel * p.channels;
#pragma omp simd
        for (int64_t c = 0; c < p.channels; c++)
          to[c] = narrow<T>(bend(A(from[c]) * ps[c] + (r + pb[c]), local));
      }
    });
  });
  return out;
}


namespace {

// The derivative of modulate along (dx, ds, dnoise, db).
Tensor modulate_tangent(const std::optional<Tensor>& dx, const std::optional<Tensor>& ds,
                        const std::optional<Tensor>& dnoise, const std::optional<Tensor>& db,
                        const Tensor& x, const Tensor& s, const std::optional<Tensor>& y,
                        double slope, double gain, double clamp) {
  const Tensor in = channels_last(x), along = dx ? channels_last(dx->to(x.scalar_type())) : in;
  const Tensor result = y ? channels_last(*y) : in, out = empty_last(in);
  const Pixels p(in);
  by_type(in.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    const auto shape = bent<T>(slope, gain, clamp);
    const std::optional<Tensor> scaled = dx ? std::optional<Tensor>(s) : std::nullopt;
    const auto scale = per_channel<A>(scaled, p.num * p.channels);
    const auto more = per_channel<A>(ds, p.num * p.channels), bias = per_channel<A>(db, p.channels);
    const Noise<A> added(dnoise, p);
    const T *px = in.const_data_ptr<T>(), *pd = along.const_data_ptr<T>();
    const T* pr = result.const_data_ptr<T>();
    T* py = out.mutable_data_ptr<T>();
    p.each_block([&](int64_t image, int64_t first, int64_t end, int64_t) {
      const auto local = shape;  // a copy that no store can change: the loops become vector code
      const A *ps = scale.data() + image * p.channels, *pm = more.data() + image * p.channels;
      const A* pb = bias.data();
      for (int64_t pixel = first; pixel < end; pixel++) {
        const A r = added.at(image, pixel);
        const int64_t i = pixel * p.channels;
        if (y) {
#pragma omp simd
          for (int64_t c = 0; c < p.channels; c++) {
            const A v = A(pd[i + c]) * ps[c] + A(px[i + c]) * pm[c] + (r + pb[c]);
            py[i + c] = narrow<T>(v * bend_first(A(pr[i + c]), local));
          }
        } else {
#pragma omp simd
          for (int64_t c = 0; c < p.channels; c++) {
            const A v = A(pd[i + c]) * ps[c] + A(px[i + c]) * pm[c] + (r + pb[c]);
            py[i + c] = narrow<T>(v * local.gain);
          }
        }
      }
    });
  });
  return out;
}

}  // namespace

// The gradients of modulate in x, s, noise and b; empty where not wanted.
std::tuple<Tensor, Tensor, Tensor, Tensor> modulate_adjoint(
    const Tensor& dy, const Tensor& x, const Tensor& s, const std::optional<Tensor>& y,
    double slope, double gain, double clamp, bool wants_x, bool wants_s, bool wants_noise,
    bool wants_b) {
  const Tensor in = channels_last(x), grad = channels_last(dy.to(x.scalar_type()));
  const Tensor result = y ? channels_last(*y) : in;
  const Pixels p(in);
  const auto sum_options = x.options().dtype(sum_type(x));
  Tensor dx = wants_x ? empty_last(in) : at::empty({0}, in.options());
  Tensor ds = at::empty({wants_s ? p.num : 0, p.channels}, sum_options);
  Tensor dnoise = at::empty({wants_noise ? p.num : 0, 1, in.size(2), in.size(3)}, sum_options);
  Tensor db = at::empty({wants_b ? p.channels : 0}, sum_options);
  by_type(in.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    const auto shape = bent<T>(slope, gain, clamp);
    const auto scale = per_channel<A>(s, p.num * p.channels);
    const T *px = in.const_data_ptr<T>(), *pg = grad.const_data_ptr<T>();
    const T* pr = result.const_data_ptr<T>();
    T* pd = wants_x ? dx.mutable_data_ptr<T>() : nullptr;
    A* pn = wants_noise ? dnoise.mutable_data_ptr<A>() : nullptr;
    const int64_t blocks = p.num * p.blocks();
    std::vector<A> parts(wants_s || wants_b ? blocks * 2 * p.channels : 0, A(0));
    p.each_block([&](int64_t image, int64_t first, int64_t end, int64_t block) {
      const auto local = shape;
      std::vector<A> row(3 * p.channels, A(0));
      A *delta = row.data(), *sum_s = delta + p.channels, *sum_b = sum_s + p.channels;
      const A* ps = scale.data() + image * p.channels;
      for (int64_t pixel = first; pixel < end; pixel++) {
        const int64_t i = pixel * p.channels;
        if (y) {
#pragma omp simd
          for (int64_t c = 0; c < p.channels; c++)
            delta[c] = A(pg[i + c]) * bend_first(A(pr[i + c]), local);
        } else {
#pragma omp simd
          for (int64_t c = 0; c < p.channels; c++) delta[c] = A(pg[i + c]) * local.gain;
        }
#pragma omp simd
        for (int64_t c = 0; c < p.channels; c++) {
          sum_s[c] += delta[c] * A(px[i + c]);
          sum_b[c] += delta[c];
        }
        if (pd) {
#pragma omp simd
          for (int64_t c = 0; c < p.channels; c++) pd[i + c] = narrow<T>(delta[c] * ps[c]);
        }
        if (pn) {
          A sum = 0;
#pragma omp simd reduction(+ : sum)
          for (int64_t c = 0; c < p.channels; c++) sum += delta[c];
          pn[pixel] = sum;
        }
      }
      if (!parts.empty())
        std::copy(sum_s, sum_s + 2 * p.channels, parts.data() + block * 2 * p.channels);
    });
    if (!wants_s && !wants_b) return;
    std::vector<double> sum_s(p.num * p.channels), sum_b(p.channels);
    for (int64_t block = 0; block < blocks; block++)
      for (int64_t c = 0; c < p.channels; c++) {
        sum_s[block / p.blocks() * p.channels + c] += parts[block * 2 * p.channels + c];
        sum_b[c] += parts[(block * 2 + 1) * p.channels + c];
      }
    if (wants_s) std::copy(sum_s.begin(), sum_s.end(), ds.mutable_data_ptr<A>());
    if (wants_b) std::copy(sum_b.begin(), sum_b.end(), db.mutable_data_ptr<A>());
  });
  return {dx, ds, dnoise, db};
}


namespace {

TORCH_LIBRARY_IMPL(stylegan2, CPU, m) {
  m.impl("upfirdn2d", &upfirdn2d);
  m.impl("bias_act", &bias_act);
  m.impl("bias_act_first", &bias_act_first);
  m.impl("bias_act_second", &bias_act_second);
  m.impl("modulate", &modulate);
  m.impl("modulate_tangent", &modulate_tangent);
  m.impl("modulate_adjoint", &modulate_adjoint);
}

}  // namespace
}  // namespace stylegan2
