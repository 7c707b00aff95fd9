// What people type for forget: spans, counts, groups, sizes and shares. What is taken is written back the same, and no time
// that it leads to is out of range.

#include "holdfast/policy/grouping.hpp"
#include "holdfast/policy/retention.hpp"
#include "holdfast/policy/size.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto span = policy::parse_calendar_duration(text)) {
        if (!span->empty()) {
            const auto again = policy::parse_calendar_duration(policy::to_string(*span));
            HF_ASSERT(again && *again == *span);
        }
        const Timestamp now{1'795'000'000'000'000'000};
        static_cast<void>(policy::before(now, *span, policy::utc));
        policy::RetentionPolicy rules;
        rules.within = *span;
        rules.within_daily = *span;
        const auto verdicts = policy::apply_policy({{now, {}}, {{0}, {"incomplete"}}}, rules, policy::utc, now);
        HF_ASSERT(verdicts.size() == 2 && verdicts[0].keep);
    } else {
        HF_ASSERT(span.error().code == ErrorCode::usage);
    }
    if (const auto count = policy::parse_keep_count(text)) HF_ASSERT(*count >= policy::RetentionPolicy::k_unlimited);
    static_cast<void>(policy::parse_grouping(text).has_value());
    static_cast<void>(policy::parse_size(text).has_value());
    if (const auto percent = policy::parse_percent(text)) HF_ASSERT(*percent >= 0);
    return 0;
}
