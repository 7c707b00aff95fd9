#include "holdfast/storage/limits.hpp"

#include <gtest/gtest.h>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/testing/sim_clock.hpp"

namespace holdfast::storage {
namespace {

using namespace std::chrono_literals;

class LimitedBackend : public ::testing::Test {
protected:
    std::unique_ptr<Backend> limited(Limits limits) {
        auto backend = limited_backend(local_backend(folder_.path() + "/repo"), limits, clock_);
        EXPECT_TRUE(backend->create_layout());
        return backend;
    }
    os::TempFolder folder_ = os::TempFolder::create("hf-limits").value();
    testing::SimClock clock_;
    const std::string content_ = std::string(1 << 20, 'x');
    const FileName name_{FileKind::pack, format::sha256(as_bytes(content_))};
};

TEST_F(LimitedBackend, HoldsTheRateUpAndLeavesDownAlone) {
    const auto backend = limited({.upload = 256 << 10});
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(backend->put(name_, as_bytes(content_)));
    EXPECT_GE(clock_.elapsed(), 15s);
    EXPECT_LE(clock_.elapsed(), 16s);
    const Duration before = clock_.elapsed();
    ASSERT_TRUE(backend->read(name_));
    EXPECT_EQ(clock_.elapsed(), before);
}

TEST_F(LimitedBackend, PacesAStreamPieceByPiece) {
    const auto backend = limited({.upload = 256 << 10});
    auto upload = backend->start(FileKind::pack);
    ASSERT_TRUE(upload);
    ASSERT_TRUE((*upload)->write(as_bytes(content_)));
    EXPECT_GE(clock_.elapsed(), 3800ms);
    EXPECT_LE(clock_.elapsed(), 4s);
    ASSERT_TRUE((*upload)->commit(name_.id));
    EXPECT_EQ(backend->read(name_)->size(), content_.size());
}

TEST_F(LimitedBackend, HoldsTheRateDown) {
    const auto backend = limited({.download = 512 << 10});
    ASSERT_TRUE(backend->put(name_, as_bytes(content_)));
    EXPECT_EQ(clock_.elapsed(), 0s);
    Bytes part(1 << 18);
    for (int i = 0; i < 16; ++i) ASSERT_TRUE(backend->read_at(name_, 0, part));
    EXPECT_GE(clock_.elapsed(), 7800ms);
    EXPECT_LE(clock_.elapsed(), 8s);
}

TEST_F(LimitedBackend, IsNotThereWhenThereIsNothingToLimit) {
    auto below = local_backend(folder_.path());
    const Backend* raw = below.get();
    EXPECT_EQ(limited_backend(std::move(below), {}, clock_).get(), raw);
}

}    // namespace
}    // namespace holdfast::storage
