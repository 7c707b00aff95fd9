#include "holdfast/storage/aws_credentials.hpp"

#include <fmt/core.h>
#include <openssl/crypto.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::storage {
namespace {

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view k_blank = " \t\r";
    const std::size_t first = text.find_first_not_of(k_blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(k_blank) - first + 1);
}

}    // namespace

Result<AwsCredentials> parse_aws_credentials(std::string_view text, std::string_view profile) {
    AwsCredentials found;
    bool inside = false;
    while (!text.empty()) {
        const std::string_view line = trimmed(text.substr(0, text.find('\n')));
        text.remove_prefix(
            std::min(text.size(), text.find('\n') == std::string_view::npos ? text.size() : text.find('\n') + 1));
        if (line.empty() || line.front() == '#' || line.front() == ';') continue;
        if (line.front() == '[') {
            if (line.back() != ']') return fail(ErrorCode::config, "a section of the file has no closing bracket");
            inside = trimmed(line.substr(1, line.size() - 2)) == profile;
            continue;
        }
        const std::size_t equals = line.find('=');
        if (!inside || equals == std::string_view::npos) continue;
        const std::string_view key = trimmed(line.substr(0, equals));
        const std::string_view value = trimmed(line.substr(equals + 1));
        if (key == "aws_access_key_id") found.access_key = value;
        if (key == "aws_secret_access_key") found.secret_key = Secret(std::string(value));
        if (key == "aws_session_token") found.session_token = Secret(std::string(value));
    }
    if (found.access_key.empty() || found.secret_key.empty())
        return fail(ErrorCode::not_found, fmt::format("it has no keys for the profile {}", profile));
    return found;
}

Result<AwsCredentials> find_aws_credentials() {
    const auto access_key = os::environment("AWS_ACCESS_KEY_ID");
    auto secret_key = os::environment("AWS_SECRET_ACCESS_KEY");
    if (access_key && secret_key)
        return AwsCredentials{.access_key = *access_key,
                              .secret_key = Secret(*std::move(secret_key)),
                              .session_token = Secret(os::environment("AWS_SESSION_TOKEN").value_or(""))};
    if (access_key || secret_key)
        return fail(
            ErrorCode::denied,
            fmt::format("AWS_{} is set, but its partner is not", access_key ? "ACCESS_KEY_ID" : "SECRET_ACCESS_KEY"),
            "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    const std::string home = os::environment("HOME").value_or("");
    const std::string file = os::environment("AWS_SHARED_CREDENTIALS_FILE").value_or(home + "/.aws/credentials");
    const std::string profile = os::environment("AWS_PROFILE").value_or("default");
    constexpr const char* k_hint =
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them into ~/.aws/credentials (AWS_PROFILE chooses "
        "a section)";
    auto text = os::read_text(file, 1 << 20);
    if (!text)
        return fail(ErrorCode::denied,
                    fmt::format("there are no keys for S3: none in the environment, and {}", text.error().message),
                    k_hint);
    auto found = parse_aws_credentials(*text, profile);
    OPENSSL_cleanse(text->data(), text->size());
    if (!found) {
        Error error = std::move(found).error().within("the credentials file " + file);
        if (error.code == ErrorCode::not_found) error.code = ErrorCode::denied;
        if (error.hint.empty()) error.hint = k_hint;
        return fail(std::move(error));
    }
    return found;
}

}    // namespace holdfast::storage
