// The operators on CUDA devices: checks, memory and launches. The kernels are in cuda.cu.
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <vector>

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "cuda.h"
#include "tensors.h"

namespace stylegan2 {
namespace {

Stream stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

// Numbers of a parameter on x's device, in the type that sums are taken in.
struct Parameter {
  Tensor values;

  Parameter(const std::optional<Tensor>& from, int64_t size, const Tensor& x) {
    if (!from) return;
    TORCH_CHECK(from->numel() == size, "parameter: ", from->numel(), " numbers, expected ", size);
    TORCH_CHECK(from->device() == x.device(), "parameter: on ", from->device(), ", x on ",
                x.device());
    values = from->to(sum_type(x)).contiguous();
  }
  template <typename A>
  const A* pointer() const { return values.defined() ? values.const_data_ptr<A>() : nullptr; }
};

template <typename T>
const T* pointer(const std::optional<Tensor>& x) {
  return x ? x->const_data_ptr<T>() : nullptr;
}

// Numbers in a vector: as many as fit if rows consist of whole vectors, which begin where they may.
template <typename T, typename... Pointers>
int vector_size(int64_t width, const Pointers*... pointers) {
  constexpr int most = VECTOR / sizeof(T);
  const uintptr_t all = (uintptr_t(0) | ... | uintptr_t(pointers));
  return width % most == 0 && all % VECTOR == 0 ? most : 1;
}

// ---- upfirdn2d ----

Tensor upfirdn2d(const Tensor& x, at::ArrayRef<double> rows, at::ArrayRef<double> cols,
                 int64_t terms, at::IntArrayRef y_axis, at::IntArrayRef x_axis) {
  TORCH_CHECK(x.dim() == 4 && terms > 0, "x: expected [N, C, H, W]");
  const c10::cuda::CUDAGuard guard(x.device());
  const auto format = x.suggest_memory_format();
  const Tensor in = x.contiguous(format);
  const Axis y = make_axis(x.size(2), rows.size() / terms, y_axis);
  const Axis a = make_axis(x.size(3), cols.size() / terms, x_axis);
  const Tensor out = at::empty({x.size(0), x.size(1), y.size_out, a.size_out},
                               x.options().memory_format(format));
  if (out.numel() == 0) return out;
  by_type(x.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    Upfirdn2d<T> op = {in.const_data_ptr<T>(), out.mutable_data_ptr<T>(), y, a, x.size(0),
                       x.size(1), format == at::MemoryFormat::ChannelsLast, int(terms), nullptr,
                       {}};
    std::vector<A> taps(rows.begin(), rows.end());
    taps.insert(taps.end(), cols.begin(), cols.end());
    Tensor many;
    if (taps.size() <= FEW_TAPS) {
      std::copy(taps.begin(), taps.end(), op.few);
    } else {
      const auto type = x.options().device(at::kCPU).dtype(sum_type(x));
      many = at::from_blob(taps.data(), {int64_t(taps.size())}, type).to(x.device());
      op.taps = many.const_data_ptr<A>();
    }
    launch_upfirdn2d(op, stream());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return out;
}

// ---- bias_act ----

// One operation of bias_act on tensors laid out alike, the last of them ref (or x).
std::tuple<Tensor, Tensor> run_bias_act(
    int order, std::initializer_list<Tensor> in, const std::optional<Tensor>& b,
    const std::optional<Tensor>& add, int64_t dim, int64_t act, double alpha, double gain,
    double clamp, bool from_y, bool is_summed) {
  const Tensor& model = *(in.end() - 1);
  const Layout l = make_layout(model, dim, b || add || is_summed);
  const Parameter bias(b, l.channels, model), more(add, l.channels, model);
  const Tensor out = at::empty_like(model);
  const auto sum_options = model.options().dtype(sum_type(model));
  const Tensor sums = at::zeros({is_summed ? l.channels : 0}, sum_options);
  if (out.numel() == 0) return {out, sums};
  by_type(model.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    Numbers<T> numbers = {{}, out.mutable_data_ptr<T>(), nullptr};
    std::transform(in.begin(), in.end(), numbers.in,
                   [](const Tensor& x) { return x.const_data_ptr<T>(); });
    const bool is_row_channel = l.inner > 1;
    const int64_t width = is_row_channel ? l.inner : l.channels;
    const int vector = vector_size<T>(width, numbers.out, numbers.in[0], numbers.in[1],
                                      numbers.in[2]);
    const Plan plan(is_row_channel ? l.outer * l.channels : l.outer, width, l.channels,
                    is_row_channel, vector);
    const Tensor parts = at::empty({is_summed ? plan.parts() : 0}, sum_options);
    if (is_summed) numbers.parts = parts.mutable_data_ptr<A>();
    const auto shape = make_shape<T>(act, alpha, gain, clamp);
    launch_bias_act<T>(order, {shape, bias.pointer<A>(), more.pointer<A>(), from_y}, numbers, plan,
                       stream());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    if (!is_summed) return;
    launch_sum<A>({numbers.parts, sums.mutable_data_ptr<A>(), 1,
                   is_row_channel ? l.outer : plan.down, l.channels,
                   is_row_channel ? plan.across : 1}, stream());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {out, sums};
}

Tensor bias_act(const Tensor& x, const std::optional<Tensor>& b, int64_t dim, int64_t act,
                double alpha, double gain, double clamp) {
  const c10::cuda::CUDAGuard guard(x.device());
  return std::get<0>(
      run_bias_act(0, {dense(x)}, b, {}, dim, act, alpha, gain, clamp, false, false));
}

std::tuple<Tensor, Tensor> bias_act_first(
    const Tensor& dy, const std::optional<Tensor>& add, const Tensor& ref,
    const std::optional<Tensor>& b, int64_t dim, int64_t act, double alpha, double gain,
    double clamp, bool from_y, bool is_summed) {
  const c10::cuda::CUDAGuard guard(ref.device());
  const Tensor model = dense(ref);
  return run_bias_act(1, {laid_out_like(dy, model), model}, from_y ? std::nullopt : b, add, dim,
                      act, alpha, gain, clamp, from_y, is_summed);
}

std::tuple<Tensor, Tensor> bias_act_second(
    const Tensor& dy, const Tensor& ddx, const std::optional<Tensor>& add, const Tensor& ref,
    const std::optional<Tensor>& b, int64_t dim, int64_t act, double alpha, double gain,
    double clamp, bool is_summed) {
  const c10::cuda::CUDAGuard guard(ref.device());
  const Tensor model = dense(ref);
  return run_bias_act(2, {laid_out_like(dy, model), laid_out_like(ddx, model), model}, b, add, dim,
                      act, alpha, gain, clamp, false, is_summed);
}

// ---- modulate ----

// modulate of x, or its derivative along (dx, ds, noise, b); x, dx and y have channels last.
Tensor run_modulate(bool is_tangent, const Tensor& x, const std::optional<Tensor>& dx,
                    const std::optional<Tensor>& y, const std::optional<Tensor>& s,
                    const std::optional<Tensor>& ds, const std::optional<Tensor>& noise,
                    const std::optional<Tensor>& b, double slope, double gain, double clamp) {
  const Tensor out = empty_last(x);
  if (out.numel() == 0) return out;
  const int64_t num = x.size(0), channels = x.size(1), size = x.size(2) * x.size(3);
  const Parameter scale(s, num * channels, x), more(ds, num * channels, x), bias(b, channels, x);
  const Parameter added(noise, noise && noise->numel() != size ? num * size : size, x);
  by_type(x.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    Numbers<T> numbers = {{x.const_data_ptr<T>()}, out.mutable_data_ptr<T>(), nullptr};
    if (is_tangent) {
      numbers.in[0] = pointer<T>(dx);
      numbers.in[1] = ds ? x.const_data_ptr<T>() : nullptr;
      numbers.in[2] = pointer<T>(y);
    }
    const Modulate<T> op = {bent<T>(slope, gain, clamp), scale.pointer<A>(), more.pointer<A>(),
                            added.pointer<A>(), bias.pointer<A>(), size,
                            added.values.defined() && added.values.numel() != size ? size : 0, !y};
    const int vector = vector_size<T>(channels, numbers.out, numbers.in[0], numbers.in[1],
                                      numbers.in[2]);
    launch_modulate(is_tangent, op, numbers, Plan(num * size, channels, channels, false, vector),
                    stream());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return out;
}

Tensor modulate(const Tensor& x, const Tensor& s, const std::optional<Tensor>& noise,
                const std::optional<Tensor>& b, double slope, double gain, double clamp) {
  const c10::cuda::CUDAGuard guard(x.device());
  return run_modulate(false, channels_last(x), {}, {}, s, {}, noise, b, slope, gain, clamp);
}

// A tensor of images as x has them; none where there is none.
std::optional<Tensor> alike(const std::optional<Tensor>& from, const Tensor& x) {
  if (!from) return {};
  TORCH_CHECK(from->sizes() == x.sizes(), "shape ", from->sizes(), ", expected ", x.sizes());
  return channels_last(from->to(x.scalar_type()));
}

Tensor modulate_tangent(const std::optional<Tensor>& dx, const std::optional<Tensor>& ds,
                        const std::optional<Tensor>& dnoise, const std::optional<Tensor>& db,
                        const Tensor& x, const Tensor& s, const std::optional<Tensor>& y,
                        double slope, double gain, double clamp) {
  const c10::cuda::CUDAGuard guard(x.device());
  return run_modulate(true, channels_last(x), alike(dx, x), alike(y, x),
                      dx ? std::optional<Tensor>(s) : std::nullopt, ds, dnoise, db, slope, gain,
                      clamp);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> modulate_adjoint(
    const Tensor& dy, const Tensor& x, const Tensor& s, const std::optional<Tensor>& y,
    double slope, double gain, double clamp, bool wants_x, bool wants_s, bool wants_noise,
    bool wants_b) {
  const c10::cuda::CUDAGuard guard(x.device());
  const Tensor in = channels_last(x), grad = *alike(dy, x);
  const std::optional<Tensor> result = alike(y, x);
  const int64_t num = x.size(0), channels = x.size(1), size = x.size(2) * x.size(3);
  const auto sum_options = x.options().dtype(sum_type(x));
  const Tensor dx = wants_x ? empty_last(in) : at::empty({0}, in.options());
  const Tensor ds = at::zeros({wants_s ? num : 0, channels}, sum_options);
  const Tensor dnoise = at::empty({wants_noise ? num : 0, 1, x.size(2), x.size(3)}, sum_options);
  const Tensor db = at::zeros({wants_b ? channels : 0}, sum_options);
  if (x.numel() == 0) return {dx, ds, dnoise.zero_(), db};
  const Parameter scale(s, num * channels, x);
  by_type(x.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Sum<T>;
    ModulateAdjoint<T> op = {bent<T>(slope, gain, clamp), grad.const_data_ptr<T>(),
                             wants_s ? in.const_data_ptr<T>() : nullptr, pointer<T>(result),
                             wants_x ? scale.pointer<A>() : nullptr,
                             wants_x ? dx.mutable_data_ptr<T>() : nullptr, nullptr, nullptr,
                             wants_noise ? dnoise.mutable_data_ptr<A>() : nullptr, num, size,
                             channels, 0, 0, 0};
    op.share(vector_size<T>(channels, op.dy, op.x, op.y, op.s, op.dx));
    const int64_t strips = num * op.strips;
    const Tensor parts = at::empty({int64_t(wants_s) + wants_b, strips, channels}, sum_options);
    if (wants_s) op.parts_s = parts.mutable_data_ptr<A>();
    if (wants_b) op.parts_b = parts[-1].mutable_data_ptr<A>();
    launch_modulate_adjoint(op, stream());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    if (wants_s)
      launch_sum<A>({op.parts_s, ds.mutable_data_ptr<A>(), num, op.strips, channels, 1}, stream());
    if (wants_b)
      launch_sum<A>({op.parts_b, db.mutable_data_ptr<A>(), 1, strips, channels, 1}, stream());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {dx, ds, dnoise, db};
}

TORCH_LIBRARY_IMPL(stylegan2, CUDA, m) {
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
