// Any fact that the journal can hold is told as JSON and as a line of CSV, whatever texts a broker put into it.

#include <algorithm>

#include "holdfast/ledger/fact.hpp"
#include "holdfast/trade/fact_json.hpp"
#include "holdfast/trade/signal_json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    if (const auto fact = ledger::parse_fact(std::as_bytes(std::span(data, size)))) {
        const json::Value value = trade::fact_json(7, *fact);
        const std::string written = json::dump(value, 0);
        const auto again = json::parse(written, "fact");
        HF_ASSERT(again && (*again)["sequence"].natural() == 7);
        const auto& columns = trade::fact_columns();
        for (const auto& [name, member] : value.members()) HF_ASSERT(std::ranges::find(columns, name) != columns.end());
        HF_ASSERT(trade::fact_csv(value).ends_with("\r\n"));
    }
    // The bytes once more, as the names and texts of a stream's entry: lines, in pairs.
    std::vector<std::string_view> lines;
    for (std::string_view text(reinterpret_cast<const char*>(data), size); !text.empty();) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    std::vector<std::pair<std::string_view, std::string_view>> fields;
    for (std::size_t i = 0; i + 1 < lines.size(); i += 2) fields.emplace_back(lines[i], lines[i + 1]);
    if (const auto signal = trade::signal_from_fields(fields)) HF_ASSERT(!fault_of(*signal));
    return 0;
}
