#include "tensor/memory.h"

#include <sys/mman.h>

#include <cstring>

#include "base/fail.h"

namespace tidal {
namespace {

class HostMemory final : public Memory {
 public:
  bool host_addressable() const override { return true; }

  // mmap gives zeroed pages lazily, so a cache sized for a long context costs nothing until used.
  std::byte* allocate(size_t bytes) override {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      fail(ErrorCode::kExhausted, "cannot allocate {:.1f} MiB of memory",
           static_cast<double>(bytes) / (1 << 20));
    }
    // Gathering scattered rows misses the TLB far less with huge pages.
    if (bytes >= (size_t{4} << 20)) ::madvise(memory, bytes, MADV_HUGEPAGE);
    return static_cast<std::byte*>(memory);
  }
  void free(std::byte* memory, size_t bytes) override { ::munmap(memory, bytes); }

  void copy_in(void* to, const void* host, size_t bytes) override { copy(to, host, bytes); }
  void copy_out(void* host, const void* from, size_t bytes) override { copy(host, from, bytes); }
  void copy(void* to, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void zero(void* memory, size_t bytes) override {
    if (bytes > 0) std::memset(memory, 0, bytes);
  }
};

}  // namespace

Memory& host_memory() {
  static Memory& memory = *new HostMemory;  // never destroyed
  return memory;
}

}  // namespace tidal
