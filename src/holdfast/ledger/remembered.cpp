#include "holdfast/ledger/remembered.hpp"

#include <openssl/sha.h>

#include <algorithm>

namespace holdfast::ledger {
namespace {

// A place is a number that counts on; the front of the deque has the place "gone". The table is made anew before places
// that are gone outnumber those that live, so it never grows for what was forgotten.
constexpr std::size_t k_order_size = 16 + 8 + 4 + 1, k_execution_size = 16 + 4;

std::size_t hash_of(const std::array<std::byte, 16>& key) { return load_le<std::size_t>(key.data()); }

}    // namespace

std::uint32_t day_of(Timestamp t) {
    constexpr std::int64_t k_day = std::int64_t{86'400} * 1'000'000'000;
    return t.nanoseconds <= 0 ? 0 : static_cast<std::uint32_t>(t.nanoseconds / k_day);
}

Remembered::ExecutionKey Remembered::key_of(std::string_view id) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> sum;
    SHA256(reinterpret_cast<const unsigned char*>(id.data()), id.size(), sum.data());
    ExecutionKey key;
    std::memcpy(key.data(), sum.data(), key.size());
    return key;
}

void Remembered::add_order(const ClosedOrder& order) {
    if (find_order(order.id) != nullptr) return;
    const auto place = static_cast<std::uint32_t>(orders_gone_ + orders_.size());
    orders_.push_back(order);
    order_places_.insert(std::hash<Uuid>{}(order.id), place, [this](std::uint32_t p) {
        return p < orders_gone_ ? std::size_t{0} : std::hash<Uuid>{}(orders_[p - orders_gone_].id);
    });
}

const ClosedOrder* Remembered::find_order(const Uuid& id) const {
    const auto place = order_places_.find(std::hash<Uuid>{}(id), [&](std::uint32_t p) {
        return p >= orders_gone_ && orders_[p - orders_gone_].id == id;
    });
    return place ? &orders_[*place - orders_gone_] : nullptr;
}

bool Remembered::add_execution(std::string_view id, std::uint32_t day) {
    const ExecutionKey key = key_of(id);
    if (has_execution(key)) return false;
    const auto place = static_cast<std::uint32_t>(executions_gone_ + executions_.size());
    executions_.push_back({key, day});
    execution_places_.insert(hash_of(key), place, [this](std::uint32_t p) {
        return p < executions_gone_ ? std::size_t{0} : hash_of(executions_[p - executions_gone_].key);
    });
    return true;
}

bool Remembered::has_execution(std::string_view id) const { return has_execution(key_of(id)); }

bool Remembered::has_execution(const ExecutionKey& key) const {
    return execution_places_
        .find(hash_of(key),
              [&](std::uint32_t p) { return p >= executions_gone_ && executions_[p - executions_gone_].key == key; })
        .has_value();
}

void Remembered::index_orders() {
    order_places_.clear();
    orders_gone_ = 0;
    std::uint32_t place = 0;
    for (const ClosedOrder& order : orders_)
        order_places_.insert(std::hash<Uuid>{}(order.id), place++,
                             [this](std::uint32_t p) { return std::hash<Uuid>{}(orders_[p].id); });
}

void Remembered::index_executions() {
    execution_places_.clear();
    executions_gone_ = 0;
    std::uint32_t place = 0;
    for (const SeenExecution& seen : executions_)
        execution_places_.insert(hash_of(seen.key), place++,
                                 [this](std::uint32_t p) { return hash_of(executions_[p].key); });
}

void Remembered::forget_before(std::uint32_t orders_day, std::uint32_t executions_day) {
    while (!orders_.empty() && orders_.front().day < orders_day) {
        orders_.pop_front();
        ++orders_gone_;
    }
    while (!executions_.empty() && executions_.front().day < executions_day) {
        executions_.pop_front();
        ++executions_gone_;
    }
    if (orders_gone_ > orders_.size()) index_orders();
    if (executions_gone_ > executions_.size()) index_executions();
}

void Remembered::append_to(Bytes& to) const {
    to.reserve(to.size() + 16 + orders_.size() * k_order_size + executions_.size() * k_execution_size);
    append_le(to, std::uint64_t{orders_.size()});
    append_le(to, std::uint64_t{executions_.size()});
    for (const ClosedOrder& order : orders_) {
        append(to, order.id.bytes);
        append_le(to, order.filled.units);
        append_le(to, order.day);
        append_le(to, static_cast<std::uint8_t>(order.state));
    }
    for (const SeenExecution& seen : executions_) {
        append(to, seen.key);
        append_le(to, seen.day);
    }
}

bool Remembered::read_from(ByteView& from) {
    if (from.size() < 16) return false;
    const auto orders = load_le<std::uint64_t>(from.data()), executions = load_le<std::uint64_t>(from.data() + 8);
    from = from.subspan(16);
    if (orders > from.size() / k_order_size || executions > (from.size() - orders * k_order_size) / k_execution_size)
        return false;
    orders_.clear();
    executions_.clear();
    for (std::uint64_t i = 0; i < orders; ++i, from = from.subspan(k_order_size)) {
        ClosedOrder order;
        std::memcpy(order.id.bytes.data(), from.data(), 16);
        order.filled.units = load_le<std::int64_t>(from.data() + 16);
        order.day = load_le<std::uint32_t>(from.data() + 24);
        const auto state = load_le<std::uint8_t>(from.data() + 28);
        if (state < static_cast<std::uint8_t>(OrderState::filled) ||
            state > static_cast<std::uint8_t>(OrderState::failed))
            return false;
        order.state = static_cast<OrderState>(state);
        orders_.push_back(order);
    }
    for (std::uint64_t i = 0; i < executions; ++i, from = from.subspan(k_execution_size)) {
        SeenExecution seen;
        std::memcpy(seen.key.data(), from.data(), 16);
        seen.day = load_le<std::uint32_t>(from.data() + 16);
        executions_.push_back(seen);
    }
    index_orders();
    index_executions();
    return true;
}

}    // namespace holdfast::ledger
