// No bytes open that were not sealed, and what is sealed opens.

#include <cstddef>
#include <cstdint>

#include "holdfast/format/crypto.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    Key key;
    key.encrypt.fill(std::byte{1});
    key.mac_k.fill(std::byte{2});
    key.mac_r.fill(std::byte{3});
    static Cipher cipher(key);
    Bytes plain, sealed;
    std::array<std::byte, 16> nonce;
    nonce.fill(std::byte{4});
    const Status opened = cipher.open(as_bytes(text), plain);
    if (!opened && opened.error().code != ErrorCode::corrupt) __builtin_trap();
    cipher.seal(as_bytes(text), nonce, sealed);
    if (!cipher.open(sealed, plain) || as_text(plain) != text) __builtin_trap();
    if (size > 0) {
        sealed[data[0] % sealed.size()] ^= std::byte{1};
        if (cipher.open(sealed, plain)) __builtin_trap();
    }
    return 0;
}
