#pragma once
// Who may use the server: a file of "user:hash" lines as `htpasswd -B` writes it.
//
//   hashes    bcrypt only ($2y$, $2b$, $2a$). Weaker ones ({SHA}, MD5, crypt) are refused, with the line
//   promise   a wrong user costs the same time as a wrong password; a right pair is remembered in memory (as a keyed hash),
//             because every request brings it; at most two bcrypt calculations run at once
//   changes   the file is read again when it has changed; a new content that is wrong is logged and not used
//   errors    config: the line and what is wrong with it; never a hash
//   threads   any

#include <array>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "holdfast/base/result.hpp"

namespace holdfast::serve {

/// Pure: users and their hashes. `what` names the file in errors.
Result<std::map<std::string, std::string>> parse_htpasswd(std::string_view text, std::string_view what);

/// "user:hash" for a new user. `cost` is bcrypt's: 10 takes about 50 ms. usage: a name or password that cannot be used.
Result<std::string> htpasswd_line(std::string_view user, const std::string& password, unsigned cost = 10);

class Users {
public:
    static Result<std::unique_ptr<Users>> open(const std::string& file);
    bool check(const std::string& user, const std::string& password);

private:
    explicit Users(std::string file);
    Status load();
    void load_if_changed();
    bool matches(const std::string& hash, const std::string& password);

    using Stamp = std::array<std::int64_t, 4>;
    const std::string file_;
    std::string key_;    // of the remembered hashes; random
    std::mutex mutex_;
    Stamp stamp_{};
    std::map<std::string, std::string> hashes_;
    std::set<std::string> right_;    // HMACs of user, hash and password
    std::mutex bcrypt_mutex_;
    std::condition_variable bcrypt_freed_;
    unsigned bcrypts_ = 0;
};

}    // namespace holdfast::serve
