// A stream's value:
//   nodes     count, then per node its first id (16 bytes, big endian) and a listpack
//   facts     length | last id | from type 19 on: first id, greatest deleted id, entries ever added
//   groups    count, then per group: name | last id | from 19 on: entries read | pending: id, delivery time, count |
//             consumers: name | seen time | from 21 on: active time | pending ids
//   listpack  live | deleted | n | n field names | 0, then per entry:
//             flags (1 deleted, 2 same fields) | id - first id | [fields] | names and values, or only values | back count
#include <charconv>
#include <vector>

#include "holdfast/db/rdb_packed.hpp"
#include "holdfast/db/rdb_value.hpp"

namespace holdfast::db {
namespace {

constexpr std::uint8_t k_with_first_id = 19, k_with_active_time = 21;
constexpr std::size_t k_fields_max = std::size_t(1) << 24;

struct StreamId {
    std::uint64_t milliseconds = 0, sequence = 0;
};

void hash_id(RdbHash& hash, StreamId id) {
    hash.number(id.milliseconds);
    hash.number(id.sequence);
}

Result<StreamId> read_id(RdbInput& input) {
    HF_TRY(const std::uint64_t milliseconds, input.length());
    HF_TRY(const std::uint64_t sequence, input.length());
    return StreamId{milliseconds, sequence};
}

Result<StreamId> read_raw_id(RdbInput& input) {
    HF_TRY(const auto milliseconds, input.little_endian<std::uint64_t>());
    HF_TRY(const auto sequence, input.little_endian<std::uint64_t>());
    return StreamId{__builtin_bswap64(milliseconds), __builtin_bswap64(sequence)};
}

// Hashes the live entries of one node as its elements come.
class NodeReader {
public:
    NodeReader(RdbHash& hash, StreamId first) : hash_(hash), first_(first) {}

    bool take(std::string_view element) {
        switch (expected_) {
            case Expected::live:
            case Expected::deleted:
                return next(expected_ == Expected::live ? Expected::deleted : Expected::master_count);
            case Expected::master_count:
                if (!number(element) || number_ < 0 || std::size_t(number_) > k_fields_max) return false;
                left_ = static_cast<std::size_t>(number_);
                return next(left_ > 0 ? Expected::master_field : Expected::master_end);
            case Expected::master_field:
                master_.emplace_back(element);
                return --left_ > 0 || next(Expected::master_end);
            case Expected::master_end:
                return element == "0" && next(Expected::flags);
            case Expected::flags:
                if (!number(element) || number_ < 0 || number_ > 3) return false;
                deleted_ = (number_ & 1) != 0;
                same_fields_ = (number_ & 2) != 0;
                return next(Expected::milliseconds);
            case Expected::milliseconds:
                if (!number(element)) return false;
                id_.milliseconds = first_.milliseconds + static_cast<std::uint64_t>(number_);
                return next(Expected::sequence);
            case Expected::sequence:
                if (!number(element)) return false;
                id_.sequence = first_.sequence + static_cast<std::uint64_t>(number_);
                if (!same_fields_) return next(Expected::count);
                begin_entry(master_.size());
                return next(left_ > 0 ? Expected::value : Expected::back_count);
            case Expected::count:
                if (!number(element) || number_ < 0 || std::size_t(number_) > k_fields_max) return false;
                begin_entry(static_cast<std::size_t>(number_));
                return next(left_ > 0 ? Expected::field : Expected::back_count);
            case Expected::field:
                if (!deleted_) hash_.text(element);
                return next(Expected::value);
            case Expected::value:
                if (!deleted_) {
                    if (same_fields_) hash_.text(master_[master_.size() - left_]);
                    hash_.text(element);
                }
                if (--left_ == 0) return next(Expected::back_count);
                return same_fields_ || next(Expected::field);
            case Expected::back_count:
                return number(element) && next(Expected::flags);
        }
        return false;
    }
    bool finished() const { return expected_ == Expected::flags; }
    std::uint64_t entries() const { return entries_; }

private:
    enum class Expected {
        live,
        deleted,
        master_count,
        master_field,
        master_end,
        flags,
        milliseconds,
        sequence,
        count,
        field,
        value,
        back_count
    };
    bool next(Expected expected) {
        expected_ = expected;
        return true;
    }
    bool number(std::string_view element) {
        const auto [end, error] = std::from_chars(element.data(), element.data() + element.size(), number_);
        return error == std::errc() && end == element.data() + element.size();
    }
    void begin_entry(std::size_t fields) {
        left_ = fields;
        if (deleted_) return;
        ++entries_;
        hash_id(hash_, id_);
        hash_.number(fields);
    }

