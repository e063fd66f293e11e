// Owned, zeroed memory of one place, aligned to 64 bytes. Movable; throws Error(kExhausted) if none
// is available.
//
// A Buffer knows where its bytes are; whether the host may read them there depends on its memory()
// (tensor/memory.h). A MirroredBuffer is for data that the host and a back end both access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/memory.h"

namespace tidal {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes, Memory& memory = host_memory());
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  // A copy of the contents, in the same memory.
  Buffer clone() const;

  size_t size() const { return size_; }
  Memory& memory() const { return *memory_; }
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
  Memory* memory_ = &host_memory();
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A Buffer with the host's view of it: the same bytes if the host may access them, else a copy that
// push() and pull() bring up to date.
class MirroredBuffer {
 public:
  MirroredBuffer() = default;
  MirroredBuffer(size_t bytes, Memory& memory);

  size_t size() const { return device_.size(); }
  Memory& memory() const { return device_.memory(); }
  template <typename T>
  T* device() const {
    return device_.as<T>();
  }
  template <typename T>
  T* host() const {
    return aliased() ? device_.as<T>() : host_.as<T>();
  }
  // The first `bytes` bytes.
  void push(size_t bytes) const;  // host to device
  void pull(size_t bytes) const;  // device to host

 private:
  bool aliased() const { return device_.memory().host_addressable(); }

  Buffer device_;
  Buffer host_;  // empty if the host can access device_
};

}  // namespace tidal
