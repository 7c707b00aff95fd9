#pragma once
// What storages behind a network must do beyond testing/backend_suite.hpp. An adapter instantiates it with its makers.

#include <gmock/gmock.h>

#include <atomic>

#include "holdfast/testing/backend_suite.hpp"

namespace holdfast::testing {

struct NetworkMaker {
    /// In a place of that name (lower case, unique), which create_layout() makes. Lists in pages of at most 1000, and
    /// uploads in parts above 6 MiB where it can.
    std::function<std::unique_ptr<storage::Backend>(const std::string& place)> good;
    /// The same with a key that is wrong.
    std::function<std::unique_ptr<storage::Backend>(const std::string& place)> wrong_key;
    std::string secret;    // that wrong key: must be in no message
};

class NetworkSuite : public ::testing::TestWithParam<NetworkMaker> {
protected:
    using Kind = storage::FileKind;
    void SetUp() override {
        static std::atomic<int> number = 0;
        place_ = "network-" + std::to_string(++number);
        backend_ = GetParam().good(place_);
        const auto made = backend_->create_layout();
        ASSERT_TRUE(made) << made.error().message;
    }
    static storage::FileName named(Kind kind, std::string_view content) {
        return {kind, format::sha256(as_bytes(content))};
    }
    static std::string noise(std::size_t size, unsigned seed) {
        std::string bytes(size, '\0');
        std::uint64_t state = seed * 2654435761u + 88172645463325252ull;
        for (char& c : bytes) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            c = static_cast<char>(state);
        }
        return bytes;
    }
    std::string place_;
    std::unique_ptr<storage::Backend> backend_;
};

TEST_P(NetworkSuite, TakesLargeFilesWholeAndInPieces) {
    const std::string content = noise((17 << 20) + 4321, 1);
    const auto name = named(Kind::pack, content);
    auto upload = backend_->start(Kind::pack);
    ASSERT_TRUE(upload);
    for (std::size_t at = 0; at < content.size(); at += 1'000'000)
        ASSERT_TRUE((*upload)->write(as_bytes(std::string_view(content).substr(at, 1'000'000))));
    const auto committed = (*upload)->commit(name.id);
    ASSERT_TRUE(committed) << committed.error().message;
    EXPECT_EQ(backend_->size(name).value(), content.size());
    EXPECT_EQ(format::sha256(backend_->read(name).value()), name.id);
    Bytes part(3'000'000);
    ASSERT_TRUE(backend_->read_at(name, 7'654'321, part));
    EXPECT_EQ(as_text(part), std::string_view(content).substr(7'654'321, part.size()));
    EXPECT_EQ(backend_->read_at(name, content.size() - 10, part).error().code, ErrorCode::corrupt);
    EXPECT_EQ(backend_->read_at(name, content.size() + 10, part).error().code, ErrorCode::corrupt);
}

TEST_P(NetworkSuite, ListsOverManyPages) {
    // 2,300 files from as many connections as it likes; the pages hold at most 1000.
    constexpr int k_files = 2300;
    std::map<Id, std::uint64_t> expected;
    for (int i = 0; i < k_files; ++i) expected[named(Kind::index, std::to_string(i)).id] = std::to_string(i).size();
    std::atomic<int> next = 0;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < backend_->connections(); ++t)
        threads.emplace_back([&] {
            for (int i = next++; i < k_files; i = next++) {
                const std::string content = std::to_string(i);
                const auto put = backend_->put(named(Kind::index, content), as_bytes(content));
                ASSERT_TRUE(put) << put.error().message;
            }
        });
    for (std::thread& thread : threads) thread.join();
    std::map<Id, std::uint64_t> found;
    ASSERT_TRUE(backend_->list(Kind::index, [&](const Id& id, std::uint64_t size) {
        EXPECT_TRUE(found.emplace(id, size).second) << "told twice";
    }));
    EXPECT_EQ(found, expected);
    int others = 0;
    for (const Kind kind : {Kind::key, Kind::pack, Kind::snapshot, Kind::lock})
        ASSERT_TRUE(backend_->list(kind, [&](const Id&, std::uint64_t) { ++others; }));
    EXPECT_EQ(others, 0);

    // More than any server takes in one request.
    std::vector<storage::FileName> names;
    for (const auto& [id, size] : expected) names.push_back({Kind::index, id});
    std::size_t gone = 0;
    const auto removed = backend_->remove_many(names, [&](const storage::FileName&) { ++gone; });
    ASSERT_TRUE(removed) << removed.error().message;
    EXPECT_EQ(gone, names.size());
    ASSERT_TRUE(backend_->list(Kind::index, [&](const Id&, std::uint64_t) { ++others; }));
    EXPECT_EQ(others, 0);
}

TEST_P(NetworkSuite, RefusesAWrongKeyWithoutTellingIt) {
    const auto stranger = GetParam().wrong_key(place_);
    const auto name = named(Kind::snapshot, "x");
    Bytes some(1);
    std::vector<Error> errors;
    const auto keep = [&](const auto& outcome) {
        ASSERT_FALSE(outcome);
        errors.push_back(outcome.error());
    };
    keep(stranger->size({Kind::config, {}}));
    keep(stranger->read(name));
    keep(stranger->read_at(name, 0, some));
    keep(stranger->put(name, as_bytes("x")));
    keep(stranger->list(Kind::snapshot, [](const Id&, std::uint64_t) {}));
    keep(stranger->remove(name));
    const std::vector<storage::FileName> two = {name, named(Kind::snapshot, "y")};
    keep(stranger->remove_many(two, [](const storage::FileName&) { FAIL() << "nothing is gone"; }));
    for (const Error& error : errors) {
        EXPECT_EQ(error.code, ErrorCode::denied) << error.message;
        EXPECT_FALSE(error.hint.empty());
        for (const std::string& text : {error.message, error.hint, stranger->location()})
            EXPECT_EQ(text.find(GetParam().secret), std::string::npos) << text;
    }
}

TEST_P(NetworkSuite, KeepsManyUploadsAtOnceApart) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 6; ++t)
        threads.emplace_back([&, t] {
            const std::string content = noise(700'000 + t, t);
            auto upload = backend_->start(Kind::pack);
            ASSERT_TRUE(upload);
            ASSERT_TRUE((*upload)->write(as_bytes(content)));
            const auto committed = (*upload)->commit(named(Kind::pack, content).id);
            ASSERT_TRUE(committed) << committed.error().message;
            EXPECT_EQ(as_text(backend_->read(named(Kind::pack, content)).value()), content);
        });
    for (std::thread& thread : threads) thread.join();
}

TEST_P(NetworkSuite, ReplacesAnEqualFileAndTakesAnUploadThatIsCommittedTwice) {
    auto upload = backend_->start(Kind::pack);
    ASSERT_TRUE(upload);
    ASSERT_TRUE((*upload)->write(as_bytes("again")));
    const auto name = named(Kind::pack, "again");
    ASSERT_TRUE((*upload)->commit(name.id));
    ASSERT_TRUE((*upload)->commit(name.id));    // as after an answer that was lost
    EXPECT_EQ(as_text(backend_->read(name).value()), "again");
}

}    // namespace holdfast::testing
