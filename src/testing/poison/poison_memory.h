// The memory of the poison back end: the host is given addresses that nobody can read or write.
//
// Every address has an alias, a fixed distance away, where the bytes really are and which the back
// end alone knows. Whoever touches the memory itself ends the program where it does so (SIGSEGV).
#pragma once

#include <cstddef>
#include <map>
#include <mutex>

#include "tensor/memory.h"

namespace tidal::test {

class PoisonMemory final : public Memory {
 public:
  PoisonMemory();

  bool host_addressable() const override { return false; }
  std::byte* allocate(size_t bytes) override;
  void free(std::byte* memory, size_t bytes) override;
  void copy_in(void* to, const void* host, size_t bytes) override;
  void copy_out(void* host, const void* from, size_t bytes) override;
  void copy(void* to, const void* from, size_t bytes) override;
  void zero(void* memory, size_t bytes) override;

  // Aborts unless all of the bytes lie here. Where they really are.
  template <typename T>
  T* alias(T* memory, size_t bytes) const {
    check_holds(memory, bytes);
    if (memory == nullptr) return nullptr;
    return reinterpret_cast<T*>(alias_ + (reinterpret_cast<const std::byte*>(memory) - base_));
  }

 private:
  void check_holds(const void* memory, size_t bytes) const;
  bool touches(const void* memory, size_t bytes) const;

  std::byte* base_;   // addresses given out
  std::byte* alias_;  // of the first of them
  mutable std::mutex mutex_;
  std::map<size_t, size_t> used_;  // bytes of whole pages, by where they begin from base_
};

// One for the whole program: models keep what was prepared in it.
PoisonMemory& poison_memory();

}  // namespace tidal::test
