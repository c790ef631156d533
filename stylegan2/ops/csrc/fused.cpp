// Whole layers on the CPU, in float32: the steps of a layer and of its gradient without a call of
// an operator from Python for each, and without a graph of them. Gradients of the first order alone.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/sum.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "operators.h"
#include "tensors.h"

namespace stylegan2 {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using Maybe = std::optional<Tensor>;
using Numbers = at::ArrayRef<double>;

constexpr int64_t BLOCK = 128;    // pixels whose sum is kept in float32
constexpr int64_t GRAIN = 32768;  // numbers that are worth a thread
constexpr double EPSILON = 1e-8;

Tensor or_none(const Maybe& x) { return x ? *x : Tensor(); }
bool wanted(const Tensor& x) { return x.defined() && x.requires_grad(); }
bool wanted(const Maybe& x) { return x && wanted(*x); }

// ---- A resampled convolution, with the shape of what it took. ----

// A filter along both axes, as `upfirdn2d` takes it.
struct Filter {
  std::vector<double> rows, cols;
  int64_t terms = 0;
  std::vector<int64_t> y, x;

  Filter(Numbers rows, Numbers cols, at::IntArrayRef settings)
      : rows(rows.vec()), cols(cols.vec()) {
    if (settings.empty()) return;
    TORCH_CHECK(settings.size() == 9, "filter: expected the number of terms and two axes");
    terms = settings[0];
    y = settings.slice(1, 4).vec();
    x = settings.slice(5, 4).vec();
  }
  bool is_there() const { return terms > 0; }
  Tensor of(const Tensor& in) const { return upfirdn2d(in, rows, cols, terms, y, x); }

  // The gradient in an image of this size.
  Tensor back(const Tensor& dy, int64_t height, int64_t width) const {
    return upfirdn2d(dy, reversed(rows), reversed(cols), terms,
                     adjoint(height, rows.size() / terms, y),
                     adjoint(width, cols.size() / terms, x));
  }

 private:
  std::vector<double> reversed(const std::vector<double>& taps) const {
    std::vector<double> out = taps;
    const auto length = int64_t(taps.size()) / terms;
    for (int64_t t = 0; t < terms; t++)
      std::reverse(out.begin() + t * length, out.begin() + (t + 1) * length);
    return out;
  }
  static std::vector<int64_t> adjoint(int64_t size, int64_t taps, const std::vector<int64_t>& a) {
    const int64_t up = a[0], down = a[1], before = a[2];
    const int64_t size_out = (size * up + before + a[3] - taps) / down + 1;
    const int64_t used = size * up - size_out * down;
    return {down, up, taps - 1 - before, used + before - up + 1};
  }
};

// Pixels by channels of images whose channels lie side by side.
Tensor matrix(const Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }
Tensor images(const Tensor& rows, const Tensor& like) {
  return rows.view({like.size(0), like.size(2), like.size(3), rows.size(1)}).permute({0, 3, 1, 2});
}

struct Convolution {
  Filter filter;
  bool is_filtered_first;
  int64_t stride, padding;
  bool is_transposed;
  int64_t lanes, min_tiles, min_width;  // where the own convolutions are the quicker ones

  Convolution(at::IntArrayRef a, Numbers rows, Numbers cols, at::IntArrayRef filter)
      : filter(rows, cols, filter) {
    TORCH_CHECK(a.size() == 7, "conv: expected 7 numbers");
    is_filtered_first = a[0];
    stride = a[1], padding = a[2];
    is_transposed = a[3];
    lanes = a[4], min_tiles = a[5], min_width = a[6];
  }

  // What is convolved, and the convolved and filtered images.
  Tensor enter(const Tensor& x) const {
    const Tensor in = channels_last(x);
    return filter.is_there() && is_filtered_first ? filter.of(in) : in;
  }
  Tensor forward(const Tensor& in, const Tensor& w) const {
    const Tensor y = convolve(in, w);
    return filter.is_there() && !is_filtered_first ? filter.of(y) : y;
  }

