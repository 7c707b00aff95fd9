#include "holdfast/db/rdb_value.hpp"

#include <charconv>
#include <cmath>

#include "holdfast/db/rdb_packed.hpp"

namespace holdfast::db {
namespace {

enum : std::uint8_t {
    k_string = 0,
    k_list = 1,
    k_set = 2,
    k_zset = 3,
    k_hash = 4,
    k_zset2 = 5,
    k_module2 = 7,
    k_hash_zipmap = 9,
    k_list_ziplist = 10,
    k_set_intset = 11,
    k_zset_ziplist = 12,
    k_hash_ziplist = 13,
    k_list_quicklist = 14,
    k_stream = 15,
    k_hash_listpack = 16,
    k_zset_listpack = 17,
    k_list_quicklist2 = 18,
    k_stream2 = 19,
    k_set_listpack = 20,
    k_stream3 = 21,
};

using EachOf = Status (*)(std::string_view, const PackedElement&);

// A value whose elements have no order.
class Unordered {
public:
    explicit Unordered(RdbHashes& hashes) : hashes_(hashes) {}
    void element_done() {
        sum_.add(hashes_.element.finish());
        ++count_;
    }
    Id finish() {
        hashes_.value.number(count_);
        hashes_.value.id(sum_.value());
        return hashes_.value.finish();
    }

private:
    RdbHashes& hashes_;
    RdbSum sum_;
    std::uint64_t count_ = 0;
};

// One pattern for what is one number: the packed encodings turn -0 into 0.
void hash_score(RdbHash& hash, double score) {
    if (score == 0) score = 0;
    if (std::isnan(score)) score = std::nan("");
    std::uint64_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    hash.number(bits);
}

bool parse_score(std::string_view text, double& score) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), score);
    return error == std::errc() && end == text.data() + text.size();
}

// Elements of packed strings, in order.
Result<Id> read_list(RdbInput& input, std::uint8_t type, RdbHashes& hashes) {
    std::uint64_t count = 0;
    const auto add = [&](std::string_view element) -> Status {
        hashes.value.text(element);
        ++count;
        return {};
    };
    std::uint64_t nodes = 1;
    if (type != k_list_ziplist) {
        HF_TRY(nodes, input.length());
    }
    for (std::uint64_t n = 0; n < nodes; ++n) {
        std::uint64_t container = 2;
        if (type == k_list_quicklist2) {
            HF_TRY(container, input.length());
            if (container != 1 && container != 2) return input.corrupt("a list node of an unknown kind");
        }
        if (type == k_list || container == 1) {
            HF_DO(input.hash_string(hashes.value));
            ++count;
            continue;
        }
        HF_TRY(const std::string packed, input.string());
        HF_DO(type == k_list_quicklist2 ? each_of_listpack(packed, add) : each_of_ziplist(packed, add));
    }
    hashes.value.number(count);
    return hashes.value.finish();
}

Result<Id> read_packed_set(RdbInput& input, EachOf each_of, RdbHashes& hashes) {
    Unordered members(hashes);
    HF_TRY(const std::string packed, input.string());
    HF_DO(each_of(packed, [&](std::string_view member) -> Status {
        hashes.element.text(member);
        members.element_done();
        return {};
    }));
    return members.finish();
}

Result<Id> read_packed_hash(RdbInput& input, EachOf each_of, RdbHashes& hashes) {
    Unordered fields(hashes);
    HF_TRY(const std::string packed, input.string());
    bool is_value = false;
    HF_DO(each_of(packed, [&](std::string_view text) -> Status {
        hashes.element.text(text);
        if (is_value) fields.element_done();
        is_value = !is_value;
        return {};
    }));
    if (is_value) return input.corrupt("a hash has a field without a value");
    return fields.finish();
}

Result<Id> read_packed_zset(RdbInput& input, EachOf each_of, RdbHashes& hashes) {
    Unordered members(hashes);
    HF_TRY(const std::string packed, input.string());
    bool is_score = false;
    HF_DO(each_of(packed, [&](std::string_view text) -> Status {
        if (is_score) {
            double score = 0;
            if (!parse_score(text, score)) return input.corrupt("a score is no number");
            hash_score(hashes.element, score);
            members.element_done();
        } else {
            hashes.element.text(text);
        }
        is_score = !is_score;
        return {};
    }));
    if (is_score) return input.corrupt("a sorted set has a member without a score");
    return members.finish();
}

