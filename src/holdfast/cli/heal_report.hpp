#pragma once
// What a healing did, for people and programs; shared by `heal` and `parity repair`.

#include "holdfast/cli/session.hpp"
#include "holdfast/vault/heal.hpp"

namespace holdfast::cli {

/// Prints it; the exit status: 0 when all is well, else that of damage.
int show_heal_report(const Session& session, const vault::HealReport& report);

}    // namespace holdfast::cli