  // The gradients in the images that entered (of this size) and in the kernels.
  std::pair<Tensor, Tensor> backward(const Tensor& dy_any, const Tensor& in, const Tensor& w,
                                     at::IntArrayRef size, bool wants_x, bool wants_w) const {
    Tensor dy = dy_any;
    if (filter.is_there() && !is_filtered_first) {
      const auto inner = convolved_size(in, w);
      dy = filter.back(dy, inner.first, inner.second);
    }
    auto [dx, dw] = gradients(dy, in, w, wants_x, wants_w);
    if (wants_x && filter.is_there() && is_filtered_first)
      dx = filter.back(dx, size[2], size[3]);
    return {dx, dw};
  }

 private:
  bool is_pointwise(const Tensor& w) const { return w.size(2) == 1 && w.size(3) == 1; }
  bool is_compiled(const Tensor& w) const {
    return w.size(0) % lanes == 0 && w.size(1) % lanes == 0;
  }
  bool suits_winograd(const Tensor& x, const Tensor& w) const {
    if (stride != 1 || padding != 1 || is_transposed || w.size(2) != 3 || w.size(3) != 3)
      return false;
    return (x.size(2) + 3) / 4 * ((x.size(3) + 3) / 4) >= min_tiles && is_compiled(w);
  }
  bool suits_strided(const Tensor& x, const Tensor& w) const {
    const int64_t width = is_transposed ? x.size(3) : x.size(3) / stride;
    return stride > 1 && padding == 0 && width >= min_width && is_compiled(w);
  }
  // Kernels as they are kept are [C_out, C_in, k, k]; transposed convolution takes [C_in, C_out].
  Tensor oriented(const Tensor& w) const { return is_transposed ? w.transpose(0, 1) : w; }

  std::pair<int64_t, int64_t> convolved_size(const Tensor& in, const Tensor& w) const {
    auto one = [&](int64_t size, int64_t taps) {
      return is_transposed ? (size - 1) * stride - 2 * padding + taps
                           : (size + 2 * padding - taps) / stride + 1;
    };
    return {one(in.size(2), w.size(2)), one(in.size(3), w.size(3))};
  }

  Tensor convolve(const Tensor& x, const Tensor& w) const {
    if (is_pointwise(w)) return images(at::mm(matrix(x), w.view({w.size(0), -1}).t()), x);
    if (suits_winograd(x, w)) return winograd(x, w);
    return at::convolution(x, oriented(w), {}, {stride, stride}, {padding, padding}, {1, 1},
                           is_transposed, {0, 0}, 1);
  }

  std::pair<Tensor, Tensor> gradients(const Tensor& dy, const Tensor& x, const Tensor& w,
                                      bool wants_x, bool wants_w) const {
    if (is_pointwise(w)) {
      const Tensor rows = matrix(dy);
      return {wants_x ? images(at::mm(rows, w.view({w.size(0), -1})), x) : Tensor(),
              wants_w ? at::mm(rows.t(), matrix(x)).view_as(w) : Tensor()};
    }
    if (suits_winograd(x, w))
      return {wants_x ? winograd(dy, w.flip({2, 3}).transpose(0, 1)) : Tensor(),
              wants_w ? winograd_kernels(x, dy) : Tensor()};
    Tensor dw;
    const bool is_own = wants_w && suits_strided(x, w);
    if (is_own) {
      const Tensor &fine = is_transposed ? dy : x, &coarse = is_transposed ? x : dy;
      dw = strided_kernels(fine, coarse, stride, w.size(2), w.size(3));
    }
    Tensor dx;
    if (wants_x || (wants_w && !is_own)) {
      auto [first, second, _] = at::convolution_backward(
          dy, x, oriented(w), {}, {stride, stride}, {padding, padding}, {1, 1}, is_transposed,
          {0, 0}, 1, {wants_x, wants_w && !is_own, false});
      dx = first;
      if (second.defined()) dw = second;
    }
    return {dx, dw.defined() ? oriented(dw) : dw};
  }
};

// ---- Bias and activation, one factor for all. ----

struct Rows {
  int64_t num, channels;

