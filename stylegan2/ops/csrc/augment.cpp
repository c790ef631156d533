// Moving and colouring images on the CPU: what `models/augment.py` composes of PyTorch's operators,
// in one pass an image, and its adjoint.
//
// An image is continued by reflection, enlarged twice by a filter, sampled bilinearly on a canvas of
// twice its size and a border, and the canvas is reduced by the same filter. Only the part of the
// enlarged image that the canvas sees is computed. Where a map moves whole pixels, the filters
// (orthogonal wavelets) undo each other, and pixels are copied.
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "tensors.h"

namespace stylegan2 {
namespace {

constexpr int LANES = 4;      // numbers of a pixel: its channels, and zeros
constexpr double FAR = 1e8;  // samples from the middle that no image reaches

template <typename A>
struct Pixel {
  A v[LANES];
};

template <typename A>
inline void add(Pixel<A>& to, A weight, const Pixel<A>& from) {
#pragma omp simd
  for (int c = 0; c < LANES; c++) to.v[c] += weight * from.v[c];
}

template <typename A>
inline void add(Pixel<A>* to, A weight, const Pixel<A>* from, int64_t num) {
  A* a = to->v;
  const A* b = from->v;
#pragma omp simd
  for (int64_t i = 0; i < num * LANES; i++) a[i] += weight * b[i];
}

// One axis of all images.
struct Side {
  int size;            // pixels
  int before, after;   // pixels by which it is continued
  int canvas;          // samples

  // The pixel that stands at a place of the continued image, -1 for none.
  int pixel(int i) const {
    if (i < -before || i >= size + after) return -1;
    return i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
  }
};

// What the canvas of an image sees along an axis of the enlarged image: samples first to end - 1.
struct Span {
  int first, end;
  int size() const { return end - first; }
};

template <typename A>
struct Augment {
  using P = Pixel<A>;
  Side x, y;
  std::vector<A> taps;
  int64_t channels;
  const double* maps;    // [N, 2, 3] from output to input pixels, the origin in the middle; or none
  const double* colors;  // [N, C, C + 1], factors of the channels and what is added; or none

  struct Strides {
    int64_t image, channel, row, column;
  };

  struct Scratch {
    std::vector<P> image, across, large, canvas, half;
  };

  int border() const { return int(taps.size()) / 4; }

  // Sample j of the enlarged image is the sum of taps[k] times sample j + k - T / 2 of the image
  // with zeros in between; call f(pixel, tap) for every one that is there.
  template <typename F>
  void each_source(const Side& side, int j, F f) const {
    const int num = int(taps.size());
    for (int k = (j + num / 2) & 1; k < num; k += 2) {
      const int pixel = side.pixel((j + k - num / 2) / 2);
      if (pixel >= 0) f(pixel, 2 * taps[num - 1 - k]);
    }
  }

  Span seen(const Side& side, const double* row) const {
    // The place on the enlarged image is linear on the canvas: its corners bound it.
    const double reach = std::abs(row[0]) * (x.canvas - 1) / 2 + std::abs(row[1]) * (y.canvas - 1) / 2;
    const double middle = row[2] + side.size - 0.5;
    if (!(std::abs(middle) < FAR && reach < FAR)) return {0, 0};
    const double low = middle - reach, high = middle + reach;
    const int first = std::max(int(std::floor(low)) - 1, -2 * side.before);
    const int end = std::min(int(std::floor(high)) + 3, 2 * (side.size + side.after));
    return {first, std::max(first, end)};
  }

