// What keeps C++ exceptions inside the C interface: guarded() turns them into a status and the
// calling thread's last error.
#pragma once

#include <functional>

#include "tidal/tidal.h"

namespace tidal {

tidal_status guarded(const std::function<void()>& work) noexcept;

// Throws Error naming the function when its caller broke the contract of its pointers.
void need(bool kept, const char* function);

}  // namespace tidal
