#include "holdfast/format/crypto.hpp"

#include <fmt/core.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "holdfast/format/envelope_pieces.hpp"
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

namespace {

// The contexts of one key.
struct Contexts {
    // The key schedules are set up once; per envelope only the counter changes.
    std::unique_ptr<EVP_CIPHER_CTX, Free> ctr{EVP_CIPHER_CTX_new()};
    std::unique_ptr<EVP_CIPHER_CTX, Free> ecb{EVP_CIPHER_CTX_new()};
    std::unique_ptr<EVP_MAC_CTX, Free> mac{EVP_MAC_CTX_new(poly1305())};
    std::array<std::byte, 32> one_time_key{};    // r | s; r stays, s is made anew for each nonce

    explicit Contexts(const Key& key) {
        HF_ASSERT(EVP_EncryptInit_ex2(ctr.get(), aes_256_ctr(), data_of(ByteView(key.encrypt)), nullptr, nullptr) == 1);
        HF_ASSERT(EVP_EncryptInit_ex2(ecb.get(), aes_128_ecb(), data_of(ByteView(key.mac_k)), nullptr, nullptr) == 1);
        HF_ASSERT(EVP_CIPHER_CTX_set_padding(ecb.get(), 0) == 1);
        std::copy(key.mac_r.begin(), key.mac_r.end(), one_time_key.begin());
    }
    ~Contexts() { OPENSSL_cleanse(one_time_key.data(), one_time_key.size()); }

    void begin_keystream(ByteView nonce) {
        HF_ASSERT(EVP_EncryptInit_ex2(ctr.get(), nullptr, nullptr, data_of(nonce), nullptr) == 1);
    }
    // OpenSSL's lengths are int.
    void apply_keystream(ByteView from, std::byte* to) {
        constexpr std::size_t step_max = std::size_t{1} << 30;
        for (std::size_t at = 0; at < from.size();) {
            const std::size_t step = std::min(step_max, from.size() - at);
            int done = 0;
            HF_ASSERT(EVP_EncryptUpdate(ctr.get(), reinterpret_cast<unsigned char*>(to + at), &done, data_of(from) + at,
                                        static_cast<int>(step)) == 1);
            at += step;
        }
    }

    void begin_tag(ByteView nonce) {
        int done = 0;
        unsigned char* s = data_of(ByteSpan(one_time_key).subspan(16));
        HF_ASSERT(EVP_EncryptUpdate(ecb.get(), s, &done, data_of(nonce), 16) == 1);
        HF_ASSERT(EVP_MAC_init(mac.get(), data_of(ByteView(one_time_key)), one_time_key.size(), nullptr) == 1);
    }
    void add_to_tag(ByteView ciphertext) {
        HF_ASSERT(EVP_MAC_update(mac.get(), data_of(ciphertext), ciphertext.size()) == 1);
    }
    Block end_tag() {
        Block out;
        std::size_t length = 0;
        HF_ASSERT(EVP_MAC_final(mac.get(), data_of(ByteSpan(out)), &length, out.size()) == 1);
        return out;
    }
};

Status check_length(std::uint64_t size) {
    if (size >= k_envelope_overhead) return {};
    return fail(ErrorCode::corrupt, fmt::format("an envelope of {} bytes is too short", size));
}
Status check_nonce(ByteView nonce) {
    if (!all_zero(nonce)) return {};
    return fail(ErrorCode::corrupt, "an envelope has a nonce of zeros");
}
Status check_equal(const Block& expected, ByteView tag) {
    if (CRYPTO_memcmp(expected.data(), tag.data(), expected.size()) == 0) return {};
    return fail(ErrorCode::corrupt, "an envelope's tag does not match: it was changed, or sealed with another key");
}

}    // namespace

struct Cipher::State : Contexts {
    using Contexts::Contexts;

