#include "holdfast/capi/holdfast.h"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <string>

#include "holdfast/base/json.hpp"
#include "holdfast/capi/guarded.hpp"
#include "holdfast/http/line.hpp"

using namespace holdfast;

// A poll that waits has a connection of its own, so that it does not hold up a submit.
struct hf_trade {
    hf_trade(http::Place place, const std::string& token) : calls(place, token), polls(std::move(place), token) {}
    std::mutex calls_mutex, polls_mutex, state_mutex;
    http::Line calls, polls;
    // Under state_mutex.
    Duration timeout = std::chrono::seconds(10);
    std::optional<std::uint64_t> after;    // where the next poll begins
};

namespace {

thread_local std::string t_error;

hf_code failed(hf_code code, std::string text) {
    t_error = std::move(text);
    return code;
}

hf_code failed(const Error& error) {
    const hf_code code = error.code == ErrorCode::usage                                               ? HF_USAGE
                         : error.code == ErrorCode::denied                                            ? HF_DENIED
                         : error.code == ErrorCode::unreachable || error.code == ErrorCode::not_found ? HF_UNREACHABLE
                         : error.code == ErrorCode::io                                                ? HF_UNREACHABLE
                                                                                                      : HF_INTERNAL;
    return failed(code, error.message);
}

template <class Call>
int guarded(Call&& call) noexcept {
    return capi::guarded<int>(HF_INTERNAL, t_error, call);
}

hf_code code_of(int status) {
    switch (status) {
        case 200:
        case 202:
            return HF_OK;
        case 400:
        case 411:
        case 413:
            return HF_REFUSED;
        case 401:
            return HF_DENIED;
        case 404:
            return HF_NOT_FOUND;
        case 409:
            return HF_CONFLICT;
        case 503:
            return HF_UNAVAILABLE;
        case 501:
            return HF_UNSUPPORTED;
        default:
            return HF_INTERNAL;
    }
}

Duration timeout_of(hf_trade& trade) {
    const std::scoped_lock lock(trade.state_mutex);
    return trade.timeout;
}

Result<http::Answer> call(hf_trade& trade, std::string_view method, const std::string& path, const std::string& body) {
    const Duration timeout = timeout_of(trade);
    const std::scoped_lock lock(trade.calls_mutex);
    return trade.calls.ask(method, path, body, timeout);
}

// An answer that is not a success, with its reason.
hf_code refused(const http::Answer& answer) {
    const auto body = json::parse(answer.body, "the engine's answer");
    std::string why;
    if (body) why = (*body)["text"].text((*body)["error"].text());
    return failed(code_of(answer.status), why.empty() ? fmt::format("the engine answers {}", answer.status) : why);
}

template <std::size_t N>
void put(char (&to)[N], const json::Value& from) {
    const std::string text = from.text();
    std::size_t size = std::min(text.size(), N - 1);
    // A character that does not fit is left out whole.
    while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
    std::memcpy(to, text.data(), size);
    to[size] = 0;
}

void fill(hf_order& to, const json::Value& order, std::uint64_t sequence) {
    hf_order out{};
    out.sequence = sequence;
    put(out.id, order["id"]);
    put(out.signal, order["signal"]);
    put(out.state, order["state"]);
    put(out.symbol, order["symbol"]);
    put(out.side, order["side"]);
    put(out.type, order["type"]);
    put(out.quantity, order["quantity"]);
    put(out.price, order["price"]);
    put(out.filled, order["filled"]);
    put(out.filled_value, order["filled_value"]);
    put(out.broker_id, order["broker_id"]);
    put(out.reason, order["reason"]);
    // Only what the caller knows of, should the struct have grown since it was compiled.
    const std::size_t size = to.size;
    std::memcpy(&to, &out, std::min(size, sizeof out));
    if (size > sizeof out) std::memset(reinterpret_cast<char*>(&to) + sizeof out, 0, size - sizeof out);
    to.size = size;
}

// What the first version of this library had: whatever a caller was compiled with has at least that.
constexpr std::size_t k_order_least = sizeof(hf_order), k_signal_least = sizeof(hf_signal),
                      k_tick_least = sizeof(hf_tick);

// The i-th of an array whose elements are as large as the caller's compiler made them.
template <class T>
T& element(T* first, std::size_t i) {
    using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
    return *reinterpret_cast<T*>(reinterpret_cast<Byte*>(first) + i * first->size);
}

void member(std::string& to, std::string_view name, const char* text) {
    if (text == nullptr) return;
    to += to.empty() ? '{' : ',';
    json::append_quoted(to, name);
    to += ':';
    json::append_quoted(to, text);
}

hf_code begin_feed(hf_trade& trade) {
    {
        const std::scoped_lock lock(trade.state_mutex);
        if (trade.after) return HF_OK;
    }
    const auto answer = call(trade, "GET", "/v1/results?max=1", "");
    if (!answer) return failed(answer.error());
    if (answer->status == 501) return HF_OK;    // who never polls need not know
    if (answer->status != 200) return refused(*answer);
    const auto body = json::parse(answer->body, "the engine's answer");
    if (!body) return failed(body.error());
    const std::scoped_lock lock(trade.state_mutex);
    if (!trade.after) trade.after = (*body)["next"].natural();
    return HF_OK;
}

constexpr const char* k_null = "an argument is NULL";

}    // namespace

