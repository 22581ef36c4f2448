// SPDX-License-Identifier: Apache-2.0
#include "signals.hpp"

#include <signal.h>

#include <atomic>

namespace experiment {

namespace {

std::atomic<bool> asked_to_end = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // else a handler must not write it

}  // namespace

void listen_to_signals() {
  for (int const signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before{};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler == SIG_IGN) continue;
    struct sigaction action{};
    action.sa_handler = [](int) { asked_to_end = true; };
    action.sa_flags = SA_RESTART;
    if (signal == SIGINT) action.sa_flags |= static_cast<int>(SA_RESETHAND);
    ::sigaction(signal, &action, nullptr);
  }
  ::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() { return asked_to_end; }

}  // namespace experiment
