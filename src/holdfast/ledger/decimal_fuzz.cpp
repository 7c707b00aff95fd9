// Prices and IDs from anybody: exactly what was written, or nothing.

#include "holdfast/ledger/decimal.hpp"
#include "holdfast/ledger/uuid.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto number = ledger::Decimal::parse(text)) {
        HF_ASSERT(number->units <= ledger::Decimal::k_units_max && number->units >= -ledger::Decimal::k_units_max);
        const auto again = ledger::Decimal::parse(number->text());
        HF_ASSERT(again && *again == *number);
    } else {
        HF_ASSERT(number.error().code == ErrorCode::corrupt);
    }
    if (const auto id = ledger::Uuid::parse(text)) HF_ASSERT(ledger::Uuid::parse(id->text()) == *id);
    return 0;
}