extern "C" {

int hf_api_version(void) { return HF_API_VERSION; }

const char* hf_code_name(int code) {
    switch (code) {
        case HF_OK:
            return "HF_OK";
        case HF_DUPLICATE:
            return "HF_DUPLICATE";
        case HF_USAGE:
            return "HF_USAGE";
        case HF_REFUSED:
            return "HF_REFUSED";
        case HF_CONFLICT:
            return "HF_CONFLICT";
        case HF_UNAVAILABLE:
            return "HF_UNAVAILABLE";
        case HF_UNREACHABLE:
            return "HF_UNREACHABLE";
        case HF_DENIED:
            return "HF_DENIED";
        case HF_NOT_FOUND:
            return "HF_NOT_FOUND";
        case HF_GAP:
            return "HF_GAP";
        case HF_UNSUPPORTED:
            return "HF_UNSUPPORTED";
        case HF_INTERNAL:
            return "HF_INTERNAL";
        default:
            return "unknown";
    }
}

const char* hf_last_error(void) { return t_error.c_str(); }

hf_code hf_uuid(char id[37]) {
    return static_cast<hf_code>(guarded([&]() -> int {
        if (id == nullptr) return failed(HF_USAGE, k_null);
        unsigned char bytes[16];
        if (::getrandom(bytes, sizeof bytes, 0) != ssize_t(sizeof bytes)) return failed(HF_INTERNAL, "no random bytes");
        const auto ms = static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
                .count());
        for (int i = 0; i < 6; ++i) bytes[i] = static_cast<unsigned char>(ms >> (40 - 8 * i));
        bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x70);
        bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
        const std::string hex = to_hex(std::as_bytes(std::span(bytes)));
        const std::string text = fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                                             hex.substr(16, 4), hex.substr(20));
        std::memcpy(id, text.c_str(), 37);
        return HF_OK;
    }));
}

hf_code hf_trade_open(const char* address, const char* token, hf_trade** trade) {
    return static_cast<hf_code>(guarded([&]() -> int {
        if (address == nullptr || trade == nullptr) return failed(HF_USAGE, k_null);
        *trade = nullptr;
        auto place = http::Place::parse(address);
        if (!place) return failed(place.error());
        const std::string secret = token == nullptr ? "" : token;
        if (!std::all_of(secret.begin(), secret.end(), [](char c) { return c > ' ' && c < 127; }))
            return failed(HF_USAGE, "the token holds a character that none has: is there a line end?");
        *trade = new hf_trade(*std::move(place), secret);
        return HF_OK;
    }));
}

hf_code hf_trade_set_timeout(hf_trade* trade, unsigned milliseconds) {
    return static_cast<hf_code>(guarded([&]() -> int {
        if (trade == nullptr || milliseconds == 0) return failed(HF_USAGE, "a handle and a timeout are needed");
        const std::scoped_lock lock(trade->state_mutex);
        trade->timeout = std::chrono::milliseconds(milliseconds);
        return HF_OK;
    }));
}

hf_code hf_trade_submit(hf_trade* trade, const hf_signal* signal, hf_order* order) {
    return static_cast<hf_code>(guarded([&]() -> int {
        if (trade == nullptr || signal == nullptr) return failed(HF_USAGE, k_null);
        if (signal->size < k_signal_least || (order != nullptr && order->size < k_order_least))
            return failed(HF_USAGE, "size is not set to sizeof the struct");
        std::string body;
        member(body, "id", signal->id);
        member(body, "symbol", signal->symbol);
        member(body, "side", signal->side);
        member(body, "type", signal->type);
        member(body, "quantity", signal->quantity);
        member(body, "price", signal->price);
        member(body, "stop_loss", signal->stop_loss);
        member(body, "take_profit", signal->take_profit);
        member(body, "strategy", signal->strategy);
        member(body, "created_at", signal->created_at);
        member(body, "deadline", signal->deadline);
        if (body.empty()) return failed(HF_USAGE, "the signal is empty");
        if (const hf_code begun = begin_feed(*trade); begun != HF_OK) return begun;
        const auto answer = call(*trade, "POST", "/v1/signals", body + '}');
        if (!answer) return failed(answer.error());
        if (answer->status != 200 && answer->status != 202) return refused(*answer);
        if (order != nullptr) {
            const auto parsed = json::parse(answer->body, "the engine's answer");
            if (!parsed) return failed(parsed.error());
            fill(*order, (*parsed)["order"], 0);
        }
        return answer->status == 202 ? HF_OK : HF_DUPLICATE;
    }));
}

