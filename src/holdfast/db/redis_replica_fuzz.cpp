// What stands before an RDB on the replication line, from any server.

#include "holdfast/db/redis_replica.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view line(reinterpret_cast<const char*>(data), size);
    if (const auto answer = db::parse_full_resync(line)) HF_ASSERT(answer->replication_id.size() == 40);
    if (const auto id = db::parse_continue(line)) HF_ASSERT(id->empty() || id->size() == 40);
    if (const auto framing = db::parse_rdb_framing(line))
        HF_ASSERT(framing->mark.empty() ? framing->size > 0 : framing->size == 0 && framing->mark.size() == 40);
    return 0;
}
