#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"

namespace holdfast::cli {
namespace {

std::string errors_page() {
    std::string page = R"(# Errors

Made by `holdfast internal errors` from the table in `src/holdfast/base/error.hpp`; a test compares the two. With
`--json` an error is `{"error": {"code", "message", "hint", "exit", "retryable"}}` on standard output. "Retry" means that
the same command may succeed later without anyone changing anything.

| Code | Exit status | Retry | Meaning |
|---|---|---|---|
)";
#define HF_ROW(name, exit, retry, meaning) \
    page += fmt::format("| `{}` | {} | {} | {} |\n", #name, exit, (retry) ? "yes" : "no", meaning);
    HF_ERRORS(HF_ROW)
#undef HF_ROW
    return page;
}

}    // namespace

Result<int> run_internal(const std::vector<std::string>& arguments) {
    if (arguments == std::vector<std::string>{"errors"}) {
        print(errors_page());
        return 0;
    }
    return fail(ErrorCode::usage, "`holdfast internal` knows: errors");
}

}    // namespace holdfast::cli
