#include "holdfast/base/secret.hpp"

#include <openssl/crypto.h>

namespace holdfast {

// OPENSSL_cleanse is not optimised away. The whole capacity is wiped: short strings live inside the object, and a move
// leaves their bytes behind in a string that calls itself empty. Growing to the capacity never allocates.
void Secret::wipe() noexcept {
    text_.resize(text_.capacity());
    OPENSSL_cleanse(text_.data(), text_.size());
    text_.clear();
}

}    // namespace holdfast
