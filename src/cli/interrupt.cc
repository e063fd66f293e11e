#include "cli/interrupt.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "cli/command.h"

namespace tidal::cli {
namespace {

std::atomic<bool> interrupt_seen{false};
std::atomic<bool> second_interrupt_ends{true};

int wake_fd = -1;

void on_interrupt(int) {
  const int saved = errno;
  if (interrupt_seen.exchange(true) && second_interrupt_ends) _exit(kExitInterrupted);
  eventfd_write(wake_fd, 1);
  errno = saved;
}

}  // namespace

void catch_interrupts(bool keep_running) {
  second_interrupt_ends = !keep_running;
  if (wake_fd < 0) wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;  // a write to the terminal does not fail because of it
  sigaction(SIGINT, &action, nullptr);
  if (!keep_running) sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupt_seen.load(); }
int interrupt_fd() { return wake_fd; }

void reset_interrupt() {
  interrupt_seen.store(false);
  eventfd_t ignored = 0;
  eventfd_read(wake_fd, &ignored);
}

void throw_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace tidal::cli
