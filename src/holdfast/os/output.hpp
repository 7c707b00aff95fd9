#pragma once
// Standard output, whose reader may sleep for ever: a stop signal ends a write that waits for it.
//
//   A blocked write(2) that has already passed a part on says so when the signal comes, and whoever writes the rest blocks
//   again, with the signal spent. So nothing here blocks in write(2).

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::os {

/// As write_all(), but cancelled within a tenth of a second of stop_requested(), however full the pipe, socket or terminal.
Status write_unless_stopped(int fd, ByteView from);

/// From now on `stdout` writes that way. Once, before anything is printed.
void make_standard_output_stoppable();

}    // namespace holdfast::os
