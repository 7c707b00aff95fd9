// Any bytes as a file of the engine's state beside the journal: one that checks holds exactly what it was made of.

#include <algorithm>

#include "holdfast/trade/state_snapshot.hpp"

namespace {

using namespace holdfast;

// One file, in memory.
class OneFile final : public trade::JournalDisk, public trade::JournalFile {
public:
    explicit OneFile(Bytes content) : content_(std::move(content)) {}
    Result<std::size_t> read(ByteSpan to, std::uint64_t offset) const override {
        const ByteView from = ByteView(content_).subspan(std::min<std::size_t>(offset, content_.size()));
        const std::size_t n = std::min(from.size(), to.size());
        std::copy_n(from.begin(), n, to.begin());
        return n;
    }
    Result<std::uint64_t> size() const override { return content_.size(); }
    Result<std::unique_ptr<trade::JournalFile>> open(const std::string&, bool) const override {
        return std::make_unique<OneFile>(content_);
    }
    Result<std::vector<std::string>> list() const override { return std::vector{trade::snapshot_name(7)}; }
    // Nothing here is written.
    Status write(ByteView, std::uint64_t) override { return fail(ErrorCode::io, ""); }
    Status sync() override { return {}; }
    Status reserve(std::uint64_t) override { return fail(ErrorCode::io, ""); }
    Status truncate(std::uint64_t) override { return fail(ErrorCode::io, ""); }
    Result<std::unique_ptr<trade::JournalFile>> create(const std::string&) override { return fail(ErrorCode::io, ""); }
    Status rename(const std::string&, const std::string&) override { return fail(ErrorCode::io, ""); }
    Status remove(const std::string&) override { return fail(ErrorCode::io, ""); }
    Status sync_names() override { return {}; }

private:
    const Bytes content_;
};

}    // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes = std::as_bytes(std::span(data, size));
    const OneFile disk{Bytes(bytes.begin(), bytes.end())};
    const auto found = trade::newest_state_snapshot(disk);
    HF_ASSERT(found && found->snapshot.has_value() != (found->passed_over.size() == 1));
    if (found->snapshot)
        HF_ASSERT(std::ranges::equal(found->snapshot->state, bytes.last(found->snapshot->state.size())));
    // The names of a folder are anybody's, too.
    HF_ASSERT(trade::snapshots_of({std::string(as_text(bytes))}).size() <= 1);
    return 0;
}
