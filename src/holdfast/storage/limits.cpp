#include "holdfast/storage/limits.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "holdfast/storage/pace.hpp"

namespace holdfast::storage {
namespace {

class LimitedBackend final : public Backend {
public:
    LimitedBackend(std::unique_ptr<Backend> below, Limits limits, Clock& clock)
        : below_(std::move(below)), pace_(make_paces(limits.upload, limits.download, clock)), calls_(limits.calls) {}

    Status create_layout() override {
        const Turn turn(*this);
        return below_->create_layout();
    }
    Result<std::unique_ptr<Upload>> start(FileKind kind) override;
    Status put(const FileName& name, ByteView bytes) override {
        if (pace_.up) HF_DO(pace_.up->pay(bytes.size()));
        const Turn turn(*this);
        return below_->put(name, bytes);
    }
    Result<Bytes> read(const FileName& name) override {
        auto bytes = [&] {
            const Turn turn(*this);
            return below_->read(name);
        }();
        if (bytes && pace_.down) HF_DO(pace_.down->pay(bytes->size()));
        return bytes;
    }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override {
        {
            const Turn turn(*this);
            HF_DO(below_->read_at(name, offset, to));
        }
        return pace_.down ? pace_.down->pay(to.size()) : Status();
    }
    Result<std::uint64_t> size(const FileName& name) override {
        const Turn turn(*this);
        return below_->size(name);
    }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override {
        const Turn turn(*this);
        return below_->list(kind, found);
    }
    Status remove(const FileName& name) override {
        const Turn turn(*this);
        return below_->remove(name);
    }
    Status remove_many(std::span<const FileName> names, const std::function<void(const FileName&)>& gone) override {
        const Turn turn(*this);
        return below_->remove_many(names, gone);
    }
    std::size_t removes_at_once() const override { return below_->removes_at_once(); }
    Status sync() override {
        const Turn turn(*this);
        return below_->sync();
    }
    Result<std::uint64_t> remove_leftovers(Timestamp before) override {
        const Turn turn(*this);
        return below_->remove_leftovers(before);
    }
    bool lists_at_once() const override { return below_->lists_at_once(); }
    unsigned connections() const override {
        return calls_ == 0 ? below_->connections() : std::min(calls_, below_->connections());
    }
    std::string location() const override { return below_->location(); }

private:
    class LimitedUpload;

    // One of the calls that may run at once.
    class Turn {
    public:
        explicit Turn(LimitedBackend& owner) : owner_(owner) {
            if (owner_.calls_ == 0) return;
            std::unique_lock lock(owner_.mutex_);
            owner_.freed_.wait(lock, [&] { return owner_.running_ < owner_.calls_; });
            ++owner_.running_;
        }
        ~Turn() {
            if (owner_.calls_ == 0) return;
            {
                const std::scoped_lock lock(owner_.mutex_);
                --owner_.running_;
            }
            owner_.freed_.notify_one();
        }
        Turn(const Turn&) = delete;

    private:
        LimitedBackend& owner_;
    };

    const std::unique_ptr<Backend> below_;
    const Paces pace_;
    const unsigned calls_;
    std::mutex mutex_;
    std::condition_variable freed_;
    unsigned running_ = 0;
};

// Paid for as it is written: what is written here is on the line, or will be before more is taken.
class LimitedBackend::LimitedUpload final : public Upload {
public:
    LimitedUpload(LimitedBackend& owner, std::unique_ptr<Upload> below) : owner_(owner), below_(std::move(below)) {}
    Status write(ByteView bytes) override {
        if (!owner_.pace_.up) return below_->write(bytes);
        while (!bytes.empty()) {
            const ByteView piece = bytes.first(std::min(bytes.size(), Pace::k_piece));
            HF_DO(owner_.pace_.up->pay(piece.size()));
            HF_DO(below_->write(piece));
            bytes = bytes.subspan(piece.size());
        }
        return {};
    }
    Status commit(const Id& id) override {
        const Turn turn(owner_);
        return below_->commit(id);
    }

private:
    LimitedBackend& owner_;
    const std::unique_ptr<Upload> below_;
};

Result<std::unique_ptr<Upload>> LimitedBackend::start(FileKind kind) {
    HF_TRY(auto upload, below_->start(kind));
    return std::make_unique<LimitedUpload>(*this, std::move(upload));
}

}    // namespace

std::unique_ptr<Backend> limited_backend(std::unique_ptr<Backend> below, Limits limits, Clock& clock) {
    if (limits.upload == 0 && limits.download == 0 && limits.calls == 0) return below;
    return std::make_unique<LimitedBackend>(std::move(below), limits, clock);
}

}    // namespace holdfast::storage
