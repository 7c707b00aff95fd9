#include "holdfast/cli/storage_credentials.hpp"

#include <fmt/core.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/storage/credentials_text.hpp"

namespace holdfast::cli {
namespace {

constexpr const char* k_key_variables[] = {"AWS_ACCESS_KEY_ID",   "AWS_SECRET_ACCESS_KEY",       "AWS_SESSION_TOKEN",
                                           "AWS_PROFILE",         "AWS_SHARED_CREDENTIALS_FILE", "AZURE_ACCOUNT_NAME",
                                           "AZURE_ACCOUNT_KEY",   "AZURE_ACCOUNT_SAS",           "RESTIC_REST_USERNAME",
                                           "RESTIC_REST_PASSWORD"};

// Storage reads its credentials from the environment when it is opened.
class ScopedEnvironment {
public:
    Status load(const std::string& file) {
        HF_TRY(const struct stat st, os::status_of(file));
        if ((st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
            return fail(
                ErrorCode::denied,
                fmt::format("{} holds keys, and others may read or change it (mode {:04o})", file, st.st_mode & 07777),
                "chmod 600 " + file);
        HF_TRY(const std::string text, os::read_text(file, 1 << 20));
        for (const char* name : k_key_variables) set(name, nullptr);
        HF_TRY(const auto lines, storage::parse_credentials(text, file));
        for (const auto& [name, value] : lines) set(name, value.c_str());
        return {};
    }
    ~ScopedEnvironment() {
        for (auto entry = before_.rbegin(); entry != before_.rend(); ++entry) {
            if (entry->second)
                ::setenv(entry->first.c_str(), entry->second->c_str(), 1);
            else
                ::unsetenv(entry->first.c_str());
        }
    }

private:
    void set(const std::string& name, const char* value) {
        before_.emplace_back(name, os::environment(name.c_str()));
        if (value)
            ::setenv(name.c_str(), value, 1);
        else
            ::unsetenv(name.c_str());
    }
    std::vector<std::pair<std::string, std::optional<std::string>>> before_;
};

}    // namespace

Result<std::unique_ptr<storage::Backend>> open_with_credentials(const std::string& location,
                                                                const storage::BackendOptions& options,
                                                                const std::string& credentials_file, Clock& clock) {
    ScopedEnvironment credentials;
    if (!credentials_file.empty()) HF_DO(credentials.load(credentials_file));
    return storage::open_backend(location, options, clock);
}

}    // namespace holdfast::cli
