// Over a long line a read takes its time, and a backend serves several at once: restore and check must ask for them side by
// side. Reads are counted, not timed.

#include <fmt/core.h>

#include <condition_variable>

#include "holdfast/vault/fixture_test.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

constexpr unsigned k_connections = 5;

// Holds each read a while for others to come, until `k_connections` of them were there at once.
class LongLine final : public storage::Backend {
public:
    struct Seen {
        std::mutex mutex;
        std::condition_variable changed;
        unsigned reading = 0, most = 0;
    };
    LongLine(std::unique_ptr<storage::Backend> below, Seen& seen) : below_(std::move(below)), seen_(seen) {}
    Status create_layout() override { return below_->create_layout(); }
    Result<std::unique_ptr<storage::Upload>> start(FileKind kind) override { return below_->start(kind); }
    Status put(const FileName& name, ByteView bytes) override { return below_->put(name, bytes); }
    Result<Bytes> read(const FileName& name) override { return below_->read(name); }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override {
        std::unique_lock lock(seen_.mutex);
        seen_.most = std::max(seen_.most, ++seen_.reading);
        seen_.changed.notify_all();
        seen_.changed.wait_for(lock, std::chrono::milliseconds(200), [&] { return seen_.most >= k_connections; });
        --seen_.reading;
        lock.unlock();
        return below_->read_at(name, offset, to);
    }
    Result<std::uint64_t> size(const FileName& name) override { return below_->size(name); }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override {
        return below_->list(kind, found);
    }
    Status remove(const FileName& name) override { return below_->remove(name); }
    Status sync() override { return below_->sync(); }
    bool lists_at_once() const override { return true; }
    unsigned connections() const override { return k_connections; }
    std::string location() const override { return below_->location(); }

private:
    const std::unique_ptr<storage::Backend> below_;
    Seen& seen_;
};

class LongLineTest : public VaultTest {
protected:
    // Two levels of folders with a file each.
    void SetUp() override {
        init();
        for (int i = 0; i < 20; ++i)
            for (int k = 0; k < 3; ++k)
                write(fmt::format("source/{}/{}/file", i, k), noise(200'000, static_cast<std::uint64_t>(10 * i + k)));
        HF_OK(back_up(path("source")));
        reopen(std::make_unique<LongLine>(storage::local_backend(repo_path()), seen_));
        HF_OK(repository_->load_index());
        seen_.most = 0;
    }
    LongLine::Seen seen_;
};

TEST_F(LongLineTest, RestoreReadsOverAllConnections) {
    HF_OK(restore_latest("out"));
    EXPECT_GE(seen_.most, k_connections);
    EXPECT_EQ(listing(path("out") + path("source")), listing(path("source")));
}

TEST_F(LongLineTest, CheckReadsOverAllConnections) {
    EXPECT_TRUE(checked(false).ok());    // trees alone
    EXPECT_GE(seen_.most, k_connections);
    seen_.most = 0;
    EXPECT_TRUE(checked(true).ok());
    EXPECT_GE(seen_.most, k_connections);
}

}    // namespace
}    // namespace holdfast::vault