    RdbHash& hash_;
    StreamId first_, id_;
    Expected expected_ = Expected::live;
    std::int64_t number_ = 0;
    std::size_t left_ = 0;
    std::vector<std::string> master_;
    bool deleted_ = false, same_fields_ = false;
    std::uint64_t entries_ = 0;
};

// id, time of delivery, count of deliveries of each entry that nobody has acknowledged.
Result<Id> read_pending(RdbInput& input, RdbHash& element) {
    RdbSum sum;
    HF_TRY(const std::uint64_t count, input.length());
    for (std::uint64_t n = 0; n < count; ++n) {
        HF_TRY(const StreamId id, read_raw_id(input));
        HF_TRY(const auto delivered_ms, input.little_endian<std::uint64_t>());
        HF_TRY(const std::uint64_t deliveries, input.length());
        hash_id(element, id);
        element.number(delivered_ms);
        element.number(deliveries);
        sum.add(element.finish());
    }
    return sum.value();
}

Result<Id> read_consumers(RdbInput& input, std::uint8_t type, RdbHash& element) {
    RdbSum sum;
    HF_TRY(const std::uint64_t count, input.length());
    for (std::uint64_t n = 0; n < count; ++n) {
        HF_TRY(const std::string name, input.string());
        element.text(name);
        HF_TRY([[maybe_unused]] const auto seen, input.little_endian<std::uint64_t>());
        if (type >= k_with_active_time) {
            HF_TRY([[maybe_unused]] const auto active, input.little_endian<std::uint64_t>());
        }
        HF_TRY(const std::uint64_t pending, input.length());
        for (std::uint64_t p = 0; p < pending; ++p) {
            HF_TRY(const StreamId id, read_raw_id(input));
            hash_id(element, id);
        }
        sum.add(element.finish());
    }
    return sum.value();
}

Result<Id> read_groups(RdbInput& input, std::uint8_t type, RdbHash& element) {
    RdbSum sum;
    HF_TRY(const std::uint64_t count, input.length());
    for (std::uint64_t n = 0; n < count; ++n) {
        HF_TRY(const std::string name, input.string());
        HF_TRY(const StreamId last, read_id(input));
        if (type >= k_with_first_id) HF_DO(input.length());    // entries read: an estimate of the server
        HF_TRY(const Id pending, read_pending(input, element));
        HF_TRY(const Id consumers, read_consumers(input, type, element));
        element.text(name);
        hash_id(element, last);
        element.id(pending);
        element.id(consumers);
        sum.add(element.finish());
    }
    return sum.value();
}

}    // namespace

Result<Id> read_rdb_stream(RdbInput& input, std::uint8_t type, RdbHashes& hashes) {
    HF_TRY(const std::uint64_t nodes, input.length());
    std::uint64_t entries = 0;
    for (std::uint64_t n = 0; n < nodes; ++n) {
        HF_TRY(const std::uint64_t key_size, input.length());
        if (key_size != 16) return input.corrupt("a stream's node has no id");
        HF_TRY(const StreamId first, read_raw_id(input));
        HF_TRY(const std::string packed, input.string());
        NodeReader node(hashes.value, first);
        HF_DO(each_of_listpack(packed, [&](std::string_view element) -> Status {
            if (!node.take(element)) return input.corrupt("a stream's entry does not make sense");
            return {};
        }));
        if (!node.finished()) return input.corrupt("a stream's entry is cut off");
        entries += node.entries();
    }
    HF_TRY(const std::uint64_t length, input.length());
    if (length != entries) return input.corrupt("a stream has another number of entries than it says");
    HF_TRY(const StreamId last, read_id(input));
    if (type >= k_with_first_id) {
        HF_DO(read_id(input));    // first: follows from the entries
        HF_DO(read_id(input));    // greatest deleted
        HF_DO(input.length());    // entries ever added
    }
    HF_TRY(const Id groups, read_groups(input, type, hashes.element));
    hashes.value.number(length);
    hash_id(hashes.value, last);
    hashes.value.id(groups);
    return hashes.value.finish();
}

}    // namespace holdfast::db