  explicit Rows(const Tensor& x) : num(x.numel() / std::max<int64_t>(x.size(1), 1)),
                                   channels(x.size(1)) {}
  int64_t blocks() const { return (num + BLOCK - 1) / BLOCK; }

  // Call f(first row, last row + 1, number of the block).
  template <typename F>
  void each_block(F f) const {
    at::parallel_for(0, blocks(), 1 + GRAIN / (BLOCK * std::max<int64_t>(channels, 1)),
                     [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; k++) f(k * BLOCK, std::min(num, (k + 1) * BLOCK), k);
    });
  }
};

// y = bend(y * scale + b), in place; channels lie side by side.
void bend_(const Tensor& y, double scale, const Tensor& b, const Shape<float>& shape) {
  const Rows rows(y);
  float* py = y.mutable_data_ptr<float>();
  const Tensor bias = b.defined() ? b.contiguous() : b;
  const float* pb = b.defined() ? bias.const_data_ptr<float>() : nullptr;
  rows.each_block([&](int64_t first, int64_t end, int64_t) {
    const auto local = shape;
    const float factor = scale;
    for (int64_t row = first; row < end; row++) {
      float* to = py + row * rows.channels;
      if (pb) {
#pragma omp simd
        for (int64_t c = 0; c < rows.channels; c++) to[c] = bend(to[c] * factor + pb[c], local);
      } else {
#pragma omp simd
        for (int64_t c = 0; c < rows.channels; c++) to[c] = bend(to[c] * factor, local);
      }
    }
  });
}

// The gradients of bend_ in what it scaled and in the bias, from the result.
std::pair<Tensor, Tensor> bend_back(const Tensor& dy_any, const Tensor& y, double scale,
                                    const Shape<float>& shape, bool wants_b) {
  const Tensor dy = laid_out_like(dy_any, y), out = at::empty_like(y);
  const Rows rows(y);
  const float *pd = dy.const_data_ptr<float>(), *py = y.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  std::vector<float> parts(wants_b ? rows.blocks() * rows.channels : 0);
  rows.each_block([&](int64_t first, int64_t end, int64_t block) {
    const auto local = shape;
    const float factor = scale;
    float* sum = parts.data() + block * rows.channels;
    for (int64_t row = first; row < end; row++) {
      const int64_t i = row * rows.channels;
      if (wants_b) {
#pragma omp simd
        for (int64_t c = 0; c < rows.channels; c++) {
          const float delta = pd[i + c] * bend_first(py[i + c], local);
          sum[c] += delta;
          to[i + c] = delta * factor;
        }
      } else {
#pragma omp simd
        for (int64_t c = 0; c < rows.channels; c++)
          to[i + c] = pd[i + c] * bend_first(py[i + c], local) * factor;
      }
    }
  });
  Tensor db;
  if (wants_b) {
    std::vector<double> sums(rows.channels);
    for (int64_t i = 0; i < int64_t(parts.size()); i++) sums[i % rows.channels] += parts[i];
    db = at::empty({rows.channels}, y.options().memory_format(at::MemoryFormat::Contiguous));
    std::copy(sums.begin(), sums.end(), db.mutable_data_ptr<float>());
  }
  return {out, db};
}

// ---- What the gradient is told of the forward pass. ----

struct Bend {
  double slope, gain, clamp;

  Shape<float> shape() const { return bent<float>(slope, gain, clamp); }
  bool changes() const { return slope != 1 || gain != 1 || clamp != INFINITY; }
};

template <typename T>
struct Kept : torch::CustomClassHolder {
  T value;
  explicit Kept(T value) : value(std::move(value)) {}
};

template <typename T>
void keep(AutogradContext* ctx, T value) {
  c10::intrusive_ptr<torch::CustomClassHolder> kept = c10::make_intrusive<Kept<T>>(std::move(value));
  ctx->saved_data["kept"] = c10::IValue::make_capsule(std::move(kept));
}

