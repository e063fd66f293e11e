// The memory of the poison back end: closed to every access but while an Opening lives.
//
// Whoever touches it without one ends the program where it does so (SIGSEGV).
#pragma once

#include <cstddef>
#include <map>
#include <mutex>

#include "tensor/memory.h"

namespace tidal::test {

class PoisonMemory final : public Memory {
 public:
  bool host_addressable() const override { return false; }
  std::byte* allocate(size_t bytes) override;
  void free(std::byte* memory, size_t bytes) override;
  void copy_in(void* to, const void* host, size_t bytes) override;
  void copy_out(void* host, const void* from, size_t bytes) override;
  void copy(void* to, const void* from, size_t bytes) override;
  void zero(void* memory, size_t bytes) override;

  // Whether all of the bytes lie here, or any.
  bool holds(const void* data, size_t bytes) const;
  bool touches(const void* data, size_t bytes) const;

  class Opening {
   public:
    explicit Opening(PoisonMemory& memory);
    ~Opening();
    Opening(const Opening&) = delete;

   private:
    PoisonMemory& memory_;
  };

 private:
  void protect(int protection);
  template <typename F>
  void with_open(const void* data, size_t bytes, const F& f);

  mutable std::recursive_mutex mutex_;
  std::map<const std::byte*, size_t> regions_;  // bytes of whole pages, by where they begin
  int n_open_ = 0;
};

// One for the whole program: models keep what was prepared in it.
PoisonMemory& poison_memory();

}  // namespace tidal::test
