#include "holdfast/base/secret.hpp"

#include <openssl/crypto.h>

namespace holdfast {

// OPENSSL_cleanse is not optimised away. Short strings live inside the object, so the capacity is wiped, too.
void Secret::wipe() noexcept {
    if (!text_.empty()) OPENSSL_cleanse(text_.data(), text_.size());
    text_.clear();
}

}    // namespace holdfast
