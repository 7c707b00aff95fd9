#include "holdfast/testing/flaky_backend.hpp"

#include <vector>

namespace holdfast::testing {
namespace {

using storage::FileKind;
using storage::FileName;

class FlakyBackend final : public storage::Backend {
public:
    FlakyBackend(std::unique_ptr<storage::Backend> below, Fates fates)
        : below_(std::move(below)), fates_(std::move(fates)) {}

    Status create_layout() override {
        return go<Status>("create_layout", [&] { return below_->create_layout(); });
    }
    Result<std::unique_ptr<storage::Upload>> start(FileKind kind) override {
        return go<Result<std::unique_ptr<storage::Upload>>>("start", [&]() -> Result<std::unique_ptr<storage::Upload>> {
            return std::make_unique<FlakyUpload>(*this, kind);
        });
    }
    Status put(const FileName& name, ByteView bytes) override {
        return go<Status>("put", [&] { return below_->put(name, bytes); });
    }
    Result<Bytes> read(const FileName& name) override {
        return go<Result<Bytes>>("read", [&] { return below_->read(name); });
    }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override {
        return go<Status>("read_at", [&] { return below_->read_at(name, offset, to); });
    }
    Result<std::uint64_t> size(const FileName& name) override {
        return go<Result<std::uint64_t>>("size", [&] { return below_->size(name); });
    }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override {
        return go<Status>("list", [&] { return below_->list(kind, found); });
    }
    Status remove(const FileName& name) override {
        return go<Status>("remove", [&] { return below_->remove(name); });
    }
    Status sync() override {
        return go<Status>("sync", [&] { return below_->sync(); });
    }
    bool lists_at_once() const override { return below_->lists_at_once(); }
    unsigned connections() const override { return below_->connections(); }
    std::string location() const override { return below_->location(); }

private:
    // Keeps the bytes, as an adapter that must know the name first does, so that commit() can be tried again.
    class FlakyUpload final : public storage::Upload {
    public:
        FlakyUpload(FlakyBackend& owner, FileKind kind) : owner_(owner), kind_(kind) {}
        Status write(ByteView bytes) override {
            append(bytes_, bytes);
            return {};
        }
        Status commit(const Id& id) override {
            return owner_.go<Status>("commit", [&] { return owner_.below_->put({kind_, id}, bytes_); });
        }

    private:
        FlakyBackend& owner_;
        const FileKind kind_;
        Bytes bytes_;
    };

    template <class Outcome, class Call>
    Outcome go(std::string_view what, const Call& call) {
        const std::optional<Fate> fate = fates_(what);
        if (!fate) return call();
        if (fate->when == Fate::When::after)
            if (auto done = call(); !done) return done;
        return std::unexpected(Error{fate->code, "the line broke at " + std::string(what), {}});
    }

    const std::unique_ptr<storage::Backend> below_;
    const Fates fates_;
};

}    // namespace

std::unique_ptr<storage::Backend> flaky_backend(std::unique_ptr<storage::Backend> below, Fates fates) {
    return std::make_unique<FlakyBackend>(std::move(below), std::move(fates));
}

}    // namespace holdfast::testing
