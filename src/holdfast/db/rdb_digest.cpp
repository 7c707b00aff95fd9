#include "holdfast/db/rdb_digest.hpp"

#include <openssl/evp.h>

#include "holdfast/base/result.hpp"

namespace holdfast::db {
namespace {

const EVP_MD* sha256() {
    static EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    HF_ASSERT(md != nullptr);
    return md;
}

}    // namespace

struct RdbHash::Context {
    EVP_MD_CTX* md = EVP_MD_CTX_new();
    ~Context() { EVP_MD_CTX_free(md); }
};

RdbHash::RdbHash() : context_(std::make_unique<Context>()) {
    HF_ASSERT(EVP_DigestInit_ex2(context_->md, sha256(), nullptr) == 1);
}
RdbHash::RdbHash(RdbHash&&) noexcept = default;
RdbHash& RdbHash::operator=(RdbHash&&) noexcept = default;
RdbHash::~RdbHash() = default;

void RdbHash::number(std::uint64_t value) {
    std::array<std::byte, 8> bytes;
    store_le(bytes.data(), value);
    raw(bytes);
}

void RdbHash::raw(ByteView bytes) {
    if (bytes.empty()) return;
    if (gathered_size_ + bytes.size() > gathered_.size()) {
        EVP_DigestUpdate(context_->md, gathered_.data(), gathered_size_);
        gathered_size_ = 0;
    }
    if (bytes.size() > gathered_.size()) {
        EVP_DigestUpdate(context_->md, bytes.data(), bytes.size());
        return;
    }
    std::memcpy(gathered_.data() + gathered_size_, bytes.data(), bytes.size());
    gathered_size_ += bytes.size();
}

Id RdbHash::finish() {
    Id id;
    EVP_DigestUpdate(context_->md, gathered_.data(), gathered_size_);
    gathered_size_ = 0;
    HF_ASSERT(EVP_DigestFinal_ex(context_->md, reinterpret_cast<unsigned char*>(id.bytes.data()), nullptr) == 1);
    HF_ASSERT(EVP_DigestInit_ex2(context_->md, sha256(), nullptr) == 1);
    return id;
}

}    // namespace holdfast::db
