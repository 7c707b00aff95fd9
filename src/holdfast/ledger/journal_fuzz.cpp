// Any bytes are a segment, the begin of one, or an error; never a crash, a hang, or a record that is not inside them.
#include <algorithm>

#include "holdfast/ledger/fact.hpp"
#include "holdfast/ledger/record.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const ByteView input = std::as_bytes(std::span(data, size));
    static_cast<void>(ledger::parse_fact(input));

    // As it is, and behind a header of ours: damage to a header would hide all else.
    Bytes segment;
    ledger::append_segment_header(segment, {"fuzz", 1, 1});
    const std::uint32_t seed = ledger::record_seed(segment);
    append(segment, input.subspan(std::min(size, ledger::k_segment_header_size)));
    for (const ByteView bytes : {input, ByteView(segment)}) {
        const auto header = ledger::read_segment_header(bytes);
        if (!header) continue;
        ledger::Sequence expected = header->first;
        for (std::size_t at = ledger::k_segment_header_size;;) {
            const auto record = ledger::read_record(bytes.subspan(at), at, expected, 0,
                                                    bytes.data() == input.data() ? ledger::record_seed(bytes) : seed);
            if (!record || !*record) break;
            at += (*record)->size();
            HF_ASSERT(at <= bytes.size());
            if ((*record)->is_seal()) continue;
            HF_ASSERT((*record)->sequence == expected++);
            if (const auto fact = ledger::parse_fact((*record)->payload)) {
                Bytes again;
                ledger::append_fact(again, *fact);
                HF_ASSERT(std::ranges::equal(again, (*record)->payload));
            }
        }
    }
    return 0;
}
