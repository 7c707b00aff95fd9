// Messages of a FIX broker, as text fields: one a line, "type|tag=value|tag=value". Whatever they say, reports name an
// order and an execution has an ID and a positive quantity.

#include <algorithm>
#include <charconv>

#include "holdfast/base/log.hpp"
#include "holdfast/broker/fix.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::broker {

struct FixTexts {
    static void run(FixBroker& broker, std::string_view text) {
        broker.sink_ = [](const Report& report) {
            if (report.kind != ReportKind::executed) return;
            const ledger::Execution& execution = report.execution;
            HF_ASSERT(execution.order == report.order && !execution.id.empty() && execution.quantity.positive());
        };
        while (!text.empty()) {
            const std::string_view line = text.substr(0, text.find('\n'));
            text.remove_prefix(std::min(line.size() + 1, text.size()));
            fix::Message message;
            for (std::string_view left = line; !left.empty();) {
                const std::string_view field = left.substr(0, left.find('|'));
                left.remove_prefix(std::min(field.size() + 1, left.size()));
                const std::size_t equals = field.find('=');
                if (equals == std::string_view::npos) {
                    message.type = field;
                    continue;
                }
                int tag = 0;
                std::from_chars(field.data(), field.data() + equals, tag);
                message.fields.push_back({tag, std::string(field.substr(equals + 1))});
            }
            broker.received(message);
        }
    }
};

}    // namespace holdfast::broker

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto at = broker::parse_fix_time(text)) {
        const auto again = broker::parse_fix_time(broker::fix_time(*at));
        HF_ASSERT(again && broker::fix_time(*again) == broker::fix_time(*at));
    }
    set_log({.level = LogLevel::error, .json = false, .timestamp = {}, .sink = [](std::string_view) {}});
    os::SystemClock clock;
    broker::FixOptions options;
    options.host = "localhost";
    options.port = 1;
    options.sender = "US";
    options.target = "THEM";
    options.folder = "/nonexistent";
    auto made = broker::FixBroker::create(std::move(options), clock);
    HF_ASSERT(made);
    broker::FixTexts::run(static_cast<broker::FixBroker&>(**made), text);
    return 0;
}
