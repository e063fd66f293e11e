// Owned, zeroed host memory, aligned to 64 bytes. Large buffers come straight from the operating
// system and take physical memory only where they are touched. Movable; throws Error(kExhausted)
// when there is none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tidal {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  size_t size() const { return size_; }
  std::byte* data() const { return data_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  std::span<T> span() const {
    return {as<T>(), size_ / sizeof(T)};
  }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tidal
