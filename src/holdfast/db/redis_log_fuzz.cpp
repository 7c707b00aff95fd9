// Any bytes are a command stream or an error; where they are cut makes no difference; and what was made of them is a file
// that reads back as itself.

#include "holdfast/db/redis_log.hpp"

namespace {

using namespace holdfast;

struct Read {
    std::string file;
    bool whole = false, refused = false;
    std::uint64_t commands = 0;
    std::optional<std::uint64_t> database;
    bool operator==(const Read&) const = default;
};

Read read(ByteView left, std::size_t step, std::optional<std::uint64_t> database) {
    db::RedisLogReader reader(database);
    Read result;
    while (!left.empty() && !result.refused) {
        const ByteView piece = left.first(std::min(step, left.size()));
        left = left.subspan(piece.size());
        const Status fed = reader.feed(piece, [&](ByteView kept) -> Status {
            result.file += as_text(kept);
            return {};
        });
        result.refused = !fed;
    }
    result.whole = !result.refused && reader.at_boundary();
    result.commands = reader.commands();
    result.database = reader.database();
    return result;
}

}    // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    for (const std::optional<std::uint64_t> database :
         {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(9)}) {
        const Read at_once = read(bytes, size + 1, database), in_pieces = read(bytes, 3, database);
        HF_ASSERT(at_once.refused == in_pieces.refused);
        if (at_once.refused) continue;
        HF_ASSERT(at_once == in_pieces);
        if (!at_once.whole) continue;
        const Read again = read(as_bytes(at_once.file), 7, std::nullopt);
        HF_ASSERT(again.whole && again.file == at_once.file && again.commands == at_once.commands);
        // A file of which nothing was kept tells no database.
        if (!at_once.file.empty()) HF_ASSERT(again.database == at_once.database);
    }
    return 0;
}
