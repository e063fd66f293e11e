// The version of the library, read by the build too. Within one minor version the C++ interface
// stays source compatible; the C interface (tidal/tidal.h) stays binary compatible within a major
// one.
#pragma once

#define TIDAL_VERSION_MAJOR 0
#define TIDAL_VERSION_MINOR 2
#define TIDAL_VERSION_PATCH 0
#define TIDAL_VERSION "0.2.0"