  // Call f(canvas sample, enlarged samples at the corners or -1, their weights).
  template <typename F>
  void each_sample(const double* rows, const Span& sx, const Span& sy, F f) const {
    const double wide = (x.canvas - 1) / 2.0, high = (y.canvas - 1) / 2.0;
    for (int i = 0; i < y.canvas; i++)
      for (int j = 0; j < x.canvas; j++) {
        const double at_x = rows[0] * (j - wide) + rows[1] * (i - high) + rows[2] + x.size - 0.5;
        const double at_y = rows[3] * (j - wide) + rows[4] * (i - high) + rows[5] + y.size - 0.5;
        const double floor_x = std::floor(at_x), floor_y = std::floor(at_y);
        if (!(std::abs(floor_x) < 2 * FAR && std::abs(floor_y) < 2 * FAR)) continue;
        const A right = A(at_x - floor_x), down = A(at_y - floor_y);
        const int left = int(floor_x) - sx.first, top = int(floor_y) - sy.first;
        const A weights[4] = {(1 - down) * (1 - right), (1 - down) * right, down * (1 - right),
                              down * right};
        const int64_t to = int64_t(i) * x.canvas + j;
        const int64_t from = int64_t(top) * sx.size() + left;
        if (left >= 0 && top >= 0 && left + 1 < sx.size() && top + 1 < sy.size()) {
          f(to, from, weights[0]);
          f(to, from + 1, weights[1]);
          f(to, from + sx.size(), weights[2]);
          f(to, from + sx.size() + 1, weights[3]);
          continue;
        }
        for (int corner = 0; corner < 4; corner++) {
          const int h = left + (corner & 1), v = top + (corner >> 1);
          if (h >= 0 && h < sx.size() && v >= 0 && v < sy.size())
            f(to, int64_t(v) * sx.size() + h, weights[corner]);
        }
      }
  }

  // The map of image n on the enlarged grid: rows of three.
  std::array<double, 6> enlarged(int64_t n) const {
    std::array<double, 6> rows;
    std::copy(maps + n * 6, maps + n * 6 + 6, rows.begin());
    for (int r = 0; r < 2; r++) {
      double* row = rows.data() + r * 3;
      // Half a sample to the middle of a pixel and back.
      row[2] = 2 * row[2] + 0.5 * (row[0] + row[1]) - 0.5;
    }
    return rows;
  }

  // Whether image n is moved by whole pixels and what is seen of it is all there.
  bool is_shifted(int64_t n) const {
    if (!maps) return true;
    const double* m = maps + n * 6;
    const auto whole = [&](double by, const Side& side) {
      return by == std::floor(by) && std::abs(by) <= side.size - 1 - 2 * border();
    };
    return m[0] == 1 && m[1] == 0 && m[3] == 0 && m[4] == 1 && whole(m[2], x) && whole(m[5], y);
  }

  void read(const A* from, const Strides& s, P* to) const {
    for (int i = 0; i < y.size; i++)
      for (int j = 0; j < x.size; j++, to++)
        for (int64_t c = 0; c < LANES; c++)
          to->v[c] = c < channels ? from[c * s.channel + i * s.row + j * s.column] : A(0);
  }

  void write(const P* from, A* to, const Strides& s) const {
    for (int i = 0; i < y.size; i++)
      for (int j = 0; j < x.size; j++, from++)
        for (int64_t c = 0; c < channels; c++)
          to[c * s.channel + i * s.row + j * s.column] = from->v[c];
  }

  void recolor(int64_t n, P* image, bool is_adjoint) const {
    if (!colors) return;
    const double* map = colors + n * channels * (channels + 1);
    A factors[LANES][LANES] = {}, more[LANES] = {};  // by input, output
    for (int64_t c = 0; c < channels; c++) {
      for (int64_t d = 0; d < channels; d++)
        (is_adjoint ? factors[c][d] : factors[d][c]) = A(map[c * (channels + 1) + d]);
      if (!is_adjoint) more[c] = A(map[c * (channels + 1) + channels]);
    }
    for (int64_t i = 0; i < int64_t(y.size) * x.size; i++) {
      P result;
      std::copy(more, more + LANES, result.v);
      for (int64_t d = 0; d < channels; d++)
        for (int c = 0; c < LANES; c++) result.v[c] += factors[d][c] * image[i].v[d];
      image[i] = result;
    }
  }