template <typename T>
const T& kept(AutogradContext* ctx) {
  return static_cast<Kept<T>*>(ctx->saved_data["kept"].toCapsule().get())->value;
}

void check_first_order() {
  TORCH_CHECK(!at::GradMode::is_enabled(),
              "gradients of a graph made within no_second_derivative() cannot be differentiated"
              " again: leave that context for what needs second derivatives");
}

void check_float(std::initializer_list<Tensor> tensors) {
  for (const Tensor& x : tensors)
    TORCH_CHECK(!x.defined() || (x.scalar_type() == at::kFloat && x.is_cpu()),
                "expected float32 on the CPU, found ", x.scalar_type());
}

// ---- Convolution, bias, activation. ----

struct ConvLayer {
  Convolution convolution;
  double weight_gain;
  Bend bend;
  std::vector<int64_t> size;
  bool wants_x = false, wants_w = false, wants_b = false;

  // The result, and what was convolved.
  std::pair<Tensor, Tensor> forward(const Tensor& x, const Tensor& w, const Tensor& b) const {
    const Tensor in = convolution.enter(x);
    const Tensor y = channels_last(convolution.forward(in, w));
    bend_(y, weight_gain, b, bend.shape());
    return {y, in};
  }
};

struct ConvFunction : Function<ConvFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& w, const Maybe& b,
                        ConvLayer layer) {
    at::AutoDispatchBelowADInplaceOrView guard;
    layer.size = x.sizes().vec();
    layer.wants_x = wanted(x), layer.wants_w = wanted(w), layer.wants_b = wanted(b);
    auto [y, in] = layer.forward(x, w, or_none(b));
    ctx->save_for_backward({layer.wants_w ? in : in.detach(), w, y});
    keep(ctx, std::move(layer));
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    check_first_order();
    at::AutoDispatchBelowADInplaceOrView guard;
    const auto& layer = kept<ConvLayer>(ctx);
    const auto saved = ctx->get_saved_variables();
    auto [delta, db] = bend_back(grads[0], saved[2], layer.weight_gain, layer.bend.shape(),
                                 layer.wants_b);
    auto [dx, dw] = layer.convolution.backward(delta, saved[0], saved[1], layer.size,
                                               layer.wants_x, layer.wants_w);
    return {dx, dw, db, Tensor()};
  }
};

Tensor conv_layer(const Tensor& x, const Tensor& w, const Maybe& b, at::IntArrayRef conv,
                  Numbers rows, Numbers cols, at::IntArrayRef filter, double weight_gain,
                  double slope, double gain, double clamp) {
  check_float({x, w, or_none(b)});
  ConvLayer layer{{conv, rows, cols, filter}, weight_gain, {slope, gain, clamp}, {}};
  if (!at::GradMode::is_enabled() || !(wanted(x) || wanted(w) || wanted(b))) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return layer.forward(x, w, or_none(b)).first;
  }
  return ConvFunction::apply(x, w, b, std::move(layer));
}

// ---- Style, modulated convolution, noise, bias, activation. ----

struct StyleLayer {
  Convolution convolution;
  double affine_gain, affine_bias_gain;
  Bend bend;
  std::vector<int64_t> size;
  bool wants_x = false, wants_w = false, wants_weight = false, wants_affine = false,
       wants_affine_bias = false, wants_strength = false, wants_b = false;
};

struct Styled {
  Tensor styles, in, raw, factor, y;
};

// Squares of kernels [C_out, C_in, k, k] summed over their taps, [C_out, C_in].
Tensor power_of(const Tensor& weight) {
  const Tensor w = weight.contiguous();
  const int64_t num = w.size(0) * w.size(1), taps = w.size(2) * w.size(3);
  const Tensor out = at::empty({w.size(0), w.size(1)}, w.options());
  const float* from = w.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  for (int64_t i = 0; i < num; i++) {
    float sum = 0;
    for (int64_t t = 0; t < taps; t++) sum += from[i * taps + t] * from[i * taps + t];
    to[i] = sum;
  }
  return out;
}

