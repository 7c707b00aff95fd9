#include "holdfast/base/error.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "holdfast/base/result.hpp"

namespace holdfast {

ErrorFacts facts(ErrorCode code) {
    switch (code) {
#define HF_CASE(name, exit, retry, meaning) \
    case ErrorCode::name:                   \
        return {#name, exit, retry, meaning};
        HF_ERRORS(HF_CASE)
#undef HF_CASE
    }
    return {"internal", 1, false, "a bug in holdfast"};
}

Error Error::within(std::string_view context) const& { return Error(*this).within(context); }

Error Error::within(std::string_view context) && {
    message.insert(0, std::string(context) + ": ");
    return std::move(*this);
}

Error errno_error(int number, std::string_view what) {
    Error error;
    error.message = std::string(what) + ": " + std::generic_category().message(number);
    switch (number) {
        case ENOSPC:
        case EDQUOT:
            error.code = ErrorCode::disk_full;
            error.hint = "free some space there, or point holdfast at another disk; nothing incomplete was kept";
            break;
        case EACCES:
        case EPERM:
            error.code = ErrorCode::denied;
            error.hint = "run as a user who may do this, or change the rights";
            break;
        case ENOENT:
            error.code = ErrorCode::not_found;
            break;
        case EEXIST:
            error.code = ErrorCode::exists;
            break;
        case ECONNREFUSED:
        case ECONNRESET:
        case EPIPE:
        case ETIMEDOUT:
        case EHOSTUNREACH:
        case ENETUNREACH:
            error.code = ErrorCode::unreachable;
            break;
        default:
            error.code = ErrorCode::io;
    }
    return error;
}

void assertion_failed(const char* what, const char* file, int line) {
    std::fprintf(stderr, "holdfast: bug: %s does not hold (%s:%d)\n", what, file, line);
    std::abort();
}

}    // namespace holdfast
