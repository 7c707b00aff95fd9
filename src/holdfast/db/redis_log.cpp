#include "holdfast/db/redis_log.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace holdfast::db {
namespace {

constexpr std::size_t k_line_max = 32;    // "*" or "$" and a number
constexpr std::uint64_t k_arguments_max = 0x7fffffff, k_argument_max = std::uint64_t(1) << 40;
constexpr std::size_t k_short = 20;    // longer arguments are none that we look at
constexpr std::uint64_t k_database_max = 0x7fffffff;

bool parse(std::string_view text, std::uint64_t& to) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
    return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

}    // namespace

std::unexpected<Error> RedisLogReader::corrupt(std::string_view what) const {
    return fail(ErrorCode::corrupt, fmt::format("the command stream is not whole at byte {}: {}", read_, what));
}

Result<std::uint64_t> RedisLogReader::count(char mark, std::uint64_t least, std::uint64_t most) const {
    std::uint64_t number = 0;
    const std::string_view text = line_;
    if (!text.starts_with(mark) || !text.ends_with("\r\n") || !parse(text.substr(1, text.size() - 3), number) ||
        number < least || number > most)
        return corrupt(mark == '*' ? "no command begins there" : "no argument begins there");
    return number;
}

void RedisLogReader::keep(std::string_view bytes) {
    if (!decided_)
        held_ += bytes;
    else if (keeps_)
        out_ += bytes;
}

Status RedisLogReader::begin_argument(std::uint64_t size) {
    collecting_ = nullptr;
    if (argument_ == 0)
        collecting_ = &name_;
    else if (argument_ == 1 && name_ == "SELECT")
        collecting_ = &first_;
    // A long one is nothing that we look at, and must not wait in memory for its end.
    if (size > k_short) {
        collecting_ = nullptr;
        if (!decided_) HF_DO(decide());
    }
    body_left_ = size;
    end_left_ = 2;
    state_ = size > 0 ? State::body : State::body_end;
    return {};
}

// The name is known, and of a SELECT the number, too: is it kept, and what does it change?
Status RedisLogReader::decide() {
    decided_ = true;
    keeps_ = name_ != "PING" && name_ != "REPLCONF";
    if (!keeps_) {
        held_.clear();
        return {};
    }
    if (name_ == "MULTI") {
        if (in_transaction_) return corrupt("a transaction begins in a transaction");
        in_transaction_ = true;
    } else if (name_ == "EXEC") {
        if (!in_transaction_) return corrupt("a transaction ends that has not begun");
        in_transaction_ = false;
    } else if (name_ == "SELECT") {
        std::uint64_t number = 0;
        if (!parse(first_, number) || number > k_database_max) return corrupt("SELECT without a number");
        database_ = number;
        database_max_ = std::max(database_max_, number);
    } else if (!database_) {
        return fail(ErrorCode::unsupported, fmt::format("the command stream does not say which database {} is for",
                                                        name_.empty() ? "it" : name_));
    }
    if (!started_ && database_ && name_ != "SELECT") {
        const std::string number = std::to_string(*database_);
        out_ += fmt::format("*2\r\n$6\r\nSELECT\r\n${}\r\n{}\r\n", number.size(), number);
        database_max_ = std::max(database_max_, *database_);
        ++commands_;
    }
    started_ = true;
    ++commands_;
    out_ += held_;
    held_.clear();
    return {};
}

Status RedisLogReader::end_argument() {
    ++argument_;
    --arguments_left_;
    if (argument_ == 1)
        std::ranges::transform(name_, name_.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
    if (touched_) {
        if (argument_ == 1)
            touched_->command(name_);
        else
            touched_->end_argument();
    }
    // A SELECT waits for its number.
    if (!decided_ && (argument_ == 2 || name_ != "SELECT" || arguments_left_ == 0)) HF_DO(decide());
    state_ = arguments_left_ > 0 ? State::bulk : State::array;
    return {};
}

Status RedisLogReader::take_line() {
    if (state_ == State::array) {
        HF_TRY(arguments_left_, count('*', 1, k_arguments_max));
        argument_ = 0;
        name_.clear();
        first_.clear();
        held_.clear();
        decided_ = false;
        keep(line_);
        state_ = State::bulk;
    } else {
        HF_TRY(const std::uint64_t size, count('$', 0, k_argument_max));
        keep(line_);
        HF_DO(begin_argument(size));
    }
    line_.clear();
    return {};
}

Status RedisLogReader::feed(ByteView bytes, const Sink& sink) {
    out_.clear();
    std::string_view left = as_text(bytes);
    while (!left.empty()) {
        std::size_t taken = 0;
        switch (state_) {
            case State::array:
            case State::bulk: {
                const std::size_t end = left.find('\n');
                taken = end == std::string_view::npos ? left.size() : end + 1;
                if (line_.size() + taken > k_line_max) return corrupt("a number is too long");
                line_ += left.substr(0, taken);
                if (line_.back() == '\n') HF_DO(take_line());
                break;
            }
            case State::body:
                taken = static_cast<std::size_t>(std::min<std::uint64_t>(left.size(), body_left_));
                if (collecting_) *collecting_ += left.substr(0, taken);
                if (touched_ && argument_ > 0) touched_->argument_bytes(left.substr(0, taken));
                keep(left.substr(0, taken));
                body_left_ -= taken;
                if (body_left_ == 0) state_ = State::body_end;
                break;
            case State::body_end:
                if (left.front() != (end_left_ == 2 ? '\r' : '\n'))
                    return corrupt("an argument does not end where it must");
                keep(left.substr(0, 1));
                taken = 1;
                if (--end_left_ == 0) HF_DO(end_argument());
                break;
        }
        read_ += taken;
        left.remove_prefix(taken);
    }
    if (out_.empty()) return {};
    kept_ += out_.size();
    return sink(as_bytes(out_));
}

}    // namespace holdfast::db
