// Numbers side by side that one instruction works on.
#pragma once

#include <cstring>

namespace classifiers {

#if defined(__AVX512F__)
typedef float Lanes __attribute__((vector_size(64)));
#elif defined(__AVX__)
typedef float Lanes __attribute__((vector_size(32)));
#else
typedef float Lanes __attribute__((vector_size(16)));
#endif

// V is Lanes, or float where fewer channels are left.
template <typename V>
constexpr int WIDTH = sizeof(V) / sizeof(float);

template <typename V>
inline V load(const float* from) {
  V value;
  std::memcpy(&value, from, sizeof(V));
  return value;
}

template <typename V>
inline void store(float* to, V value) {
  std::memcpy(to, &value, sizeof(V));
}

}  // namespace classifiers
