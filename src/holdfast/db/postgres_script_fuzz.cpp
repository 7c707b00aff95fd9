#include <cstdint>
#include <cstdlib>

#include "holdfast/db/postgres_script.hpp"

// Statements are pieces of the script: together never longer than it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto statements = holdfast::db::split_script({reinterpret_cast<const char*>(data), size});
    if (!statements) return 0;
    std::size_t total = 0;
    for (const std::string& statement : *statements) {
        total += statement.size();
        static_cast<void>(holdfast::db::classify_global(statement));
    }
    if (total > size) std::abort();
    return 0;
}
