// Calls of operator new, from any thread, in a test program that links this folder: its operator
// new counts.
#pragma once

#include <cstdint>

namespace tidal::test {

int64_t allocation_count();  // so far

}  // namespace tidal::test
