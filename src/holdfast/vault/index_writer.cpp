#include "holdfast/vault/index_writer.hpp"

#include "holdfast/os/crash_point.hpp"

namespace holdfast::vault {

Status IndexWriter::add(format::IndexPack pack) {
    const std::scoped_lock lock(mutex_);
    if (error_) return fail(*error_);
    if (!known_.insert(pack.id).second) return {};
    // A pack's blobs stay in one file.
    if (!packs_.empty() && blobs_ + pack.blobs.size() > k_index_blobs_max) HF_DO(write());
    blobs_ += pack.blobs.size();
    packs_.push_back(std::move(pack));
    return {};
}

Status IndexWriter::finish() {
    const std::scoped_lock lock(mutex_);
    if (error_) return fail(*error_);
    if (!packs_.empty()) HF_DO(write());
    return repository_.backend().sync();
}

Status IndexWriter::write() {
    const auto write_now = [&]() -> Status {
        HF_DO(lock_.still_held());
        HF_DO(repository_.backend().sync());
        os::crash_point("index_writer.packs_safe");
        HF_TRY(const Id id, repository_.write_document(storage::FileKind::index, format::encode_index(packs_)));
        os::crash_point("index_writer.written");
        written_.insert(id);
        return {};
    };
    if (auto status = write_now(); !status) {
        error_ = status.error();
        return status;
    }
    packs_.clear();
    blobs_ = 0;
    return {};
}

}    // namespace holdfast::vault
