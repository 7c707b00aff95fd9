#pragma once
// One way to return what can go wrong outside our code.

#include <expected>
#include <utility>

#include "holdfast/base/error.hpp"

namespace holdfast {

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
public:
    using std::expected<T, Error>::expected;
};

/// Success, or an Error.
using Status = Result<void>;

/// `return fail(ErrorCode::corrupt, "pack ab12 ends early", "run `holdfast check`");`
inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string hint = {}) {
    return std::unexpected(Error{code, std::move(message), std::move(hint)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

#define HF_CAT_(a, b) a##b
#define HF_CAT(a, b) HF_CAT_(a, b)
#define HF_TRY_AT(tmp, decl, ...)                             \
    auto tmp = (__VA_ARGS__);                                 \
    if (!tmp) return std::unexpected(std::move(tmp).error()); \
    decl = *std::move(tmp)
/// HF_TRY(auto header, read_header(bytes));   hands the error on, or declares what was returned.
#define HF_TRY(decl, ...) HF_TRY_AT(HF_CAT(hf_try_, __COUNTER__), decl, __VA_ARGS__)
#define HF_DO_AT(tmp, ...) \
    if (auto tmp = (__VA_ARGS__); !tmp) return std::unexpected(std::move(tmp).error())
/// HF_DO(file.sync());   the same for a Status.
#define HF_DO(...) HF_DO_AT(HF_CAT(hf_do_, __COUNTER__), __VA_ARGS__)

[[noreturn]] void assertion_failed(const char* what, const char* file, int line);
/// For bugs in our own code, never for input; stops the process in release builds, too.
#define HF_ASSERT(...) \
    ((__VA_ARGS__) ? static_cast<void>(0) : ::holdfast::assertion_failed(#__VA_ARGS__, __FILE__, __LINE__))

}    // namespace holdfast
