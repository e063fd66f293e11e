// How much memory this process can still fill without the system killing a process.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidal {

// Memory the machine has free or can free, including swap, within the limits of control groups.
// UINT64_MAX if the system does not say.
uint64_t available_memory();

// Throws Error(kExhausted) "WHAT takes N GiB, but …: REMEDY" if that exceeds what is available.
void require_memory(uint64_t bytes, std::string_view what, std::string_view remedy,
                    uint64_t available = available_memory());

}  // namespace tidal