// As text with a length byte, or 253 NaN, 254 +inf, 255 -inf.
Result<double> read_old_score(RdbInput& input) {
    HF_TRY(const std::uint8_t size, input.byte());
    if (size == 253) return std::nan("");
    if (size == 254) return INFINITY;
    if (size == 255) return -INFINITY;
    std::array<char, 256> text;
    HF_DO(input.read(std::as_writable_bytes(std::span(text.data(), size))));
    double score = 0;
    if (!parse_score({text.data(), size}, score)) return input.corrupt("a score is no number");
    return score;
}

Result<Id> read_plain(RdbInput& input, std::uint8_t type, RdbHashes& hashes) {
    Unordered elements(hashes);
    HF_TRY(const std::uint64_t count, input.length());
    for (std::uint64_t n = 0; n < count; ++n) {
        HF_DO(input.hash_string(hashes.element));
        if (type == k_hash) HF_DO(input.hash_string(hashes.element));
        if (type == k_zset) {
            HF_TRY(const double score, read_old_score(input));
            hash_score(hashes.element, score);
        }
        if (type == k_zset2) {
            HF_TRY(const auto bits, input.little_endian<std::uint64_t>());
            double score;
            std::memcpy(&score, &bits, sizeof score);
            hash_score(hashes.element, score);
        }
        elements.element_done();
    }
    return elements.finish();
}

}    // namespace

std::string_view rdb_type_name(std::uint8_t type) {
    switch (type) {
        case k_string:
            return "string";
        case k_list:
        case k_list_ziplist:
        case k_list_quicklist:
        case k_list_quicklist2:
            return "list";
        case k_set:
        case k_set_intset:
        case k_set_listpack:
            return "set";
        case k_zset:
        case k_zset2:
        case k_zset_ziplist:
        case k_zset_listpack:
            return "zset";
        case k_hash:
        case k_hash_zipmap:
        case k_hash_ziplist:
        case k_hash_listpack:
            return "hash";
        case k_stream:
        case k_stream2:
        case k_stream3:
            return "stream";
        case k_module2:
            return "module";
        default:
            return {};
    }
}

Result<Id> read_rdb_value(RdbInput& input, std::uint8_t type, RdbHashes& hashes) {
    switch (type) {
        case k_string: {
            HF_DO(input.hash_string(hashes.value));
            return hashes.value.finish();
        }
        case k_list:
        case k_list_ziplist:
        case k_list_quicklist:
        case k_list_quicklist2:
            return read_list(input, type, hashes);
        case k_set:
        case k_zset:
        case k_zset2:
        case k_hash:
            return read_plain(input, type, hashes);
        case k_set_intset:
            return read_packed_set(input, each_of_intset, hashes);
        case k_set_listpack:
            return read_packed_set(input, each_of_listpack, hashes);
        case k_zset_ziplist:
            return read_packed_zset(input, each_of_ziplist, hashes);
        case k_zset_listpack:
            return read_packed_zset(input, each_of_listpack, hashes);
        case k_hash_zipmap:
            return read_packed_hash(input, each_of_zipmap, hashes);
        case k_hash_ziplist:
            return read_packed_hash(input, each_of_ziplist, hashes);
        case k_hash_listpack:
            return read_packed_hash(input, each_of_listpack, hashes);
        case k_stream:
        case k_stream2:
        case k_stream3:
            return read_rdb_stream(input, type, hashes);
        case k_module2: {
            HF_TRY(const std::uint64_t module, input.length());
            hashes.value.number(module);
            HF_DO(read_rdb_module(input, hashes.value));
            return hashes.value.finish();
        }
        default:
            break;
    }
    HF_ASSERT(rdb_type_name(type).empty());
    return input.corrupt("a value of an unknown type");
}

//   opcode 0 end · 1 signed · 2 unsigned · 3 float · 4 double · 5 string, each followed by its value
Status read_rdb_module(RdbInput& input, RdbHash& hash) {
    for (;;) {
        HF_TRY(const std::uint64_t opcode, input.length());
        hash.number(opcode);
        switch (opcode) {
            case 0:
                return {};
            case 1:
            case 2: {
                HF_TRY(const std::uint64_t number, input.length());
                hash.number(number);
                break;
            }
            case 3: {
                HF_TRY(const auto bits, input.little_endian<std::uint32_t>());
                hash.number(bits);
                break;
            }
            case 4: {
                HF_TRY(const auto bits, input.little_endian<std::uint64_t>());
                hash.number(bits);
                break;
            }
            case 5:
                HF_DO(input.hash_string(hash));
                break;
            default:
                return input.corrupt("a module's value of an unknown kind");
        }
    }
}

}    // namespace holdfast::db
