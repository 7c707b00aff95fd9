#include "holdfast/db/rdb_digest.hpp"

#include <cstring>

namespace holdfast::db {

void RdbHash::number(std::uint64_t value) {
    if (off_) return;
    std::array<std::byte, 8> bytes;
    store_le(bytes.data(), value);
    raw(bytes);
}

void RdbHash::raw(ByteView bytes) {
    if (bytes.empty() || off_) return;
    if (gathered_size_ + bytes.size() > gathered_.size()) {
        sum_.update(ByteView(gathered_).first(gathered_size_));
        gathered_size_ = 0;
    }
    if (bytes.size() > gathered_.size()) {
        sum_.update(bytes);
        return;
    }
    std::memcpy(gathered_.data() + gathered_size_, bytes.data(), bytes.size());
    gathered_size_ += bytes.size();
}

Id RdbHash::finish() {
    if (off_) return {};
    sum_.update(ByteView(gathered_).first(gathered_size_));
    gathered_size_ = 0;
    return sum_.finish();
}

}    // namespace holdfast::db
