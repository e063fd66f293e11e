// Memory: a place for buffers, this machine's own memory or a device's.
//
// The host may dereference what host_memory() hands out, and nothing else: all other memory is
// reached through the calls below, which take effect in order with the operations of the back end
// that reads it (ops/backend.h). A Memory lives as long as the program: models keep weights in it.
// One caller at a time, except for allocate() and free().
#pragma once

#include <cstddef>

namespace tidal {

class Memory {
 public:
  virtual ~Memory() = default;

  virtual bool host_addressable() const = 0;

  // Zeroed and aligned to 64 bytes; bytes > 0. Throws Error(kExhausted) if none is available.
  virtual std::byte* allocate(size_t bytes) = 0;
  virtual void free(std::byte* memory, size_t bytes) = 0;

  // `host` may be reused, or has been filled, when they return.
  virtual void copy_in(void* to, const void* host, size_t bytes) = 0;
  virtual void copy_out(void* host, const void* from, size_t bytes) = 0;
  virtual void copy(void* to, const void* from, size_t bytes) = 0;  // within it, no overlap
  virtual void zero(void* memory, size_t bytes) = 0;
};

// Directly from the operating system: physical memory is taken when touched.
Memory& host_memory();

}  // namespace tidal
