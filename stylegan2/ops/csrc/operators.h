// The operators on the CPU that others are made of; each stands where it is defined.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>

namespace stylegan2 {

at::Tensor upfirdn2d(const at::Tensor& x, at::ArrayRef<double> rows, at::ArrayRef<double> cols,
                     int64_t terms, at::IntArrayRef y_axis, at::IntArrayRef x_axis);

at::Tensor modulate(const at::Tensor& x, const at::Tensor& s,
                    const std::optional<at::Tensor>& noise, const std::optional<at::Tensor>& b,
                    double slope, double gain, double clamp);

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> modulate_adjoint(
    const at::Tensor& dy, const at::Tensor& x, const at::Tensor& s,
    const std::optional<at::Tensor>& y, double slope, double gain, double clamp, bool wants_x,
    bool wants_s, bool wants_noise, bool wants_b);

at::Tensor winograd(const at::Tensor& x, const at::Tensor& w);
at::Tensor winograd_kernels(const at::Tensor& x, const at::Tensor& dy);
at::Tensor strided_kernels(const at::Tensor& x, const at::Tensor& dy, int64_t stride,
                           int64_t taps_y, int64_t taps_x);

}  // namespace stylegan2
