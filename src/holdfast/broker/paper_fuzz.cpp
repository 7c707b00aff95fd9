// Lines of the paper broker: of its book's file, and between it and who trades there.

#include <algorithm>

#include "holdfast/broker/paper_book.hpp"
#include "holdfast/broker/paper_server.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view whole(reinterpret_cast<const char*>(data), size);
    if (const auto address = broker::parse_paper_address(whole))
        HF_ASSERT(address->path.empty() != address->host.empty());
    broker::PaperBook book({});
    std::size_t restored = 0;
    for (std::string_view text = whole; !text.empty();) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (book.restore(line)) ++restored;
        const auto value = json::parse(line, "line");
        if (!value) continue;
        if (const auto report = broker::report_of_json(*value)) {
            const std::string written = json::dump(broker::to_json(*report), 0);
            const auto again = broker::report_of_json(json::parse(written, "again").value());
            HF_ASSERT(again && json::dump(broker::to_json(*again), 0) == written);
        }
        if (const auto order = broker::order_of_json(*value)) {
            const std::string written = json::dump(broker::to_json(*order), 0);
            const auto again = broker::order_of_json(json::parse(written, "again").value());
            HF_ASSERT(again && json::dump(broker::to_json(*again), 0) == written);
        }
    }
    // What was restored is written and restored again.
    broker::PaperBook again({});
    for (const broker::PaperEvent& event : book.events()) HF_ASSERT(again.restore(book.encode(event)));
    HF_ASSERT(again.events().size() == book.events().size());
    return 0;
}
