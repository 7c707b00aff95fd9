#pragma once
// What tests of the stores' backups and restores share: a repository, and a snapshot of one component alone.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/source/capture.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::source {

/// At `folder`, with a key that costs next to nothing. Null, and the test has failed, when it cannot be made.
inline std::unique_ptr<vault::Repository> make_test_repository(const std::string& folder, Clock& clock) {
    auto backend = storage::open_backend(folder);
    EXPECT_TRUE(backend) << backend.error().message;
    if (!backend) return nullptr;
    auto made = vault::Repository::init(*std::move(backend), Secret("pw"), clock, {{1024, 8, 1}, {}});
    EXPECT_TRUE(made) << made.error().message;
    return made ? *std::move(made) : nullptr;
}

struct CapturedAlone {
    json::Value facts;    // as they come out of a manifest
    vault::SnapshotEntry snapshot;
    EarlierCopy as_earlier() const { return {snapshot.snapshot.tree, facts}; }
};

/// One snapshot with what `capture` puts into it below `folder`; the repository's index has it afterwards.
inline Result<CapturedAlone> capture_alone(vault::Repository& repository, Clock& clock, const std::string& folder,
                                           const std::string& scratch,
                                           const std::function<Result<json::Value>(CaptureContext&)>& capture,
                                           const std::optional<EarlierCopy>& earlier = {}) {
    HF_DO(repository.load_index(true));
    HF_TRY(auto backup, vault::Backup::start(repository, {}));
    CaptureContext context{*backup, clock, folder, scratch};
    if (earlier) context.earlier = [&] { return earlier; };
    HF_TRY(const auto facts, capture(context));
    HF_DO(backup->commit());
    backup.reset();
    CapturedAlone captured;
    HF_TRY(captured.facts, json::parse(json::dump(facts), "facts"));
    HF_TRY(captured.snapshot, repository.find_snapshot("latest"));
    HF_DO(repository.load_index(true));
    return captured;
}

}    // namespace holdfast::source
