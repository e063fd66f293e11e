#include "testing/poison/poison_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <iterator>

#include "base/check.h"
#include "base/fail.h"

namespace tidal::test {
namespace {

constexpr size_t kSize = size_t{16} << 30;  // of addresses; memory is taken where it is written
constexpr size_t kPage = 4096;

std::byte* map(int protection) {
  void* memory =
      ::mmap(nullptr, kSize, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TIDAL_CHECK(memory != MAP_FAILED);
  return static_cast<std::byte*>(memory);
}

size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

PoisonMemory::PoisonMemory() : base_(map(PROT_NONE)), alias_(map(PROT_READ | PROT_WRITE)) {}

// The first gap that is large enough, and a page of nobody's behind it.
std::byte* PoisonMemory::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > kSize / 2) fail(ErrorCode::kExhausted, "cannot allocate {} bytes", bytes);
  const size_t size = whole_pages(bytes) + kPage;
  size_t begin = 0;
  for (const auto& [first, length] : used_) {
    if (first - begin >= size) break;
    begin = first + length;
  }
  if (begin + size > kSize) fail(ErrorCode::kExhausted, "cannot allocate {} bytes", bytes);
  used_[begin] = size;
  return base_ + begin;
}

void PoisonMemory::free(std::byte* memory, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto region = used_.find(static_cast<size_t>(memory - base_));
  TIDAL_CHECK(region != used_.end() && region->second == whole_pages(bytes) + kPage);
  ::madvise(alias_ + region->first, region->second, MADV_DONTNEED);  // zero again
  used_.erase(region);
}

void PoisonMemory::copy_in(void* to, const void* host, size_t bytes) {
  TIDAL_CHECK(!touches(host, bytes), "copy in {} bytes", bytes);
  if (bytes > 0) std::memcpy(alias(to, bytes), host, bytes);
}

void PoisonMemory::copy_out(void* host, const void* from, size_t bytes) {
  TIDAL_CHECK(!touches(host, bytes), "copy out {} bytes", bytes);
  if (bytes > 0) std::memcpy(host, alias(from, bytes), bytes);
}

void PoisonMemory::copy(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(alias(to, bytes), alias(from, bytes), bytes);
}

void PoisonMemory::zero(void* memory, size_t bytes) {
  if (bytes > 0) std::memset(alias(memory, bytes), 0, bytes);
}

void PoisonMemory::check_holds(const void* memory, size_t bytes) const {
  if (bytes == 0) return;
  const std::lock_guard lock(mutex_);
  const auto first = static_cast<size_t>(static_cast<const std::byte*>(memory) - base_);
  const auto after = used_.upper_bound(first);
  TIDAL_CHECK(first < kSize && after != used_.begin(),
              "an operand of {} bytes is not the back end's", bytes);
  const auto& [begin, size] = *std::prev(after);
  TIDAL_CHECK(first + bytes <= begin + size - kPage, "an operand of {} bytes is not the back end's",
              bytes);
}

bool PoisonMemory::touches(const void* memory, size_t bytes) const {
  const auto* first = static_cast<const std::byte*>(memory);
  return first < base_ + kSize && base_ < first + bytes;
}

PoisonMemory& poison_memory() {
  static PoisonMemory& memory = *new PoisonMemory;  // never destroyed
  return memory;
}

}  // namespace tidal::test