    void apply_keystream(ByteView nonce, ByteView from, std::byte* to) {
        begin_keystream(nonce);
        Contexts::apply_keystream(from, to);
    }
    Block tag(ByteView nonce, ByteView ciphertext) {
        begin_tag(nonce);
        add_to_tag(ciphertext);
        return end_tag();
    }
    Status verify(ByteView envelope) {
        HF_DO(check_length(envelope.size()));
        const ByteView nonce = envelope.first(16);
        HF_DO(check_nonce(nonce));
        return check_equal(tag(nonce, envelope.subspan(16, envelope.size() - k_envelope_overhead)), envelope.last(16));
    }
};

Cipher::Cipher(const Key& key) : state_(std::make_unique<State>(key)) {}
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

struct PieceSealer::State : Contexts {
    using Contexts::Contexts;
};

PieceSealer::PieceSealer(const Key& key, const Block& nonce, Bytes& to) : state_(std::make_unique<State>(key)) {
    HF_ASSERT(!all_zero(nonce));
    append(to, nonce);
    state_->begin_keystream(nonce);
    state_->begin_tag(nonce);
}
PieceSealer::~PieceSealer() = default;

void PieceSealer::add(ByteView plain, Bytes& to) {
    const std::size_t at = to.size();
    to.resize(at + plain.size());
    state_->apply_keystream(plain, to.data() + at);
    state_->add_to_tag(ByteView(to).subspan(at));
}

void PieceSealer::end(Bytes& to) { append(to, state_->end_tag()); }

struct EnvelopePieces::State {
    State(const Key& key, std::uint64_t s, ReadAt r) : contexts(key), size(s), read_at(std::move(r)) {}
    static constexpr std::uint64_t k_piece = 64u << 10;

    Contexts contexts;
    const std::uint64_t size;    // of the envelope
    const ReadAt read_at;
    std::uint64_t at = 0;    // how far it was read, this time
    Bytes piece;
    bool verifying = false;
    std::optional<Sha256> sum;
    Status status;
};

EnvelopePieces::EnvelopePieces(const Key& key, std::uint64_t envelope_size, ReadAt read_at)
    : state_(std::make_unique<State>(key, envelope_size, std::move(read_at))) {}
EnvelopePieces::~EnvelopePieces() = default;

// The next piece as it is sealed; nothing where the tag begins.
Result<ByteSpan> EnvelopePieces::read_piece() {
    State& s = *state_;
    const auto read = [&](std::uint64_t length) -> Status {
        s.piece.resize(length);
        HF_DO(s.read_at(s.at, s.piece));
        s.at += length;
        if (s.sum) s.sum->update(s.piece);
        return {};
    };
    if (s.at == 0) {
        HF_DO(check_length(s.size));
        HF_DO(read(16));
        HF_DO(check_nonce(s.piece));
        s.contexts.begin_tag(s.piece);
        if (!s.verifying) s.contexts.begin_keystream(s.piece);
    }
    HF_DO(read(std::min(State::k_piece, s.size - 16 - s.at)));
    s.contexts.add_to_tag(s.piece);
    return ByteSpan(s.piece);
}

Status EnvelopePieces::check_tag() {
    State& s = *state_;
    const Block expected = s.contexts.end_tag();
    s.piece.resize(16);
    HF_DO(s.read_at(s.at, s.piece));
    if (s.sum) s.sum->update(s.piece);
    return check_equal(expected, s.piece);
}

Status EnvelopePieces::verify(Id* sum) {
    State& s = *state_;
    s.verifying = true;
    if (sum) s.sum.emplace();
    for (;;) {
        HF_TRY(const ByteSpan piece, read_piece());
        if (piece.empty()) break;
    }
    HF_DO(check_tag());
    if (sum) *sum = s.sum->finish();
    s.sum.reset();
    s.verifying = false;
    s.at = 0;
    return {};
}

ByteView EnvelopePieces::next() {
    State& s = *state_;
    if (!s.status) return {};
    const auto piece = read_piece();
    if (!piece) {
        s.status = fail(piece.error());
        return {};
    }
    s.contexts.apply_keystream(*piece, piece->data());
    return *piece;
}

Status EnvelopePieces::end() {
    while (!next().empty()) {
    }
    HF_DO(state_->status);
    return check_tag();
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
