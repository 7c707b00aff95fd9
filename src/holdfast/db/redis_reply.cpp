#include "holdfast/db/redis_reply.hpp"

#include <fmt/core.h>

#include <charconv>

namespace holdfast::db {
namespace {

constexpr std::size_t k_line_max = 64 << 10;
constexpr std::uint64_t k_item_cost = sizeof(RedisReply);

Error not_resp(std::string what) {
    return {ErrorCode::corrupt, "the reply is not RESP: " + std::move(what), "is this a Redis server?"};
}

template <class T>
Result<T> parse_number(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return fail(not_resp("a number is expected"));
    return value;
}

}    // namespace

const std::string& RedisReply::text() const {
    static const std::string empty;
    const auto* text = std::get_if<std::string>(&data_);
    return text ? *text : empty;
}

const RedisReply::Array& RedisReply::items() const {
    static const Array empty;
    const auto* items = std::get_if<Array>(&data_);
    return items ? *items : empty;
}

std::int64_t RedisReply::integer(std::int64_t fallback) const {
    const auto* number = std::get_if<std::int64_t>(&data_);
    return number ? *number : fallback;
}

Result<std::size_t> RedisReplyReader::feed(ByteView bytes) {
    HF_ASSERT(!complete_);
    const std::string_view text = as_text(bytes);
    std::size_t at = 0;
    while (at < text.size() && !complete_) {
        if (in_bulk_) {
            const std::size_t n = std::min<std::uint64_t>(bulk_left_, text.size() - at);
            bulk_.append(text, at, n);
            at += n;
            bulk_left_ -= n;
            if (bulk_left_ > 0) break;
            if (!bulk_.ends_with("\r\n")) return fail(not_resp("a string does not end where it should"));
            bulk_.resize(bulk_.size() - 2);
            in_bulk_ = false;
            if (bulk_is_refusal_) {
                deliver(RedisReply(RedisRefusal{std::move(bulk_)}));
            } else {
                if (bulk_is_verbatim_ && bulk_.size() >= 4) bulk_.erase(0, 4);    // "txt:"
                deliver(RedisReply(std::move(bulk_)));
            }
            bulk_.clear();
            continue;
        }
        const std::size_t end = text.find('\n', at);
        const std::size_t n = (end == std::string_view::npos ? text.size() : end + 1) - at;
        if (line_.size() + n > k_line_max) return fail(not_resp("a line is too long"));
        line_.append(text, at, n);
        at += n;
        if (end == std::string_view::npos) break;
        HF_DO(take_line());
    }
    return at;
}

Status RedisReplyReader::take_line() {
    if (!line_.ends_with("\r\n")) return fail(not_resp("a line ends without CR"));
    const std::string line = line_.substr(0, line_.size() - 2);
    line_.clear();
    if (line.empty()) return fail(not_resp("an empty line"));
    const std::string_view rest = std::string_view(line).substr(1);
    HF_DO(charge(k_item_cost + rest.size()));
    switch (line[0]) {
        case '+':
        case '(':
            deliver(RedisReply(std::string(rest)));
            return {};
        case '-':
            deliver(RedisReply(RedisRefusal{std::string(rest)}));
            return {};
        case '_':
            deliver(RedisReply());
            return {};
        case '#':
            if (rest != "t" && rest != "f") return fail(not_resp("a boolean is neither t nor f"));
            deliver(RedisReply(rest == "t"));
            return {};
        case ':': {
            HF_TRY(const auto number, parse_number<std::int64_t>(rest));
            deliver(RedisReply(number));
            return {};
        }
        case ',': {
            HF_TRY(const auto number, parse_number<double>(rest));
            deliver(RedisReply(number));
            return {};
        }
        case '$':
        case '!':
        case '=': {
            HF_TRY(const auto size, parse_number<std::int64_t>(rest));
            if (size == -1) {
                deliver(RedisReply());
                return {};
            }
            if (size < 0) return fail(not_resp("a negative length"));
            HF_DO(charge(static_cast<std::uint64_t>(size)));
            in_bulk_ = true;
            bulk_is_refusal_ = line[0] == '!';
            bulk_is_verbatim_ = line[0] == '=';
            bulk_left_ = static_cast<std::uint64_t>(size) + 2;
            return {};
        }
        case '*':
        case '~':
        case '>':
        case '%':
        case '|': {
            HF_TRY(const auto count, parse_number<std::int64_t>(rest));
            if (count == -1) {
                deliver(RedisReply());
                return {};
            }
            const bool pairs = line[0] == '%' || line[0] == '|';
            if (count < 0 || count > std::int64_t(1) << 40) return fail(not_resp("an absurd number of items"));
            return open(static_cast<std::uint64_t>(count) * (pairs ? 2 : 1), line[0] == '|');
        }
        default:
            return fail(not_resp(fmt::format("unknown type byte 0x{:02x}", static_cast<unsigned char>(line[0]))));
    }
}

Status RedisReplyReader::open(std::uint64_t items, bool attribute) {
    if (frames_.size() >= k_reply_depth_max) return fail(not_resp("it is nested too deeply"));
    if (items > size_max_ / k_item_cost) return fail(not_resp("it claims more items than we accept"));
    frames_.push_back({{}, items, attribute});
    if (items == 0) {
        Frame done = std::move(frames_.back());
        frames_.pop_back();
        if (!attribute) deliver(RedisReply(std::move(done.items)));
    }
    return {};
}

Status RedisReplyReader::charge(std::uint64_t bytes) {
    if (bytes > size_max_ - size_) return fail(not_resp(fmt::format("it is larger than {}", human_size(size_max_))));
    size_ += bytes;
    return {};
}

void RedisReplyReader::deliver(RedisReply reply) {
    while (!frames_.empty()) {
        Frame& frame = frames_.back();
        frame.items.push_back(std::move(reply));
        if (--frame.left > 0) return;
        Frame done = std::move(frame);
        frames_.pop_back();
        if (done.attribute) return;    // the value that it describes comes next
        reply = RedisReply(std::move(done.items));
    }
    reply_ = std::move(reply);
    complete_ = true;
}

RedisReply RedisReplyReader::take() {
    HF_ASSERT(complete_);
    complete_ = false;
    size_ = 0;
    return std::exchange(reply_, RedisReply());
}

}    // namespace holdfast::db