  // The image that is seen, in s.image, from the one there.
  void move(int64_t n, Scratch& s, bool is_adjoint) const {
    if (!maps) return;
    if (is_shifted(n)) return shift(n, s, is_adjoint);
    const auto rows = enlarged(n);
    const Span sx = seen(x, rows.data()), sy = seen(y, rows.data() + 3);
    const int64_t wide = sx.size(), num_taps = taps.size();
    const P zero = {};
    s.across.assign(y.size * wide, zero);
    s.large.assign(sy.size() * wide, zero);
    s.canvas.assign(int64_t(y.canvas) * x.canvas, zero);
    s.half.assign(int64_t(y.size) * x.canvas, zero);
    P *image = s.image.data(), *across = s.across.data(), *large = s.large.data();
    P *canvas = s.canvas.data(), *half = s.half.data();
    const auto enlarge_x = [&](auto f) {
      for (int j = 0; j < wide; j++)
        each_source(x, sx.first + j, [&](int pixel, A tap) {
          for (int i = 0; i < y.size; i++)
            f(across[i * wide + j], tap, image[int64_t(i) * x.size + pixel]);
        });
    };
    const auto enlarge_y = [&](auto f) {
      for (int i = 0; i < sy.size(); i++)
        each_source(y, sy.first + i, [&](int pixel, A tap) {
          f(large + i * wide, tap, across + pixel * wide);
        });
    };
    const auto reduce_y = [&](auto f) {
      for (int i = 0; i < y.size; i++)
        for (int k = 0; k < num_taps; k++)
          f(half + int64_t(i) * x.canvas, taps[k], canvas + int64_t(2 * i + k + 1) * x.canvas);
    };
    const auto reduce_x = [&](auto f) {
      for (int i = 0; i < y.size; i++)
        for (int j = 0; j < x.size; j++)
          for (int k = 0; k < num_taps; k++)
            f(image[int64_t(i) * x.size + j], taps[k], half[int64_t(i) * x.canvas + 2 * j + k + 1]);
    };
    const auto clear = [&] { std::fill(s.image.begin(), s.image.end(), zero); };
    if (!is_adjoint) {
      enlarge_x([](P& to, A tap, const P& from) { add(to, tap, from); });
      enlarge_y([&](P* to, A tap, const P* from) { add(to, tap, from, wide); });
      each_sample(rows.data(), sx, sy, [&](int64_t to, int64_t from, A weight) {
        add(canvas[to], weight, large[from]);
      });
      reduce_y([&](P* to, A tap, const P* from) { add(to, tap, from, x.canvas); });
      clear();
      reduce_x([](P& to, A tap, const P& from) { add(to, tap, from); });
    } else {
      reduce_x([](const P& from, A tap, P& to) { add(to, tap, from); });
      reduce_y([&](const P* from, A tap, P* to) { add(to, tap, from, x.canvas); });
      each_sample(rows.data(), sx, sy, [&](int64_t from, int64_t to, A weight) {
        add(large[to], weight, canvas[from]);
      });
      enlarge_y([&](const P* from, A tap, P* to) { add(to, tap, from, wide); });
      clear();
      enlarge_x([](const P& from, A tap, P& to) { add(to, tap, from); });
    }
  }

  void shift(int64_t n, Scratch& s, bool is_adjoint) const {
    const int by_x = int(maps[n * 6 + 2]), by_y = int(maps[n * 6 + 5]);
    if (!by_x && !by_y) return;
    const auto reflect = [](int i, int size) {
      return i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
    };
    s.half.assign(s.image.size(), P{});
    for (int i = 0; i < y.size; i++)
      for (int j = 0; j < x.size; j++) {
        const int64_t seen = int64_t(i) * x.size + j;
        const int64_t at = int64_t(reflect(i + by_y, y.size)) * x.size + reflect(j + by_x, x.size);
        if (is_adjoint)
          add(s.half[at], A(1), s.image[seen]);
        else
          s.half[seen] = s.image[at];
      }
    std::swap(s.half, s.image);
  }

