#include "holdfast/format/crypto.hpp"

#include <fmt/core.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <algorithm>
#include <bit>

#include "holdfast/format/scrypt.hpp"

namespace holdfast::format {
namespace {

// OpenSSL's calls on fetched algorithms and valid arguments fail only when memory is out: a bug for us, not an error.

const unsigned char* data_of(ByteView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* data_of(ByteSpan bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

// Fetched once for the process and never freed: a fetch costs more than hashing a small blob.
const EVP_CIPHER* aes_256_ctr() {
    static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
    return cipher;
}
const EVP_CIPHER* aes_128_ecb() {
    static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-128-ECB", nullptr);
    return cipher;
}
EVP_MAC* poly1305() {
    static EVP_MAC* const mac = EVP_MAC_fetch(nullptr, "POLY1305", nullptr);
    return mac;
}
struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
    void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
    void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
};

using Block = std::array<std::byte, 16>;

bool all_zero(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}    // namespace

Key::~Key() {
    OPENSSL_cleanse(encrypt.data(), encrypt.size());
    OPENSSL_cleanse(mac_k.data(), mac_k.size());
    OPENSSL_cleanse(mac_r.data(), mac_r.size());
}

struct Cipher::State {
    // The key schedules are set up once; per envelope only the counter changes.
    std::unique_ptr<EVP_CIPHER_CTX, Free> ctr{EVP_CIPHER_CTX_new()};
    std::unique_ptr<EVP_CIPHER_CTX, Free> ecb{EVP_CIPHER_CTX_new()};
    std::unique_ptr<EVP_MAC_CTX, Free> mac{EVP_MAC_CTX_new(poly1305())};
    std::array<std::byte, 32> one_time_key{};    // r | s; r stays, s is made anew for each nonce

    ~State() { OPENSSL_cleanse(one_time_key.data(), one_time_key.size()); }

    // OpenSSL's lengths are int.
    void apply_keystream(ByteView nonce, ByteView from, std::byte* to) {
        HF_ASSERT(EVP_EncryptInit_ex2(ctr.get(), nullptr, nullptr, data_of(nonce), nullptr) == 1);
        constexpr std::size_t step_max = std::size_t{1} << 30;
        for (std::size_t at = 0; at < from.size();) {
            const std::size_t step = std::min(step_max, from.size() - at);
            int done = 0;
            HF_ASSERT(EVP_EncryptUpdate(ctr.get(), reinterpret_cast<unsigned char*>(to + at), &done, data_of(from) + at,
                                        static_cast<int>(step)) == 1);
            at += step;
        }
    }

    Block tag(ByteView nonce, ByteView ciphertext) {
        int done = 0;
        unsigned char* s = data_of(ByteSpan(one_time_key).subspan(16));
        HF_ASSERT(EVP_EncryptUpdate(ecb.get(), s, &done, data_of(nonce), 16) == 1);
        HF_ASSERT(EVP_MAC_init(mac.get(), data_of(ByteView(one_time_key)), one_time_key.size(), nullptr) == 1);
        HF_ASSERT(EVP_MAC_update(mac.get(), data_of(ciphertext), ciphertext.size()) == 1);
        Block out;
        std::size_t length = 0;
        HF_ASSERT(EVP_MAC_final(mac.get(), data_of(ByteSpan(out)), &length, out.size()) == 1);
        return out;
    }

    Status verify(ByteView envelope) {
        if (envelope.size() < k_envelope_overhead)
            return fail(ErrorCode::corrupt, fmt::format("an envelope of {} bytes is too short", envelope.size()));
        const ByteView nonce = envelope.first(16);
        if (all_zero(nonce)) return fail(ErrorCode::corrupt, "an envelope has a nonce of zeros");
        const Block expected = tag(nonce, envelope.subspan(16, envelope.size() - k_envelope_overhead));
        if (CRYPTO_memcmp(expected.data(), envelope.last(16).data(), 16) != 0)
            return fail(ErrorCode::corrupt,
                        "an envelope's tag does not match: it was changed, or sealed with another key");
        return {};
    }
};

Cipher::Cipher(const Key& key) : state_(std::make_unique<State>()) {
    HF_ASSERT(EVP_EncryptInit_ex2(state_->ctr.get(), aes_256_ctr(), data_of(ByteView(key.encrypt)), nullptr, nullptr) ==
              1);
    HF_ASSERT(EVP_EncryptInit_ex2(state_->ecb.get(), aes_128_ecb(), data_of(ByteView(key.mac_k)), nullptr, nullptr) ==
              1);
    HF_ASSERT(EVP_CIPHER_CTX_set_padding(state_->ecb.get(), 0) == 1);
    std::copy(key.mac_r.begin(), key.mac_r.end(), state_->one_time_key.begin());
}
Cipher::Cipher(Cipher&&) noexcept = default;
Cipher& Cipher::operator=(Cipher&&) noexcept = default;
Cipher::~Cipher() = default;

void Cipher::seal(ByteView plain, const Block& nonce, Bytes& to) {
    HF_ASSERT(!all_zero(nonce));
    const std::size_t at = to.size();
    to.resize(at + plain.size() + k_envelope_overhead);
    const ByteSpan envelope = ByteSpan(to).subspan(at);
    std::copy(nonce.begin(), nonce.end(), envelope.begin());
    state_->apply_keystream(nonce, plain, envelope.data() + 16);
    const Block tag = state_->tag(nonce, envelope.subspan(16, plain.size()));
    std::copy(tag.begin(), tag.end(), envelope.end() - 16);
}

Status Cipher::open(ByteView envelope, Bytes& plain) {
    HF_DO(state_->verify(envelope));
    plain.clear();
    plain.resize(envelope.size() - k_envelope_overhead);
    state_->apply_keystream(envelope.first(16), envelope.subspan(16, plain.size()), plain.data());
    return {};
}

Status Cipher::open_into(ByteView envelope, ByteSpan plain) {
    HF_DO(state_->verify(envelope));
    HF_ASSERT(plain.size() == envelope.size() - k_envelope_overhead);
    state_->apply_keystream(envelope.first(16), envelope.subspan(16, plain.size()), plain.data());
    return {};
}

Result<ByteSpan> Cipher::open_in_place(ByteSpan envelope) {
    HF_DO(state_->verify(envelope));
    const ByteSpan content = envelope.subspan(16, envelope.size() - k_envelope_overhead);
    state_->apply_keystream(envelope.first(16), content, content.data());
    return content;
}

namespace {

constexpr std::uint64_t k_kdf_memory_max = std::uint64_t{1} << 30;

bool scrypt_openssl(const std::string& secret, ByteView salt, KdfCost cost, ByteSpan to) {
    const std::unique_ptr<EVP_KDF, Free> kdf(EVP_KDF_fetch(nullptr, "SCRYPT", nullptr));
    const std::unique_ptr<EVP_KDF_CTX, Free> context(EVP_KDF_CTX_new(kdf.get()));
    std::uint64_t memory = k_kdf_memory_max + (1 << 20);    // the limit is ours; OpenSSL adds a little of its own
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, const_cast<char*>(secret.data()), secret.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, const_cast<std::byte*>(salt.data()), salt.size()),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &cost.n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &cost.r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &cost.p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
        OSSL_PARAM_construct_end(),
    };
    return EVP_KDF_derive(context.get(), data_of(to), to.size(), parameters) == 1;
}

// One round of PBKDF2 before and after the lanes are mixed.
bool scrypt_own(const std::string& secret, ByteView salt, KdfCost cost, ByteSpan to) {
    const auto pbkdf2 = [&](ByteView with, ByteSpan out) {
        return PKCS5_PBKDF2_HMAC(secret.data(), static_cast<int>(secret.size()), data_of(with),
                                 static_cast<int>(with.size()), 1, EVP_sha256(), static_cast<int>(out.size()),
                                 data_of(out)) == 1;
    };
    Bytes lanes;
    lanes.resize(std::size_t{128} * cost.r * cost.p);
    const bool done = pbkdf2(salt, lanes) && ScryptLanes::mix(lanes, cost.n, cost.r) && pbkdf2(lanes, to);
    OPENSSL_cleanse(lanes.data(), lanes.size());
    return done;
}

}    // namespace

Result<Key> derive_key(const Secret& password, ByteView salt, KdfCost cost) {
    const auto unsupported = [&](std::string_view why) {
        return fail(ErrorCode::unsupported,
                    fmt::format("scrypt with N={}, r={}, p={} is refused: {}", cost.n, cost.r, cost.p, why),
                    "make a new key with usual parameters, such as N=32768, r=8, p=5");
    };
    // The default is 1.3 million steps of N*r*p: 50 times that is no honest key, and 20 of them are tried.
    constexpr std::uint64_t steps_max = std::uint64_t{1} << 26;
    if (cost.n < 2 || !std::has_single_bit(cost.n)) return unsupported("N must be a power of two above 1");
    if (cost.r == 0 || cost.p == 0) return unsupported("r and p must not be 0");
    const std::uint64_t blocks_max = k_kdf_memory_max / 128 / cost.r;
    if (cost.n >= blocks_max || cost.p >= blocks_max - cost.n)
        return unsupported("it would take more than 1 GiB of memory");
    if (cost.n * cost.r > steps_max / cost.p) return unsupported("it would take minutes");

    std::array<std::byte, 64> derived;
    const bool done = ScryptLanes::available() ? scrypt_own(password.reveal(), salt, cost, derived)
                                               : scrypt_openssl(password.reveal(), salt, cost, derived);
    if (!done) return unsupported("the key derivation failed, probably for lack of memory");
    Key key;
    std::copy_n(derived.begin(), 32, key.encrypt.begin());
    std::copy_n(derived.begin() + 32, 16, key.mac_k.begin());
    std::copy_n(derived.begin() + 48, 16, key.mac_r.begin());
    OPENSSL_cleanse(derived.data(), derived.size());
    return key;
}

}    // namespace holdfast::format
