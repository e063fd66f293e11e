// The machine's read bandwidth, as a decode step could use it.
#pragma once

namespace tidal {

// Bytes per second that `threads` threads read from a buffer far larger than the caches: the best
// of several passes, about half a second in total.
double measure_read_bandwidth(int threads);

}  // namespace tidal
