// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace experiment {

/// SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed) then ask training to end, and `interrupted`
/// is true. Those that were ignored when the program began (nohup) stay so. A second Ctrl-C ends the program
/// at once; the other two change nothing more, as shells and `timeout` send them twice. Output that nobody
/// reads any more is an error of a print, not the end (SIGPIPE).
void listen_to_signals();

bool interrupted();

}  // namespace experiment