Styled styled(const StyleLayer& l, const Tensor& x, const Tensor& w, const Tensor& weight,
              const Tensor& affine, const Tensor& affine_bias, const Maybe& noise,
              const Maybe& strength, const Tensor& b) {
  Styled s;
  s.styles = at::addmm(affine_bias, w, affine.t(), l.affine_bias_gain, l.affine_gain);
  s.in = l.convolution.enter(modulate(x, s.styles, {}, {}, 1, 1, INFINITY));
  s.raw = channels_last(l.convolution.forward(s.in, weight));

  // Demodulate.
  s.factor = at::mm(at::mul(s.styles, s.styles), power_of(weight).t());
  float* factor = s.factor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < s.factor.numel(); i++) factor[i] = 1 / std::sqrt(factor[i] + float(EPSILON));

  Maybe added;
  if (noise) {
    added = at::mul(*noise, *strength);
    if (added->dim() == 2) added = added->view({1, 1, added->size(0), added->size(1)});
  }
  s.y = modulate(s.raw, s.factor, added, b, l.bend.slope, l.bend.gain, l.bend.clamp);
  return s;
}

struct StyleFunction : Function<StyleFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& w,
                        const Tensor& weight, const Tensor& affine, const Tensor& affine_bias,
                        const Maybe& noise, const Maybe& strength, const Tensor& b,
                        StyleLayer layer) {
    at::AutoDispatchBelowADInplaceOrView guard;
    layer.size = x.sizes().vec();
    layer.wants_x = wanted(x), layer.wants_w = wanted(w), layer.wants_weight = wanted(weight);
    layer.wants_affine = wanted(affine), layer.wants_affine_bias = wanted(affine_bias);
    layer.wants_strength = wanted(strength), layer.wants_b = wanted(b);
    const Styled s = styled(layer, x, w, weight, affine, affine_bias, noise, strength, b);
    ctx->save_for_backward({x, w, weight, affine, or_none(noise), s.styles, s.in, s.raw, s.factor,
                            layer.bend.changes() ? s.y : Tensor()});
    keep(ctx, std::move(layer));
    return s.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    check_first_order();
    at::AutoDispatchBelowADInplaceOrView guard;
    const auto& l = kept<StyleLayer>(ctx);
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], &weight = saved[2], &affine = saved[3];
    const Tensor &noise = saved[4], &styles = saved[5], &in = saved[6], &raw = saved[7];
    const Tensor &factor = saved[8], &y = saved[9];
    const bool wants_styles = l.wants_w || l.wants_affine || l.wants_affine_bias;
    const bool wants_factor = wants_styles || l.wants_weight;

    // Activation, bias, noise, demodulation.
    auto [delta, dfactor, dnoise, db] = modulate_adjoint(
        grads[0], raw, factor, y.defined() ? Maybe(y) : Maybe(), l.bend.slope, l.bend.gain,
        l.bend.clamp, true, wants_factor, l.wants_strength, l.wants_b);
    Tensor dstrength;
    if (l.wants_strength) {
      if (noise.numel() != dnoise.numel()) dnoise = dnoise.sum({0, 1});
      dstrength = at::mul(dnoise.view_as(noise), noise).sum();
    }

    // Convolution, modulation.
    auto [dmodulated, dweight] = l.convolution.backward(delta, in, weight, l.size,
                                                        l.wants_x || wants_styles, l.wants_weight);
    Tensor dx, dstyles;
    if (l.wants_x || wants_styles)
      std::tie(dx, dstyles, std::ignore, std::ignore) =
          modulate_adjoint(dmodulated, x, styles, {}, 1, 1, INFINITY, l.wants_x, wants_styles,
                           false, false);

    // What demodulation says of styles and kernels.
    if (wants_factor) {
      const float* f = factor.const_data_ptr<float>();
      float* d = dfactor.mutable_data_ptr<float>();  // becomes the gradient in the power
      for (int64_t i = 0; i < factor.numel(); i++) d[i] *= -0.5f * f[i] * f[i] * f[i];
    }
    if (wants_styles)
      dstyles.addcmul_(styles, at::mm(dfactor, power_of(weight)), 2);
    if (l.wants_weight) {
      const Tensor more = at::mm(dfactor.t(), at::mul(styles, styles));  // [C_out, C_in]
      dweight = at::empty_like(weight).copy_(dweight);
      const int64_t taps = weight.size(2) * weight.size(3);
      const Tensor kernels = weight.contiguous();
      const float *m = more.const_data_ptr<float>(), *k = kernels.const_data_ptr<float>();
      TORCH_CHECK(dweight.is_contiguous(), "weight: expected contiguous kernels");
      float* to = dweight.mutable_data_ptr<float>();
      for (int64_t i = 0; i < more.numel(); i++)
        for (int64_t t = 0; t < taps; t++) to[i * taps + t] += 2 * m[i] * k[i * taps + t];
    }

    // The affine map.
    Tensor dw, daffine, daffine_bias;
    if (l.wants_w) dw = at::mm(dstyles, affine).mul_(l.affine_gain);
    if (l.wants_affine) daffine = at::mm(dstyles.t(), w).mul_(l.affine_gain);
    if (l.wants_affine_bias) daffine_bias = dstyles.sum(0).mul_(l.affine_bias_gain);
    return {l.wants_x ? dx : Tensor(), dw, dweight, daffine, daffine_bias, Tensor(), dstrength,
            l.wants_b ? db : Tensor(), Tensor()};
  }
};

