// The journal's disk fills while signals flow: the engine takes nothing more, says so, loses nothing, and goes on when there is
// room. Requirements: DD-09, NS-17.

#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <sys/mount.h>

#include "holdfast/os/fd.hpp"
#include "holdfast/os/host.hpp"
#include "trade_books.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

os::SystemClock g_clock;

class TradeFullDisk : public ::testing::Test {
protected:
    void SetUp() override {
        auto started = TradeStack::start({.broker = {"walk_ms=20", "seed=7", "partial=0.05"}});
        ASSERT_TRUE(started) << started.error().message << "\n" << started.error().hint;
        stack_ = *std::move(started);
        journal_ = stack_->place(0) + "/journal";
        ASSERT_TRUE(os::make_folders(journal_));
        ASSERT_EQ(::mount("tmpfs", journal_.c_str(), "tmpfs", 0, "size=400m,mode=0700"), 0)
            << "the suite mounts: it runs as root";
        good(stack_->start_engine());
        good(stack_->wait_for_gate());
    }
    void TearDown() override {
        stack_.reset();
        EXPECT_EQ(::umount2(journal_.c_str(), MNT_DETACH), 0);
    }
    static void good(const Status& status) {
        ASSERT_TRUE(status) << status.error().message << "\n" << status.error().hint;
    }

    /// All room is gone, to the last byte.
    void fill() const {
        const auto file = os::open_file(journal_ + "/filler", O_WRONLY | O_CREAT);
        ASSERT_TRUE(file) << file.error().message;
        for (std::size_t size : {std::size_t(1) << 20, std::size_t(4096)}) {
            const Bytes block(size, std::byte{1});
            while (::write(file->get(), block.data(), block.size()) == static_cast<ssize_t>(block.size())) {
            }
        }
    }
    void wait_until(std::string_view what, const std::function<bool(const json::Value&)>& is_so) const {
        json::Value status;
        for (int i = 0; i < 600; ++i) {
            if (auto told = stack_->status()) status = *std::move(told);
            if (is_so(status)) return;
            g_clock.sleep(100ms);
        }
        FAIL() << what << " never came: " << json::dump(status) << stack_->log_tail();
    }

    std::unique_ptr<TradeStack> stack_;
    std::string journal_;
};

TEST_F(TradeFullDisk, TheEngineStopsAcceptingSaysSoAndGoesOnWhenThereIsRoom) {
    SignalFeed feed({stack_->socket()}, 300);
    for (int i = 0; i < 600 && feed.acknowledged() < 200; ++i) g_clock.sleep(50ms);

    // It dies, others take all the room, and it starts again: there is none for the segment after the current one.
    good(stack_->kill(TradeStack::Part::engine));
    ASSERT_TRUE(os::remove_tree(journal_ + "/spare"));
    fill();
    good(stack_->start_engine());
    wait_until("the trouble", [](const json::Value& status) { return !status["journal"]["trouble"].text().empty(); });
    const std::uint64_t before = feed.acknowledged();
    const auto said = stack_->holdfast({"trade", "status"});
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_THAT(said->output, HasSubstr("disk has no room"));
    const auto advice = stack_->holdfast({"doctor", "desk-1"});
    ASSERT_TRUE(advice) << advice.error().message;
    EXPECT_THAT(advice->output, HasSubstr("the journal takes nothing"));
    // Nothing is taken while it lasts, but what is asked is answered: the engine lives.
    for (int i = 0; i < 20; ++i) {
        g_clock.sleep(50ms);
        ASSERT_TRUE(stack_->status());
    }
    EXPECT_EQ(feed.acknowledged(), before);

    ASSERT_TRUE(os::remove_tree(journal_ + "/filler"));
    wait_until("the end of the trouble",
               [](const json::Value& status) { return status["journal"]["trouble"].text().empty(); });
    good(stack_->wait_for_gate());
    for (int i = 0; i < 1200 && feed.acknowledged() < before + 200; ++i) g_clock.sleep(50ms);
    EXPECT_GE(feed.acknowledged(), before + 200);
    good(feed.finish());
    good(stack_->wait_until_settled());
    good(stack_->stop_engine());
    expect_equal_books(*stack_);
}

}    // namespace
}    // namespace holdfast::testing
