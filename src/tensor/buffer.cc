#include "tensor/buffer.h"

#include <utility>

#include "base/check.h"

namespace tidal {

Buffer::Buffer(size_t bytes, Memory& memory)
    : memory_(&memory), data_(bytes == 0 ? nullptr : memory.allocate(bytes)), size_(bytes) {}

Buffer::~Buffer() {
  if (data_ != nullptr) memory_->free(data_, size_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : memory_(other.memory_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Buffer Buffer::clone() const {
  Buffer copy(size_, *memory_);
  memory_->copy(copy.data_, data_, size_);
  return copy;
}

MirroredBuffer::MirroredBuffer(size_t bytes, Memory& memory) : device_(bytes, memory) {
  if (!aliased()) host_ = Buffer(bytes);
}

void MirroredBuffer::push(size_t bytes) const {
  TIDAL_CHECK(bytes <= size());
  if (!aliased()) device_.memory().copy_in(device_.data(), host_.data(), bytes);
}

void MirroredBuffer::pull(size_t bytes) const {
  TIDAL_CHECK(bytes <= size());
  if (!aliased()) device_.memory().copy_out(host_.data(), device_.data(), bytes);
}

}  // namespace tidal
