#include "holdfast/cli/options.hpp"

namespace holdfast::cli {

void Options::filter(FilterArguments& to) {
    value("-H,--host", to.host, "HOST", "only snapshots of this host");
    list("--tag", to.tags, "TAG", "only snapshots with this tag (again: and this one)");
    list("--path", to.paths, "PATH", "only snapshots of exactly these paths");
}

void Options::no_lock(bool& to) {
    flag("--no-lock", to, "take no lock: for storage that is full or cannot be written to");
}

}    // namespace holdfast::cli
