// Ctrl-C and SIGTERM: remembered by a signal handler, asked for where work can stop.
//
// Process-wide; once caught, interrupted() holds until reset.
#pragma once

namespace tidal::cli {

// From now on. A second Ctrl-C before a reset ends the program at once with kExitInterrupted,
// unless `keep_running` (then SIGTERM keeps its default action).
void catch_interrupts(bool keep_running = false);
bool interrupted();
void reset_interrupt();
int interrupt_fd();  // for poll() after a look at interrupted(): readable when it comes

// Thrown out of callbacks on Ctrl-C, and caught where partial results are printed.
struct Interrupted {};
void throw_if_interrupted();

}  // namespace tidal::cli
