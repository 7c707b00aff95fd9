#pragma once
// The one error table. docs/errors.md is made from it (`holdfast internal errors`).

#include <string>
#include <string_view>

namespace holdfast {

// clang-format off
//      code             exit  retry  meaning
#define HF_ERRORS(X)                                                                                      \
    X(usage,              2, false, "the command line is wrong")                                          \
    X(config,             2, false, "the configuration file is wrong")                                    \
    X(no_repository,     10, false, "there is no repository at that place")                               \
    X(locked,            11, true,  "another process holds a lock that excludes this one")                \
    X(wrong_password,    12, false, "no key of the repository opens with this password")                  \
    X(incomplete,         3, false, "part of the work failed; the rest is saved and marked")              \
    X(not_found,          1, false, "a file, snapshot, database or key that was named does not exist")    \
    X(exists,             1, false, "something is already there and would have to be replaced")           \
    X(corrupt,            1, false, "stored or received data does not match its checksum or its format")  \
    X(io,                 1, false, "the operating system refused a read or a write")                     \
    X(disk_full,          1, false, "no space is left where data must be written")                        \
    X(denied,             1, false, "rights or credentials are missing")                                  \
    X(unreachable,        1, true,  "a server does not answer")                                           \
    X(store,              1, false, "a database or one of its tools reported a failure")                  \
    X(changed,            1, true,  "the data changed under the reader; a new attempt may succeed")       \
    X(unsupported,        1, false, "this version or kind is not supported")                              \
    X(mismatch,           1, false, "restored data is not equal to what was backed up")                   \
    X(cancelled,        130, false, "stopped by a signal or by the user")                                 \
    X(internal,           1, false, "a bug in holdfast")
// clang-format on

enum class ErrorCode {
#define HF_ENUM(name, exit, retry, meaning) name,
    HF_ERRORS(HF_ENUM)
#undef HF_ENUM
};

struct ErrorFacts {
    std::string_view name;
    int exit_status;
    bool retryable;
    std::string_view meaning;
};
ErrorFacts facts(ErrorCode code);

/// What went wrong outside our code: `message` says what failed and on which object (one sentence, no full stop),
/// `hint` the next step to take (may be empty). Never holds a secret.
struct Error {
    ErrorCode code = ErrorCode::internal;
    std::string message;
    std::string hint;

    bool retryable() const { return facts(code).retryable; }
    /// The same error seen from further out: "reading pack ab12: input/output error".
    Error within(std::string_view context) const&;
    Error within(std::string_view context) &&;
};

/// An Error from errno: ENOSPC and EDQUOT become disk_full, EACCES and EPERM denied, ENOENT not_found, EEXIST exists,
/// ECONNREFUSED and its kin unreachable, the rest io. `what` is "cannot open /a/b".
Error errno_error(int number, std::string_view what);

}    // namespace holdfast
