#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <torch/library.h>
namespace c10::cuda {
struct CUDAGuard {
  explicit CUDAGuard(c10::Device) {}
};
}  // namespace c10::cuda
#define CUDA CPU  // where cuda.cpp registers its operators; PyTorch's own headers are read before