hf_code hf_trade_order(hf_trade* trade, const char* id, hf_order* order) {
    return static_cast<hf_code>(guarded([&]() -> int {
        if (trade == nullptr || id == nullptr || order == nullptr) return failed(HF_USAGE, k_null);
        if (order->size < k_order_least) return failed(HF_USAGE, "size is not set to sizeof the struct");
        const std::string_view text(id);
        if (text.size() != 36 || text.find_first_not_of("0123456789abcdefABCDEF-") != text.npos)
            return failed(HF_USAGE, "the id is not a UUID");
        const auto answer = call(*trade, "GET", "/v1/orders/" + std::string(text), "");
        if (!answer) return failed(answer.error());
        if (answer->status != 200) return refused(*answer);
        const auto parsed = json::parse(answer->body, "the engine's answer");
        if (!parsed) return failed(parsed.error());
        fill(*order, *parsed, 0);
        return HF_OK;
    }));
}

int hf_trade_poll(hf_trade* trade, hf_order* orders, size_t count, unsigned wait_ms) {
    return guarded([&]() -> int {
        if (trade == nullptr || orders == nullptr || count == 0) return failed(HF_USAGE, k_null);
        if (orders->size < k_order_least) return failed(HF_USAGE, "size is not set to sizeof the struct");
        const std::scoped_lock polling(trade->polls_mutex);
        if (const hf_code begun = begin_feed(*trade); begun != HF_OK) return begun;
        std::uint64_t after = 0;
        Duration timeout{};
        {
            const std::scoped_lock lock(trade->state_mutex);
            if (!trade->after) return failed(HF_UNSUPPORTED, "this engine does not offer results");
            after = *trade->after;
            timeout = trade->timeout;
        }
        const unsigned wait = std::min(30u, wait_ms / 1000 + (wait_ms % 1000 != 0));
        const auto answer = trade->polls.ask(
            "GET", fmt::format("/v1/results?after={}&max={}&wait={}", after, std::min<std::size_t>(count, 256), wait),
            "", timeout + std::chrono::seconds(wait));
        if (!answer) return failed(answer.error());
        if (answer->status != 200) return refused(*answer);
        const auto body = json::parse(answer->body, "the engine's answer");
        if (!body) return failed(body.error());
        const auto& changes = (*body)["changes"].items();
        const bool gap = (*body)["gap"].boolean();
        // After a gap nothing is handed out yet: the next poll brings it.
        std::uint64_t next = gap && !changes.empty() ? changes[0]["sequence"].natural() - 1 : (*body)["next"].natural();
        if (!gap && changes.size() > count)
            return failed(HF_USAGE, "more orders changed at once than fit: give room for more");
        const std::scoped_lock lock(trade->state_mutex);
        if (trade->after != after) return 0;    // somebody has sought elsewhere meanwhile
        trade->after = next;
        if (gap) return failed(HF_GAP, "results are missing: ask for your orders by id");
        const std::size_t size = orders->size;
        for (std::size_t i = 0; i < changes.size(); ++i) {
            hf_order& order = element(orders, i);
            order.size = size;
            fill(order, changes[i]["order"], changes[i]["sequence"].natural());
        }
        return static_cast<int>(changes.size());
    });
}

hf_code hf_trade_seek(hf_trade* trade, uint64_t sequence) {
    return static_cast<hf_code>(guarded([&]() -> int {
        if (trade == nullptr) return failed(HF_USAGE, k_null);
        const std::scoped_lock lock(trade->state_mutex);
        trade->after = sequence;
        return HF_OK;
    }));
}

hf_code hf_trade_ticks(hf_trade* trade, const hf_tick* ticks, size_t count) {
    return static_cast<hf_code>(guarded([&]() -> int {
        if (trade == nullptr || (ticks == nullptr && count > 0)) return failed(HF_USAGE, k_null);
        if (count > 0 && ticks->size < k_tick_least) return failed(HF_USAGE, "size is not set to sizeof the struct");
        for (std::size_t from = 0; from < count;) {
            std::string body;
            // Well below what the engine takes in one body.
            for (; from < count && body.size() < (32u << 10); ++from) {
                const hf_tick& tick = element(ticks, from);
                std::string one;
                member(one, "symbol", tick.symbol);
                member(one, "bid", tick.bid);
                member(one, "ask", tick.ask);
                member(one, "at", tick.at);
                if (one.empty() || one.size() > (16u << 10)) return failed(HF_USAGE, "a tick is empty or too large");
                body += (body.empty() ? "[" : ",") + one + '}';
            }
            const auto answer = call(*trade, "POST", "/v1/ticks", body + ']');
            if (!answer) return failed(answer.error());
            if (answer->status != 200) return refused(*answer);
        }
        return HF_OK;
    }));
}

void hf_trade_close(hf_trade* trade) { delete trade; }

}    // extern "C"
