#include "holdfast/policy/copies.hpp"

#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

const CopyFacts k_live{"live data", "", StorageKind::disk, false, "", ""};
const CopyFacts k_vault{"repository", "/srv/vault", StorageKind::disk, false, "8:1", ""};
const CopyFacts k_bucket{"far", "s3:https://far.example/b", StorageKind::object, true, "", ""};

TEST(Copies, LiveDataVaultAndBucketSatisfyTheRule) {
    // NS-05.
    const CopiesReport report = count_copies({k_live, k_vault, k_bucket});
    EXPECT_TRUE(report.satisfied());
    EXPECT_EQ(report.copies, 3u);
    EXPECT_EQ(report.kinds, 2u);
    EXPECT_EQ(report.off_site, 1u);
}

TEST(Copies, AVaultAloneLacksAllThree) { EXPECT_EQ(count_copies({k_live, k_vault}).missing.size(), 3u); }

TEST(Copies, ACopyWithTroubleDoesNotCount) {
    CopyFacts late = k_bucket;
    late.trouble = "40 hours behind";
    const CopiesReport report = count_copies({k_live, k_vault, late});
    EXPECT_EQ(report.copies, 2u);
    EXPECT_EQ(report.off_site, 0u);
    EXPECT_FALSE(report.satisfied());
}

TEST(Copies, TwoOnOneDeviceCountOnce) {
    CopyFacts beside = k_vault;
    beside.name = "beside";
    const CopiesReport report = count_copies({k_live, k_vault, beside, k_bucket});
    EXPECT_EQ(report.copies, 3u);
    EXPECT_NE(report.list[2].trouble, "");
}

TEST(Copies, KindAndPlaceAreGuessedFromTheLocation) {
    const struct {
        const char* location;
        StorageKind kind;
        bool off_site;
    } cases[] = {
        {"/srv/vault", StorageKind::disk, false},
        {"local:/srv/vault", StorageKind::disk, false},
        {"./a:b", StorageKind::disk, false},
        {"/a/b:c", StorageKind::disk, false},
        {"sftp:backup@far.example:/srv/vault", StorageKind::disk, true},
        {"sftp://backup@localhost:2222//srv", StorageKind::disk, false},
        {"sftp:root@127.0.0.1:/srv", StorageKind::disk, false},
        {"rest:https://user:word@far.example:8000/desk/", StorageKind::disk, true},
        {"rest:http://127.0.0.1:8000/", StorageKind::disk, false},
        {"rest:http://[::1]:8000/", StorageKind::disk, false},
        {"s3:https://s3.eu-central-1.amazonaws.com/bucket/desk", StorageKind::object, true},
        {"s3:http://localhost:9000/bucket", StorageKind::object, false},
        {"azure:container:/desk", StorageKind::object, true},
        {"s3:", StorageKind::object, true},
    };
    for (const auto& c : cases) {
        EXPECT_EQ(guess_storage_kind(c.location), c.kind) << c.location;
        EXPECT_EQ(guess_off_site(c.location), c.off_site) << c.location;
    }
}

}    // namespace
}    // namespace holdfast::policy
