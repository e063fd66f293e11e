// TIDAL_EXPORT marks what the shared library shows; C and C++.
#pragma once

#define TIDAL_EXPORT __attribute__((visibility("default")))
