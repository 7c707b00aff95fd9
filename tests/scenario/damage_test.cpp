// Files of the repository are cut short or get a flipped bit. It is noticed, named, and never handed out as good.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;

class Damage : public Scenario {
protected:
    void SetUp() override {
        make_repository();
        make_files(at("source"), 3);
        ASSERT_EQ(holdfast({"backup", at("source")}).exit, 0);
        ASSERT_EQ(holdfast({"check", "--read-data"}).exit, 0);
    }

    static void flip_bit(const std::string& path) {
        const os::Fd file = os::open_file(path, O_RDWR).value();
        const auto middle = static_cast<std::uint64_t>(os::status_of(path)->st_size / 2);
        std::byte byte{};
        ASSERT_EQ(os::pread_full(file.get(), ByteSpan(&byte, 1), middle).value(), 1u);
        byte ^= std::byte{4};
        ASSERT_TRUE(os::pwrite_all(file.get(), ByteView(&byte, 1), middle).has_value());
    }
    static void cut(const std::string& path) {
        ASSERT_EQ(::truncate(path.c_str(), os::status_of(path)->st_size / 2), 0);
    }
    static std::string brief(const std::string& path) { return os::file_name(path).substr(0, 8); }

    // Everything that came back must be as it was; what cannot come back must be gone and told.
    void expect_no_wrong_file(const Answer& restored) const {
        EXPECT_NE(restored.exit, 0);
        for (unsigned i = 0; i < 3; ++i) {
            const std::string name = "/data/part-00" + std::to_string(i);
            const std::string back = at("back") + at("source") + name;
            if (os::exists(back)) {
                EXPECT_TRUE(os::read_file(back).value() == os::read_file(at("source") + name).value()) << name;
            } else {
                EXPECT_THAT(restored.errors, HasSubstr(name.substr(6)));
            }
        }
    }
};

TEST_F(Damage, AFlippedBitInAPackIsFoundNamedAndNeverRestored) {    // NS-16
    const std::string pack = largest_in("data");
    flip_bit(pack);
    const Answer checked = holdfast({"check", "--read-data"});
    EXPECT_EQ(checked.exit, 1);
    EXPECT_THAT(checked.errors, HasSubstr(brief(pack)));
    const Answer restored = holdfast({"restore", "latest", "--target", at("back")});
    expect_no_wrong_file(restored);
    EXPECT_TRUE(os::exists(at("back") + at("source/etc/desk.conf")));    // the rest came back
}

TEST_F(Damage, ATruncatedPackIsFoundWithoutReadingData) {
    const std::string pack = largest_in("data");
    cut(pack);
    const Answer checked = holdfast({"check"});
    EXPECT_EQ(checked.exit, 1);
    EXPECT_THAT(checked.errors, HasSubstr(brief(pack)));
    expect_no_wrong_file(holdfast({"restore", "latest", "--target", at("back")}));
}

TEST_F(Damage, AMissingPackIsFound) {    // NS-16
    const std::string pack = largest_in("data");
    ASSERT_EQ(::unlink(pack.c_str()), 0);
    const Answer checked = holdfast({"check"});
    EXPECT_EQ(checked.exit, 1);
    EXPECT_THAT(checked.errors, HasSubstr(brief(pack)));
    expect_no_wrong_file(holdfast({"restore", "latest", "--target", at("back")}));
}

TEST_F(Damage, ADamagedIndexIsNamed) {
    const std::string index = largest_in("index");
    flip_bit(index);
    const Answer restored = holdfast({"restore", "latest", "--target", at("back")});
    EXPECT_EQ(restored.exit, 1);
    EXPECT_THAT(restored.errors, HasSubstr(brief(index)));
    EXPECT_EQ(holdfast({"check"}).exit, 1);
}

TEST_F(Damage, ADamagedSnapshotIsNamedAndTheOthersStayUsable) {
    ASSERT_EQ(holdfast({"backup", at("source"), "--tag", "second"}).exit, 0);
    const std::string second =
        holdfast({"snapshots", "--tag", "second", "--json"}).json()["snapshots"].items().at(0)["id"].text();
    flip_bit(repository() + "/snapshots/" + second);
    const Answer listed = holdfast({"snapshots"});
    EXPECT_EQ(listed.exit, 3);
    EXPECT_THAT(listed.errors, HasSubstr(second.substr(0, 8)));
    EXPECT_THAT(listed.output, HasSubstr("1 snapshot"));
    const Answer checked = holdfast({"check"});
    EXPECT_EQ(checked.exit, 1);
    EXPECT_THAT(checked.errors, HasSubstr(second.substr(0, 8)));
}

TEST_F(Damage, ACutConfigOrKeyIsToldAsDamageNotAsAWrongPassword) {
    const std::string config = repository() + "/config";
    cut(config);
    const Answer answer = holdfast({"snapshots"});
    EXPECT_EQ(answer.exit, 1) << answer.errors;
    EXPECT_THAT(answer.errors, HasSubstr("config"));
}

}    // namespace
}    // namespace holdfast::scenario
