#pragma once
// What every storage adapter must do: the promises of storage/backend.hpp as tests. An adapter instantiates it:
//
//   INSTANTIATE_TEST_SUITE_P(Local, BackendSuite, ::testing::Values(BackendMaker([](const std::string& folder) { … })));

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::testing {

/// Given a private folder (for adapters that need one).
using BackendMaker = std::function<std::unique_ptr<storage::Backend>(const std::string& folder)>;

class BackendSuite : public ::testing::TestWithParam<BackendMaker> {
protected:
    using Kind = storage::FileKind;
    void SetUp() override {
        auto folder = os::TempFolder::create("hf-backend");
        ASSERT_TRUE(folder);
        folder_.emplace(*std::move(folder));
        backend_ = GetParam()(folder_->path() + "/repo");
        ASSERT_TRUE(backend_->create_layout());
    }
    std::map<Id, std::uint64_t> listed(Kind kind) {
        std::map<Id, std::uint64_t> all;
        EXPECT_TRUE(backend_->list(kind, [&](const Id& id, std::uint64_t size) { all[id] = size; }));
        return all;
    }
    static storage::FileName named(Kind kind, std::string_view content) {
        return {kind, format::sha256(as_bytes(content))};
    }

    std::optional<os::TempFolder> folder_;
    std::unique_ptr<storage::Backend> backend_;
};

TEST_P(BackendSuite, GivesBackWhatWasPut) {
    for (const Kind kind : {Kind::key, Kind::pack, Kind::index, Kind::snapshot, Kind::lock}) {
        const auto name = named(kind, "some content");
        ASSERT_TRUE(backend_->put(name, as_bytes("some content")));
        const auto content = backend_->read(name);
        ASSERT_TRUE(content);
        EXPECT_EQ(as_text(*content), "some content");
        EXPECT_EQ(backend_->size(name).value(), 12u);
        EXPECT_EQ(listed(kind), (std::map<Id, std::uint64_t>{{name.id, 12}}));
    }
}

TEST_P(BackendSuite, NamesAnUploadOnlyAtItsCommit) {
    const auto name = named(Kind::pack, "abcdef");
    auto upload = backend_->start(Kind::pack);
    ASSERT_TRUE(upload);
    ASSERT_TRUE((*upload)->write(as_bytes("abc")));
    ASSERT_TRUE((*upload)->write(as_bytes("def")));
    EXPECT_TRUE(listed(Kind::pack).empty());
    ASSERT_TRUE((*upload)->commit(name.id));
    EXPECT_EQ(as_text(backend_->read(name).value()), "abcdef");
    EXPECT_TRUE(backend_->sync());
}

TEST_P(BackendSuite, AbandonsAnUploadThatIsNotCommitted) {
    {
        auto upload = backend_->start(Kind::pack);
        ASSERT_TRUE(upload);
        ASSERT_TRUE((*upload)->write(as_bytes("half a pack")));
    }
    EXPECT_TRUE(listed(Kind::pack).empty());
}

TEST_P(BackendSuite, SaysNotFoundForWhatIsNotThere) {
    const auto name = named(Kind::snapshot, "never written");
    Bytes some(3);
    EXPECT_EQ(backend_->read(name).error().code, ErrorCode::not_found);
    EXPECT_EQ(backend_->read_at(name, 0, some).error().code, ErrorCode::not_found);
    EXPECT_EQ(backend_->size(name).error().code, ErrorCode::not_found);
    EXPECT_EQ(backend_->remove(name).error().code, ErrorCode::not_found);
    EXPECT_EQ(backend_->size({Kind::config, {}}).error().code, ErrorCode::not_found);
}

TEST_P(BackendSuite, ReadsParts) {
    const auto name = named(Kind::pack, "0123456789");
    ASSERT_TRUE(backend_->put(name, as_bytes("0123456789")));
    Bytes part(4);
    ASSERT_TRUE(backend_->read_at(name, 6, part));
    EXPECT_EQ(as_text(part), "6789");
    EXPECT_EQ(backend_->read_at(name, 7, part).error().code, ErrorCode::corrupt);
}

TEST_P(BackendSuite, TakesTheSameFileTwice) {
    const auto name = named(Kind::pack, "twice");
    ASSERT_TRUE(backend_->put(name, as_bytes("twice")));
    EXPECT_TRUE(backend_->put(name, as_bytes("twice")));
    EXPECT_EQ(listed(Kind::pack).size(), 1u);
}

TEST_P(BackendSuite, NeverReplacesTheConfig) {
    ASSERT_TRUE(backend_->put({Kind::config, {}}, as_bytes("first")));
    EXPECT_EQ(backend_->put({Kind::config, {}}, as_bytes("second")).error().code, ErrorCode::exists);
    EXPECT_EQ(as_text(backend_->read({Kind::config, {}}).value()), "first");
}

TEST_P(BackendSuite, RemovesForGood) {
    const auto name = named(Kind::lock, "a lock");
    ASSERT_TRUE(backend_->put(name, as_bytes("a lock")));
    ASSERT_TRUE(backend_->remove(name));
    EXPECT_TRUE(listed(Kind::lock).empty());
}

TEST_P(BackendSuite, RemovesManyAtOnceAndTellsOfEach) {
    std::vector<storage::FileName> names;
    for (int i = 0; i < 30; ++i) {
        names.push_back(named(Kind::pack, std::to_string(i)));
        ASSERT_TRUE(backend_->put(names.back(), as_bytes(std::to_string(i))));
    }
    const auto kept = named(Kind::pack, "kept");
    ASSERT_TRUE(backend_->put(kept, as_bytes("kept")));
    names.push_back(named(Kind::pack, "never written"));    // as good as removed
    std::multiset<storage::FileName> gone;
    const auto removed = backend_->remove_many(names, [&](const storage::FileName& name) { gone.insert(name); });
    ASSERT_TRUE(removed) << removed.error().message;
    EXPECT_EQ(gone, std::multiset<storage::FileName>(names.begin(), names.end()));
    EXPECT_EQ(listed(Kind::pack), (std::map<Id, std::uint64_t>{{kept.id, 4}}));
    EXPECT_TRUE(backend_->remove_many({}, [](const storage::FileName&) { FAIL(); }));
    EXPECT_GE(backend_->removes_at_once(), 1u);
}

TEST_P(BackendSuite, ServesManyThreads) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 25; ++i) {
                const std::string content = std::to_string(t) + "/" + std::to_string(i);
                EXPECT_TRUE(backend_->put(named(Kind::pack, content), as_bytes(content)));
                EXPECT_EQ(as_text(backend_->read(named(Kind::pack, content)).value()), content);
                EXPECT_TRUE(backend_->sync());
            }
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(listed(Kind::pack).size(), 100u);
}

}    // namespace holdfast::testing
