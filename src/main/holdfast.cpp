// The program: real clocks, signals, arguments; all else is in the modules.

#include <string>
#include <vector>

#include "holdfast/cli/run.hpp"
#include "holdfast/os/host.hpp"

int main(int count, char** values) {
    holdfast::os::install_signal_handlers();
    holdfast::os::SystemClock clock;
    return holdfast::cli::run(std::vector<std::string>(values + 1, values + count), clock);
}