Tensor style_layer(const Tensor& x, const Tensor& w, const Tensor& weight, const Tensor& affine,
                   const Tensor& affine_bias, const Maybe& noise, const Maybe& strength,
                   const Tensor& b, at::IntArrayRef conv, Numbers rows, Numbers cols,
                   at::IntArrayRef filter, double affine_gain, double affine_bias_gain,
                   double slope, double gain, double clamp) {
  check_float({x, w, weight, affine, affine_bias, or_none(noise), or_none(strength), b});
  StyleLayer layer{{conv, rows, cols, filter}, affine_gain, affine_bias_gain,
                   {slope, gain, clamp}, {}};
  if (!at::GradMode::is_enabled()) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return styled(layer, x, w, weight, affine, affine_bias, noise, strength, b).y;
  }
  return StyleFunction::apply(x, w, weight, affine, affine_bias, noise, strength, b,
                              std::move(layer));
}

// ---- Style, modulated 1x1 convolution to an image, added to the image so far. ----

struct RgbLayer {
  Filter filter;  // of the image so far
  double affine_gain, affine_bias_gain, weight_gain, clamp;
  std::vector<int64_t> size;
  bool wants_x = false, wants_w = false, wants_weight = false, wants_affine = false,
       wants_affine_bias = false, wants_b = false, wants_img = false;
};

struct Painted {
  Tensor in, styles, kernels, y, sum;
};

Painted painted(const RgbLayer& l, const Tensor& x, const Tensor& w, const Tensor& weight,
                const Tensor& affine, const Tensor& affine_bias, const Tensor& b,
                const Maybe& img) {
  Painted p;
  const int64_t num = x.size(0), channels = x.size(1), colors = weight.size(0);
  p.in = channels_last(x).permute({0, 2, 3, 1}).reshape({num, x.size(2) * x.size(3), channels});
  p.styles = at::addmm(affine_bias, w, affine.t(), l.affine_bias_gain * l.weight_gain,
                       l.affine_gain * l.weight_gain);
  p.kernels = at::mul(p.styles.unsqueeze(1), weight.view({1, colors, channels}));
  p.y = at::bmm(p.in, p.kernels.transpose(1, 2)).view({num, x.size(2), x.size(3), colors})
            .permute({0, 3, 1, 2});
  bend_(p.y, 1, b, bent<float>(1, 1, l.clamp));
  p.sum = img ? at::add(l.filter.of(channels_last(*img)), p.y) : p.y;
  return p;
}