  void images(const A* from, const Strides& in, A* to, const Strides& out, int64_t num,
              bool is_adjoint) const {
    at::parallel_for(0, num, 1, [&](int64_t begin, int64_t end) {
      Scratch s;
      for (int64_t n = begin; n < end; n++) {
        s.image.resize(int64_t(y.size) * x.size);
        read(from + n * in.image, in, s.image.data());
        if (is_adjoint) recolor(n, s.image.data(), true);
        move(n, s, is_adjoint);
        if (!is_adjoint) recolor(n, s.image.data(), false);
        write(s.image.data(), to + n * out.image, out);
      }
    });
  }
};

// By how many pixels all images are continued along an axis: as far as any map sees, and a border
// for the filters, but not beyond what reflection gives.
void set_margins(Side& side, const double* maps, int64_t num, int row, double wide, double high,
                 int border) {
  const double corner = (side.size - 1) / 2.0;
  double low = 0, top = 0;
  for (int64_t n = 0; n < num; n++) {
    const double* m = maps + n * 6 + row * 3;
    const double reach = std::abs(m[0]) * wide + std::abs(m[1]) * high;
    low = n ? std::min(low, m[2] - reach) : m[2] - reach;
    top = n ? std::max(top, m[2] + reach) : m[2] + reach;
  }
  const auto margin = [&](double seen) {
    const double pad = std::ceil(float(seen + 2 * border - corner));  // float: 6 stays 6
    return int(std::clamp(pad, 0.0, double(side.size - 1)));
  };
  side.before = margin(-low);
  side.after = margin(top);
}

Tensor run_augment(const Tensor& images, const Tensor& maps, const Tensor& colors,
                   at::ArrayRef<double> taps, bool is_adjoint) {
  TORCH_CHECK(images.dim() == 4 && images.size(1) <= LANES, "images: expected [N, C, H, W], C <= 4");
  TORCH_CHECK(maps.scalar_type() == at::kDouble && colors.scalar_type() == at::kDouble,
              "maps, colors: expected float64");
  const int64_t num = images.size(0), channels = images.size(1);
  TORCH_CHECK(maps.numel() == 0 || maps.numel() == num * 6, "maps: expected [N, 2, 3]");
  TORCH_CHECK(colors.numel() == 0 || colors.numel() == num * channels * (channels + 1),
              "colors: expected [N, C, C + 1]");
  const Tensor map = maps.contiguous(), color = colors.contiguous();
  const Tensor out = empty_last(images);
  if (!out.numel()) return out;
  const int height = int(images.size(2)), width = int(images.size(3)), border = taps.size() / 4;
  Side x{width, 0, 0, 2 * (width + 2 * border)}, y{height, 0, 0, 2 * (height + 2 * border)};
  const double* pm = map.numel() ? map.const_data_ptr<double>() : nullptr;
  if (pm) {
    set_margins(x, pm, num, 0, (width - 1) / 2.0, (height - 1) / 2.0, border);
    set_margins(y, pm, num, 1, (width - 1) / 2.0, (height - 1) / 2.0, border);
  }
  const auto run = [&](auto zero) {
    using A = decltype(zero);
    const auto strides = [](const Tensor& t) {
      return typename Augment<A>::Strides{t.stride(0), t.stride(1), t.stride(2), t.stride(3)};
    };
    const Augment<A> op{x, y, std::vector<A>(taps.begin(), taps.end()), channels, pm,
                        color.numel() ? color.const_data_ptr<double>() : nullptr};
    op.images(images.const_data_ptr<A>(), strides(images), out.mutable_data_ptr<A>(), strides(out),
              num, is_adjoint);
  };
  TORCH_CHECK(images.scalar_type() == at::kFloat || images.scalar_type() == at::kDouble,
              "images: expected float32 or float64");
  images.scalar_type() == at::kDouble ? run(double()) : run(float());
  return out;
}

Tensor augment(const Tensor& images, const Tensor& maps, const Tensor& colors,
               at::ArrayRef<double> taps) {
  return run_augment(images, maps, colors, taps, false);
}

Tensor augment_adjoint(const Tensor& dy, const Tensor& maps, const Tensor& colors,
                       at::ArrayRef<double> taps) {
  return run_augment(dy, maps, colors, taps, true);
}

TORCH_LIBRARY_IMPL(stylegan2, CPU, m) {
  m.impl("augment", &augment);
  m.impl("augment_adjoint", &augment_adjoint);
}

}  // namespace
}  // namespace stylegan2
