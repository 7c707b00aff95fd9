#include "holdfast/testing/faulty_backend.hpp"

namespace holdfast::testing {
namespace {

using storage::FileKind;
using storage::FileName;

class FaultyBackend final : public storage::Backend {
public:
    FaultyBackend(std::unique_ptr<storage::Backend> below, std::shared_ptr<Faults> faults)
        : below_(std::move(below)), faults_(std::move(faults)) {}

    Status create_layout() override { return below_->create_layout(); }
    Result<std::unique_ptr<storage::Upload>> start(FileKind kind) override {
        HF_TRY(auto upload, below_->start(kind));
        return std::make_unique<FaultyUpload>(*this, kind, std::move(upload));
    }
    Status put(const FileName& name, ByteView bytes) override {
        HF_DO(spend(bytes.size()));
        HF_DO(count_commit());
        HF_DO(below_->put(name, bytes));
        remember(name);
        return {};
    }
    Result<Bytes> read(const FileName& name) override { return below_->read(name); }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override {
        return below_->read_at(name, offset, to);
    }
    Result<std::uint64_t> size(const FileName& name) override { return below_->size(name); }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override {
        return below_->list(kind, found);
    }
    Status remove(const FileName& name) override {
        if (name.kind == FileKind::lock) return below_->remove(name);
        if (faults_->refuse_removals) return fail(ErrorCode::denied, "the faulty device is append-only");
        HF_DO(count_commit());
        auto content = below_->read(name);
        HF_DO(below_->remove(name));
        faults_->writes_left += faults_->writes_per_removal;
        const std::scoped_lock lock(faults_->mutex);
        if (content) faults_->unsynced.push_back({name, *std::move(content)});
        return {};
    }
    Status sync() override {
        if (faults_->fail_sync || faults_->commits_left <= 0) return fail(ErrorCode::io, "the disk does not answer");
        HF_DO(below_->sync());
        const std::scoped_lock lock(faults_->mutex);
        faults_->unsynced.clear();
        return {};
    }
    bool lists_at_once() const override { return below_->lists_at_once(); }
    unsigned connections() const override { return below_->connections(); }
    std::string location() const override { return below_->location(); }

private:
    class FaultyUpload final : public storage::Upload {
    public:
        FaultyUpload(FaultyBackend& owner, FileKind kind, std::unique_ptr<storage::Upload> below)
            : owner_(owner), kind_(kind), below_(std::move(below)) {}
        Status write(ByteView bytes) override {
            HF_DO(owner_.spend(bytes.size()));
            return below_->write(bytes);
        }
        Status commit(const Id& id) override {
            HF_DO(owner_.count_commit());
            HF_DO(below_->commit(id));
            owner_.remember({kind_, id});
            return {};
        }

    private:
        FaultyBackend& owner_;
        const FileKind kind_;
        std::unique_ptr<storage::Upload> below_;
    };

    Status spend(std::size_t bytes) {
        const auto wanted = static_cast<std::int64_t>(bytes);
        // What did not fit took no room.
        if (faults_->writes_left.fetch_sub(1) > 0) {
            if (faults_->bytes_left.fetch_sub(wanted) >= wanted) return {};
        } else {
            ++faults_->writes_left;
        }
        return fail(ErrorCode::disk_full, "no space left on the faulty device");
    }
    Status count_commit() {
        if (faults_->commits_left.fetch_sub(1) > 0) return {};
        return fail(ErrorCode::io, "the faulty device is dead");
    }
    void remember(const FileName& name) {
        const std::scoped_lock lock(faults_->mutex);
        faults_->unsynced.push_back({name, std::nullopt});
        faults_->committed.push_back(name);
    }

    const std::unique_ptr<storage::Backend> below_;
    const std::shared_ptr<Faults> faults_;
};

}    // namespace

std::unique_ptr<storage::Backend> faulty_backend(std::unique_ptr<storage::Backend> backend,
                                                 std::shared_ptr<Faults> faults) {
    return std::make_unique<FaultyBackend>(std::move(backend), std::move(faults));
}

Status lose_power(storage::Backend& below, Faults& faults, std::uint64_t lost) {
    const std::scoped_lock lock(faults.mutex);
    HF_ASSERT(faults.unsynced.size() <= 64);
    for (std::size_t i = faults.unsynced.size(); i-- > 0;) {
        if ((lost >> i & 1) == 0) continue;
        const Faults::Change& change = faults.unsynced[i];
        if (change.removed) {
            HF_DO(below.put(change.name, *change.removed));
            continue;
        }
        const auto removed = below.remove(change.name);
        if (!removed && removed.error().code != ErrorCode::not_found) return removed;
    }
    faults.unsynced.clear();
    return {};
}

}    // namespace holdfast::testing