struct RgbFunction : Function<RgbFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& w,
                        const Tensor& weight, const Tensor& affine, const Tensor& affine_bias,
                        const Tensor& b, const Maybe& img, RgbLayer layer) {
    at::AutoDispatchBelowADInplaceOrView guard;
    if (img) layer.size = img->sizes().vec();
    layer.wants_x = wanted(x), layer.wants_w = wanted(w), layer.wants_weight = wanted(weight);
    layer.wants_affine = wanted(affine), layer.wants_affine_bias = wanted(affine_bias);
    layer.wants_b = wanted(b), layer.wants_img = wanted(img);
    const Painted p = painted(layer, x, w, weight, affine, affine_bias, b, img);
    ctx->save_for_backward({w, weight, affine, p.in, p.styles, p.kernels,
                            layer.clamp < INFINITY ? p.y : Tensor()});
    keep(ctx, std::move(layer));
    return p.sum;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    check_first_order();
    at::AutoDispatchBelowADInplaceOrView guard;
    const auto& l = kept<RgbLayer>(ctx);
    const auto saved = ctx->get_saved_variables();
    const Tensor &w = saved[0], &weight = saved[1], &affine = saved[2], &in = saved[3];
    const Tensor &styles = saved[4], &kernels = saved[5], &y = saved[6];
    const Tensor dsum = channels_last(grads[0]);
    Tensor dimg;
    if (l.wants_img) dimg = l.filter.back(dsum, l.size[2], l.size[3]);
    const int64_t num = in.size(0), channels = in.size(2), colors = weight.size(0);
    Tensor delta = dsum;
    if (y.defined()) delta = bend_back(dsum, y, 1, bent<float>(1, 1, l.clamp), false).first;
    const Tensor rows =
        delta.permute({0, 2, 3, 1}).reshape({num, dsum.size(2) * dsum.size(3), colors});
    Tensor db, dx, dw, dweight, daffine, daffine_bias;
    if (l.wants_b) db = rows.sum({0, 1});
    if (l.wants_x)
      dx = at::bmm(rows, kernels).view({num, dsum.size(2), dsum.size(3), channels})
               .permute({0, 3, 1, 2});
    const bool wants_styles = l.wants_w || l.wants_affine || l.wants_affine_bias;
    if (wants_styles || l.wants_weight) {
      const Tensor dkernels = at::bmm(rows.transpose(1, 2), in);  // [N, 3, C]
      if (l.wants_weight)
        dweight = at::mul(dkernels, styles.unsqueeze(1)).sum(0).view_as(weight);
      if (wants_styles) {
        const Tensor dstyles = at::mul(dkernels, weight.view({1, colors, channels})).sum(1);
        if (l.wants_w) dw = at::mm(dstyles, affine).mul_(l.affine_gain * l.weight_gain);
        if (l.wants_affine) daffine = at::mm(dstyles.t(), w).mul_(l.affine_gain * l.weight_gain);
        if (l.wants_affine_bias)
          daffine_bias = dstyles.sum(0).mul_(l.affine_bias_gain * l.weight_gain);
      }
    }
    return {dx, dw, dweight, daffine, daffine_bias, db, dimg, Tensor()};
  }
};

Tensor rgb_layer(const Tensor& x, const Tensor& w, const Tensor& weight, const Tensor& affine,
                 const Tensor& affine_bias, const Tensor& b, const Maybe& img, Numbers rows,
                 Numbers cols, at::IntArrayRef filter, double affine_gain,
                 double affine_bias_gain, double weight_gain, double clamp) {
  check_float({x, w, weight, affine, affine_bias, b, or_none(img)});
  RgbLayer layer{{rows, cols, filter}, affine_gain, affine_bias_gain, weight_gain, clamp, {}};
  if (!at::GradMode::is_enabled()) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return painted(layer, x, w, weight, affine, affine_bias, b, img).sum;
  }
  return RgbFunction::apply(x, w, weight, affine, affine_bias, b, img, std::move(layer));
}

// ---- Fully connected layers, one after the other. ----

struct Dense {
  std::vector<double> weight_gains, bias_gains, slopes, gains;

