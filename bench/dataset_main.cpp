// hf-dataset OUT SEED SIZE_MB          makes the files of a trading host
// hf-dataset OUT --change PERCENT      changes that share of them in place

#include <fmt/core.h>

#include <cstdlib>
#include <string_view>

#include "holdfast/testing/dataset.hpp"

namespace {

int usage() {
    fmt::print(stderr, "usage: hf-dataset OUT SEED SIZE_MB\n       hf-dataset OUT --change PERCENT\n");
    return 2;
}

}    // namespace

int main(int argc, char** argv) {
    using namespace holdfast;
    if (argc != 4) return usage();
    Status done;
    if (std::string_view(argv[2]) == "--change") {
        const double percent = std::strtod(argv[3], nullptr);
        if (!(percent > 0) || percent > 100) return usage();
        done = testing::change_dataset(argv[1], percent);
    } else {
        const auto megabytes = std::strtoull(argv[3], nullptr, 10);
        if (megabytes == 0) return usage();
        done = testing::make_dataset(argv[1], std::strtoull(argv[2], nullptr, 10), megabytes * 1'000'000);
    }
    if (!done) {
        fmt::print(stderr, "hf-dataset: {}\n", done.error().message);
        if (!done.error().hint.empty()) fmt::print(stderr, "  {}\n", done.error().hint);
        return facts(done.error().code).exit_status;
    }
    return 0;
}
