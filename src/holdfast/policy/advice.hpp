#pragma once
// One trouble that `holdfast doctor` knows, in one sentence, with what cures it.

#include <string>
#include <vector>

namespace holdfast::policy {

enum class Severity {
    warning,    // will hurt one day
    trouble,    // hurts now, or would at the next restart or restore
};

struct Advice {
    Severity severity = Severity::warning;
    std::string subject;    // "redis", "repository", a component's name
    std::string text;    // one sentence, without a full stop
    std::string cure;    // a command, or what to write into which file; empty: what to do follows from the text
    /// What a server is to be told so that the trouble ends ("maxmemory-policy", "volatile-lru"); empty: only people can.
    std::string setting, value;
};

}    // namespace holdfast::policy