  int64_t size() const { return int64_t(gains.size()); }
  Tensor one(int64_t i, const Tensor& x, const Tensor& w, const Tensor& b) const {
    const Tensor y = at::addmm(b, x, w.t(), bias_gains[i], weight_gains[i]);
    if (Bend{slopes[i], gains[i], INFINITY}.changes())
      bend_(y, 1, {}, bent<float>(slopes[i], gains[i], INFINITY));
    return y;
  }
};

struct DenseFunction : Function<DenseFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, at::TensorList parameters,
                        Dense layers) {
    at::AutoDispatchBelowADInplaceOrView guard;
    variable_list saved{x};
    for (int64_t i = 0; i < layers.size(); i++)
      saved.push_back(layers.one(i, saved.back(), parameters[2 * i], parameters[2 * i + 1]));
    const Tensor y = saved.back();
    for (int64_t i = 0; i < layers.size(); i++) saved.push_back(parameters[2 * i]);
    ctx->save_for_backward(saved);
    std::vector<int64_t> wants{wanted(x)};
    for (const Tensor& p : parameters) wants.push_back(wanted(p));
    ctx->saved_data["wants"] = wants;
    keep(ctx, std::move(layers));
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    check_first_order();
    at::AutoDispatchBelowADInplaceOrView guard;
    const auto& layers = kept<Dense>(ctx);
    const auto saved = ctx->get_saved_variables();
    const auto wants = ctx->saved_data["wants"].toIntVector();
    const int64_t num = layers.size();
    variable_list result(2 * num + 2);
    Tensor dy = grads[0];
    for (int64_t i = num - 1; i >= 0; i--) {
      const Tensor &x = saved[i], &y = saved[i + 1], &w = saved[num + 1 + i];
      if (Bend{layers.slopes[i], layers.gains[i], INFINITY}.changes())
        dy = bend_back(dy, y, 1, bent<float>(layers.slopes[i], layers.gains[i], INFINITY), false)
                 .first;
      if (wants[1 + 2 * i]) result[1 + 2 * i] = at::mm(dy.t(), x).mul_(layers.weight_gains[i]);
      if (wants[2 + 2 * i]) result[2 + 2 * i] = dy.sum(0).mul_(layers.bias_gains[i]);
      const bool goes_on = std::any_of(wants.begin(), wants.begin() + 1 + 2 * i,
                                       [](int64_t wanted) { return wanted; });
      if (!goes_on) break;
      dy = at::mm(dy, w).mul_(layers.weight_gains[i]);
    }
    if (wants[0]) result[0] = dy;
    return result;
  }
};

Tensor dense_layers(const Tensor& x, at::TensorList parameters, Numbers weight_gains,
                    Numbers bias_gains, Numbers slopes, Numbers gains) {
  check_float({x});
  TORCH_CHECK(parameters.size() == 2 * gains.size(), "parameters: expected two a layer");
  Dense layers{weight_gains.vec(), bias_gains.vec(), slopes.vec(), gains.vec()};
  if (!at::GradMode::is_enabled()) {
    at::AutoDispatchBelowADInplaceOrView guard;
    Tensor y = x;
    for (int64_t i = 0; i < layers.size(); i++)
      y = layers.one(i, y, parameters[2 * i], parameters[2 * i + 1]);
    return y;
  }
  return DenseFunction::apply(x, parameters, std::move(layers));
}

TORCH_LIBRARY_IMPL(stylegan2, CPU, m) {  // inference tensors come here
  m.impl("conv_layer", &conv_layer);
  m.impl("style_layer", &style_layer);
  m.impl("rgb_layer", &rgb_layer);
  m.impl("dense_layers", &dense_layers);
}

TORCH_LIBRARY_IMPL(stylegan2, AutogradCPU, m) {
  m.impl("conv_layer", &conv_layer);
  m.impl("style_layer", &style_layer);
  m.impl("rgb_layer", &rgb_layer);
  m.impl("dense_layers", &dense_layers);
}

}  // namespace
}  // namespace stylegan2
