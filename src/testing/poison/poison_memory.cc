#include "testing/poison/poison_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <iterator>

#include "base/check.h"
#include "base/fail.h"

namespace tidal::test {
namespace {

constexpr size_t kPage = 4096;

size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

std::byte* PoisonMemory::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  const size_t size = whole_pages(bytes);
  void* memory = ::mmap(nullptr, size, n_open_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail(ErrorCode::kExhausted, "cannot allocate {} bytes", bytes);
  auto* first = static_cast<std::byte*>(memory);
  regions_[first] = size;
  return first;
}

void PoisonMemory::free(std::byte* memory, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto region = regions_.find(memory);
  TIDAL_CHECK(region != regions_.end() && region->second == whole_pages(bytes));
  ::munmap(memory, region->second);
  regions_.erase(region);
}

void PoisonMemory::copy_in(void* to, const void* host, size_t bytes) {
  TIDAL_CHECK(holds(to, bytes) && !touches(host, bytes), "copy in {} bytes", bytes);
  with_open(to, bytes, [&] { std::memcpy(to, host, bytes); });
}

void PoisonMemory::copy_out(void* host, const void* from, size_t bytes) {
  TIDAL_CHECK(holds(from, bytes) && !touches(host, bytes), "copy out {} bytes", bytes);
  with_open(from, bytes, [&] { std::memcpy(host, from, bytes); });
}

void PoisonMemory::copy(void* to, const void* from, size_t bytes) {
  TIDAL_CHECK(holds(to, bytes) && holds(from, bytes), "copy {} bytes", bytes);
  with_open(to, bytes, [&] { with_open(from, bytes, [&] { std::memcpy(to, from, bytes); }); });
}

void PoisonMemory::zero(void* memory, size_t bytes) {
  TIDAL_CHECK(holds(memory, bytes), "zero {} bytes", bytes);
  with_open(memory, bytes, [&] { std::memset(memory, 0, bytes); });
}

// Opening a few pages is much faster than opening all.
template <typename F>
void PoisonMemory::with_open(const void* data, size_t bytes, const F& f) {
  if (bytes == 0) return;
  const std::lock_guard lock(mutex_);
  auto* const first = const_cast<std::byte*>(static_cast<const std::byte*>(data));
  std::byte* const page = first - reinterpret_cast<uintptr_t>(first) % kPage;
  const size_t size = whole_pages(static_cast<size_t>(first - page) + bytes);
  if (n_open_ == 0) ::mprotect(page, size, PROT_READ | PROT_WRITE);
  f();
  if (n_open_ == 0) ::mprotect(page, size, PROT_NONE);
}

bool PoisonMemory::holds(const void* data, size_t bytes) const {
  if (bytes == 0) return true;
  const std::lock_guard lock(mutex_);
  const auto* first = static_cast<const std::byte*>(data);
  const auto after = regions_.upper_bound(first);
  if (after == regions_.begin()) return false;
  const auto& [begin, size] = *std::prev(after);
  return first + bytes <= begin + size;
}

bool PoisonMemory::touches(const void* data, size_t bytes) const {
  if (bytes == 0) return false;
  const std::lock_guard lock(mutex_);
  const auto* first = static_cast<const std::byte*>(data);
  const auto after = regions_.lower_bound(first + bytes);
  if (after == regions_.begin()) return false;
  const auto& [begin, size] = *std::prev(after);
  return first < begin + size;
}

void PoisonMemory::protect(int protection) {
  for (const auto& [begin, size] : regions_) {
    TIDAL_CHECK(::mprotect(const_cast<std::byte*>(begin), size, protection) == 0);
  }
}

PoisonMemory::Opening::Opening(PoisonMemory& memory) : memory_(memory) {
  const std::lock_guard lock(memory_.mutex_);
  if (memory_.n_open_++ == 0) memory_.protect(PROT_READ | PROT_WRITE);
}

PoisonMemory::Opening::~Opening() {
  const std::lock_guard lock(memory_.mutex_);
  if (--memory_.n_open_ == 0) memory_.protect(PROT_NONE);
}

PoisonMemory& poison_memory() {
  static PoisonMemory& memory = *new PoisonMemory;  // never destroyed
  return memory;
}

}  // namespace tidal::test
