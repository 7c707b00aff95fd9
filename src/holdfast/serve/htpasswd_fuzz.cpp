// A file of users as anybody may have edited it: what is accepted has a bcrypt hash for every user.

#include "holdfast/serve/htpasswd.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto users =
        holdfast::serve::parse_htpasswd(std::string_view(reinterpret_cast<const char*>(data), size), "users");
    if (!users) return 0;
    for (const auto& [user, hash] : *users) HF_ASSERT(!user.empty() && hash.size() == 60 && hash.starts_with("$2"));
    return 0;
}
