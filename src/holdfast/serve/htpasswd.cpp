#include "holdfast/serve/htpasswd.hpp"

#include <crypt.h>
#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::serve {
namespace {

constexpr unsigned k_bcrypts_at_once = 2;
constexpr std::size_t k_remembered_max = 10'000;
// Of nobody's password: checked when there is no such user.
constexpr const char* k_nobody = "$2y$10$abcdefghijklmnopqrstuuO5Q2ZqfQ0Cv3JYH1qk8xq7yqV4yYb5a";

bool is_bcrypt(std::string_view hash) {
    if (hash.size() != 60 || !(hash.starts_with("$2y$") || hash.starts_with("$2b$") || hash.starts_with("$2a$")))
        return false;
    // A cost over 16 would keep a processor busy for seconds at each new connection.
    const int cost = (hash[4] - '0') * 10 + (hash[5] - '0');
    return hash[6] == '$' && cost >= 4 && cost <= 16;
}

}    // namespace

Result<std::map<std::string, std::string>> parse_htpasswd(std::string_view text, std::string_view what) {
    std::map<std::string, std::string> users;
    std::size_t number = 0;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        ++number;
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty() || line.starts_with('#')) continue;
        const std::size_t colon = line.find(':');
        const auto wrong = [&](std::string_view why) {
            return fail(ErrorCode::config, fmt::format("{}:{}: {}", what, number, why),
                        "make the line by `htpasswd -B FILE USER`");
        };
        if (colon == std::string_view::npos || colon == 0) return wrong("this is not a line \"user:hash\"");
        if (!is_bcrypt(line.substr(colon + 1)))
            return wrong("the password is not hashed by bcrypt; weaker hashes are refused");
        if (!users.emplace(line.substr(0, colon), line.substr(colon + 1)).second)
            return wrong("the user stands in the file twice");
    }
    return users;
}

Result<std::string> htpasswd_line(std::string_view user, const std::string& password, unsigned cost) {
    if (user.empty() || user.find_first_of(":\r\n#") != std::string_view::npos)
        return fail(ErrorCode::usage, "a user's name is not empty and has no colon, no # and no line end");
    if (password.empty() || password.size() > 72 || password.find('\0') != std::string::npos)
        return fail(ErrorCode::usage, "a password has 1 to 72 bytes and no zero among them", "bcrypt reads no more");
    std::array<char, 16> random;
    os::random_bytes(std::as_writable_bytes(std::span(random)));
    std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> salt;
    auto data = std::make_unique<crypt_data>();
    if (!crypt_gensalt_rn("$2y$", cost, random.data(), static_cast<int>(random.size()), salt.data(),
                          static_cast<int>(salt.size())))
        return fail(ErrorCode::unsupported, "this system's libcrypt has no bcrypt");
    const char* hash = crypt_r(password.c_str(), salt.data(), data.get());
    auto line = fmt::format("{}:{}\n", user, hash ? hash : "");
    OPENSSL_cleanse(data.get(), sizeof *data);
    if (!hash || !is_bcrypt(std::string_view(line).substr(user.size() + 1, line.size() - user.size() - 2)))
        return fail(ErrorCode::unsupported, "this system's libcrypt has no bcrypt");
    return line;
}

Users::Users(std::string file) : file_(std::move(file)), key_(32, '\0') {
    os::random_bytes(std::as_writable_bytes(std::span(key_)));
}

Result<std::unique_ptr<Users>> Users::open(const std::string& file) {
    std::unique_ptr<Users> users(new Users(file));
    HF_DO(users->load());
    return users;
}

Status Users::load() {
    HF_TRY(const struct stat st, os::status_of(file_));
    if ((st.st_mode & 04) != 0)
        log_warning("everybody may read the file of the server's users; chmod 600 it", {{"file", file_}});
    // Before the content: a change in between is then seen at the next look.
    const Stamp stamp{static_cast<std::int64_t>(st.st_ino), st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
    HF_TRY(const std::string text, os::read_text(file_, 16 << 20));
    stamp_ = stamp;
    HF_TRY(hashes_, parse_htpasswd(text, file_));
    right_.clear();
    return {};
}

void Users::load_if_changed() {
    const auto st = os::status_of(file_);
    if (!st ||
        stamp_ == Stamp{static_cast<std::int64_t>(st->st_ino), st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec})
        return;
    if (const auto loaded = load(); loaded)
        log_info("the file of the server's users was read again", {{"file", file_}});
    else
        log_error("the file of the server's users has changed and is wrong; the old content stays in use",
                  {{"error", loaded.error().message}});
}

bool Users::matches(const std::string& hash, const std::string& password) {
    {
        std::unique_lock lock(bcrypt_mutex_);
        bcrypt_freed_.wait(lock, [&] { return bcrypts_ < k_bcrypts_at_once; });
        ++bcrypts_;
    }
    auto data = std::make_unique<crypt_data>();
    const char* again = crypt_r(password.c_str(), hash.c_str(), data.get());
    const bool same =
        again && std::string_view(again).size() == hash.size() && CRYPTO_memcmp(again, hash.data(), hash.size()) == 0;
    OPENSSL_cleanse(data.get(), sizeof *data);
    {
        const std::scoped_lock lock(bcrypt_mutex_);
        --bcrypts_;
    }
    bcrypt_freed_.notify_one();
    return same;
}

bool Users::check(const std::string& user, const std::string& password) {
    std::string hash = k_nobody, mark(32, '\0');
    bool known = false;
    {
        const std::scoped_lock lock(mutex_);
        load_if_changed();
        if (const auto found = hashes_.find(user); found != hashes_.end()) {
            hash = found->second;
            known = true;
        }
        const std::string text = user + '\0' + hash + '\0' + password;
        unsigned length = 0;
        HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(),
             reinterpret_cast<unsigned char*>(mark.data()), &length);
        if (known && right_.contains(mark)) return true;
    }
    // bcrypt reads to the first zero byte, and 72 bytes.
    const bool same = matches(hash, password) && password.find('\0') == std::string::npos;
    if (!known || !same) return false;
    const std::scoped_lock lock(mutex_);
    if (right_.size() >= k_remembered_max) right_.clear();
    right_.insert(mark);
    return true;
}

}    // namespace holdfast::serve
