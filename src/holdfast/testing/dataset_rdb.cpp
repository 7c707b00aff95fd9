// A Redis dump as redis-server 7 writes it (format version 10), without a server: `redis-check-rdb` accepts it.
//
//   shape    "REDIS0010" | aux fields | FE db | FB sizes | (type | key | value)* | FF | CRC-64 (Jones), little endian
//   order    that of a hash table: a key that changes or is added lies anywhere, which is what makes dumps hard to
//            deduplicate and why the bench must have it

#include <fmt/format.h>

#include <array>
#include <bit>

#include "holdfast/testing/dataset.hpp"
#include "holdfast/testing/dataset_file.hpp"
#include "holdfast/testing/trades.hpp"

namespace holdfast::testing {
namespace {

constexpr std::uint64_t k_key_bytes = 248;    // of file, on average

constexpr std::array<std::uint64_t, 256> k_crc_table = [] {
    std::array<std::uint64_t, 256> table{};
    for (std::uint64_t n = 0; n < 256; ++n) {
        std::uint64_t crc = n;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x95ac9329ac4bc9b5 : 0);
        table[n] = crc;
    }
    return table;
}();

std::uint64_t crc64(std::uint64_t crc, std::string_view bytes) {
    for (const char c : bytes) crc = k_crc_table[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ (crc >> 8);
    return crc;
}

// Big endian behind a two-bit tag, as rdb.c's rdbSaveLen.
void append_length(std::string& to, std::uint64_t length) {
    if (length < 64) {
        to += static_cast<char>(length);
    } else if (length < 16384) {
        to += static_cast<char>(0x40 | length >> 8);
        to += static_cast<char>(length);
    } else {
        to += '\x80';
        for (int shift = 24; shift >= 0; shift -= 8) to += static_cast<char>(length >> shift);
    }
}

void append_string(std::string& to, std::string_view text) {
    append_length(to, text.size());
    to += text;
}

void append_aux(std::string& to, std::string_view key, std::string_view value) {
    to += '\xfa';
    append_string(to, key);
    append_string(to, value);
}

// Most keys are states of orders as JSON strings, every eighth a position as a hash.
void append_key(std::string& to, const Desk& desk, std::uint64_t seed, std::uint64_t index, unsigned version) {
    if (index % 8 != 0) {
        const Order o = desk.order(index, version);
        to += '\x00';
        append_string(to, fmt::format("order:{}", o.id));
        append_string(
            to, fmt::format(R"({{"cid":"{}","sym":"{}","s":"{}","k":"{}","q":{},"p":{},"st":"{}","acc":{},"sg":{},)"
                            R"("c":{},"u":{},"ref":"{:016x}","token":"{:016x}{:016x}"}})",
                            o.client_id, o.symbol, o.side, o.kind, o.quantity, decimal_price(o.price), o.status,
                            o.account, o.strategy, o.created_at, o.updated_at, mixed(seed, index, 42),
                            mixed(seed, index, 43), mixed(seed, index, 45 + version)));
        return;
    }
    const Position p = desk.position(index / 8, version);
    to += '\x04';
    append_string(to, fmt::format("position:ACC-{:05}:{}", p.account, p.symbol));
    append_length(to, 4);
    const std::array<std::pair<std::string_view, std::string>, 4> fields{{
        {"quantity", fmt::to_string(p.quantity)},
        {"average_price", decimal_price(p.average_price)},
        {"realized_profit", fmt::to_string(p.realized_profit)},
        {"updated_at", sql_time(p.updated_at)},
    }};
    for (const auto& [name, value] : fields) {
        append_string(to, name);
        append_string(to, value);
    }
}

}    // namespace

Status write_dataset_rdb(const std::string& path, const DatasetRecipe& recipe) {
    const Desk desk(recipe.seed + 2);
    const std::uint64_t keys_first = recipe.bytes / 10 / k_key_bytes;
    double keys_now = static_cast<double>(keys_first);
    for (const double percent : recipe.changes) keys_now += static_cast<double>(keys_first) * percent * 0.3 / 100;
    const auto keys = static_cast<std::uint64_t>(keys_now);

    HF_TRY(DatasetFile file, DatasetFile::open(path));
    std::string& out = file.text();
    std::uint64_t crc = 0;
    std::size_t summed = 0;    // bytes of `out` that the sum covers
    const auto sum = [&] {
        crc = crc64(crc, std::string_view(out).substr(summed));
        summed = out.size();
    };
    out += "REDIS0010";
    append_aux(out, "redis-ver", "7.0.15");
    append_aux(out, "redis-bits", "64");
    append_aux(out, "ctime", fmt::to_string(1788739200 + 3600 * recipe.changes.size()));
    append_aux(out, "used-mem", fmt::to_string(keys * 400));
    out += '\xfe';
    append_length(out, 0);
    out += '\xfb';
    append_length(out, keys);
    append_length(out, 0);
    // A walk over a table with room to grow: slot -> key is a permutation of the slots, so a new key lands anywhere.
    const std::uint64_t slots = std::bit_ceil(keys_first * 2), odd = mixed(recipe.seed, 0, 40) | 1;
    for (std::uint64_t slot = 0; slot < slots; ++slot) {
        std::uint64_t index = slot * odd;
        index = (index ^ (index & (slots - 1)) >> (std::bit_width(slots) / 2)) * odd & (slots - 1);
        if (index >= keys) continue;
        append_key(out, desk, recipe.seed, index, version_of(recipe, index, 41, 0.7));
        sum();
        HF_DO(file.flush_if_full());
        if (out.empty()) summed = 0;
    }
    out += '\xff';
    sum();
    out.append(reinterpret_cast<const char*>(&crc), sizeof crc);
    return file.finish();
}

}    // namespace holdfast::testing
