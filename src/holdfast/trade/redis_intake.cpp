#include "holdfast/trade/redis_intake.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/base/log.hpp"
#include "holdfast/trade/redis_sink.hpp"
#include "holdfast/trade/signal_json.hpp"

namespace holdfast::trade {
namespace {

using db::RedisReply;
using watch::LinkPolicy;
using namespace std::chrono_literals;

constexpr std::string_view k_group = "engine";
constexpr std::size_t k_bad_shown = 4096;    // bytes of a bad entry that are kept
constexpr auto k_block_idle = 200ms, k_block_busy = 10ms;

// Both effects or none: an entry that is only acknowledged would lie in the stream for good. One that was not ours to
// acknowledge is another entry that got the same ID after a failover or FLUSHALL, and stays.
constexpr std::string_view k_finish = R"(
for i = 2, #ARGV do
    if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then redis.call('XDEL', KEYS[1], ARGV[i]) end
end)";
// The copy first: without memory for it nothing has happened.
constexpr std::string_view k_set_aside = R"(
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'id', ARGV[2], 'why', ARGV[3], 'entry', ARGV[4])
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 1 then redis.call('XDEL', KEYS[1], ARGV[2]) end)";

// "1795778762551-0": milliseconds by the server's clock.
Timestamp time_of(std::string_view id) {
    std::int64_t ms = 0;
    std::from_chars(id.data(), id.data() + id.size(), ms);
    constexpr std::int64_t k_latest = std::int64_t(9'000'000'000'000'000'000) / 1'000'000;
    return {std::clamp<std::int64_t>(ms, 1, k_latest) * 1'000'000};
}

// What a bad entry held, as far as a person needs it.
std::string shown(const RedisReply::Array& fields) {
    std::string out = "[";
    for (const RedisReply& field : fields) {
        if (out.size() > k_bad_shown) {
            out += ",\"…\"";
            break;
        }
        if (out.size() > 1) out += ',';
        json::append_quoted(out, std::string_view(field.text()).substr(0, k_bad_shown));
    }
    return out + ']';
}

struct Bad {
    std::string id, why, entry;
};

}    // namespace

struct RedisIntake::State : std::enable_shared_from_this<State> {
    State(RedisLink l, RedisIntakeOptions o, Submit s, Clock& c, std::function<void(const LinkPolicy::Action&)> t)
        : link(std::move(l)),
          options(std::move(o)),
          submit(std::move(s)),
          clock(c),
          told(std::move(t)),
          stream(redis_key(options.account, "rtss")),
          bad_stream(redis_key(options.account, "rtss:bad")),
          policy(options.link) {}

    void run();
    Status prepare();
    Status work();
    Status finish_answered();
    Status read_backlog();
    Status claim();
    Status read_new();
    Result<RedisReply> ask(std::span<const std::string_view> words);
    std::size_t take(const RedisReply::Array& entries);
    void take_entry(const std::string& id, const RedisReply::Array& fields);
    void set_aside_locked(std::string id, std::string why, std::string entry);
    void answered(std::uint64_t of, const std::string& id, const ledger::Signal& signal, const Outcome& outcome);
    void pause(Duration wait);

    // Of the intake's thread alone.
    RedisLink link;
    const RedisIntakeOptions options;
    const Submit submit;
    Clock& clock;
    const std::function<void(const LinkPolicy::Action&)> told;
    const std::string stream, bad_stream;
    LinkPolicy policy;
    LinkPolicy::Attempt attempt = 0;
    std::optional<std::string> backlog = "0";    // read our own pending entries after this one first; nothing: done
    std::string claim_from = "0-0";
    Instant claim_at{}, bad_at{};

    // Shared with answers and callers.
    mutable std::mutex mutex;
    std::condition_variable wake;
    bool stopping = false;
    // Counts connections and groups: IDs mean something within one only, and are read again in the next.
    std::uint64_t generation = 0;
    std::set<std::string, std::less<>> in_flight;    // handed on, or answered and not yet acknowledged
    std::vector<std::string> done;    // answered, to be acknowledged
    std::vector<Bad> bad;    // to be set aside
    std::optional<Instant> again_at;    // the engine could not take something: not before then
    bool waits = false;    // said so
    RedisIntakeStatus status;
    std::thread thread;
};

// Refusals become errors here; NOGROUP is handled where it is met.
Result<RedisReply> RedisIntake::State::ask(std::span<const std::string_view> words) {
    HF_TRY(RedisReply reply, link.ask(words));
    if (const db::RedisRefusal* refusal = reply.refusal()) {
        if (refusal->code() == "NOGROUP")
            return fail(ErrorCode::not_found, fmt::format("the group {} of {} is gone", k_group, stream));
        return fail(db::refusal_error(*refusal, fmt::format("{} on {}", words[0], link.peer())));
    }
    return reply;
}

Status RedisIntake::State::prepare() {
    // From the stream's beginning: what came before the group was made is as good as what comes after.
    const std::string_view words[] = {"XGROUP", "CREATE", stream, k_group, "0", "MKSTREAM"};
    HF_TRY(const RedisReply made, link.ask(words));
    if (const db::RedisRefusal* refusal = made.refusal(); refusal != nullptr && refusal->code() != "BUSYGROUP")
        return fail(db::refusal_error(*refusal, fmt::format("XGROUP on {}", link.peer())));
    backlog = "0";
    const std::scoped_lock lock(mutex);
    ++generation;
    in_flight.clear();
    done.clear();
    bad.clear();
    status.in_flight = 0;
    return {};
}

void RedisIntake::State::pause(Duration wait) {
    std::unique_lock lock(mutex);
    wake.wait_for(lock, wait, [&] { return stopping; });
}

void RedisIntake::State::run() {
    for (;;) {
        {
            const std::scoped_lock lock(mutex);
            status.link = policy.state();
            if (stopping) break;
        }
        const Instant now = clock.instant();
        const LinkPolicy::Action action = policy.next(now);
        Status outcome;
        if (const auto* connect = std::get_if<LinkPolicy::Connect>(&action)) {
            attempt = connect->attempt;
            if (connect->new_session) link.drop();
            outcome = prepare();
            if (outcome) policy.connected(attempt, clock.instant());
        } else if (const auto* wait = std::get_if<LinkPolicy::WaitUntil>(&action)) {
            if (policy.state() != LinkPolicy::State::up) {
                pause(wait->until - now);
                continue;
            }
            outcome = work();
            if (outcome) policy.heartbeat(attempt, clock.instant());
        } else if (std::get_if<LinkPolicy::Drop>(&action)) {
            link.drop();
        } else if (told) {
            told(action);
        }
        if (!outcome && outcome.error().code == ErrorCode::cancelled) return;    // the process is stopping
        if (!outcome && outcome.error().code == ErrorCode::not_found) outcome = prepare();
        std::string trouble;
        if (!outcome) {
            trouble = outcome.error().message;
            policy.failed(attempt, clock.instant());
        }
        const std::scoped_lock lock(mutex);
        if (!trouble.empty() && status.trouble.empty())
            log_warning("signals cannot be read from Redis", {{"why", trouble}});
        if (!trouble.empty() || policy.state() == LinkPolicy::State::up) status.trouble = std::move(trouble);
    }
    // What was answered is not handed on a second time for nothing. If it cannot be said, it will be dropped as known.
    if (const auto finished = finish_answered(); !finished)
        log_info("the last answers could not be acknowledged", {{"why", finished.error().message}});
}

Status RedisIntake::State::work() {
    HF_DO(finish_answered());
    const Instant now = clock.instant();
    {
        std::unique_lock lock(mutex);
        if (again_at && now < *again_at) {
            wake.wait_for(lock, std::min(*again_at - now, Duration(k_block_idle)),
                          [&] { return stopping || !done.empty(); });
            return {};
        }
        if (again_at) {
            again_at.reset();
            backlog = "0";
        }
        if (in_flight.size() + options.batch > options.in_flight_max) {
            wake.wait_for(lock, k_block_idle, [&] { return stopping || !done.empty(); });
            return {};
        }
    }
    if (backlog) return read_backlog();
    if (now >= claim_at) return claim();
    return read_new();
}

Status RedisIntake::State::finish_answered() {
    std::vector<std::string> ids;
    std::vector<Bad> aside;
    {
        const std::scoped_lock lock(mutex);
        ids.assign(done.begin(), done.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(done.size(), 1000)));
        if (clock.instant() >= bad_at) aside.assign(bad.begin(), bad.end());
    }
    if (!ids.empty()) {
        std::vector<std::string_view> words{"EVAL", k_finish, "1", stream, k_group};
        words.insert(words.end(), ids.begin(), ids.end());
        HF_DO(ask(words));
        const std::scoped_lock lock(mutex);
        done.erase(done.begin(), done.begin() + static_cast<std::ptrdiff_t>(ids.size()));
        for (const std::string& id : ids) in_flight.erase(id);
        status.counts.acknowledged += ids.size();
        status.in_flight = in_flight.size();
    }
    const std::string max = std::to_string(k_bad_max);
    for (const Bad& one : aside) {
        const std::string_view words[] = {"EVAL",  k_set_aside, "2",     stream,    bad_stream,
                                          k_group, one.id,      one.why, one.entry, max};
        if (const auto moved = ask(words); !moved) {
            // Out of memory, or a user without the right to write there: good signals need not wait for that.
            if (!link.is_connected() || moved.error().code == ErrorCode::not_found) return fail(moved.error());
            log_warning("a bad signal cannot be set aside", {{"id", one.id}, {"why", moved.error().message}});
            bad_at = clock.instant() + options.unavailable_wait;
            return {};
        }
        const std::scoped_lock lock(mutex);
        bad.erase(bad.begin());
        in_flight.erase(one.id);
        ++status.counts.bad;
        status.in_flight = in_flight.size();
    }
    return {};
}

// Our own entries without an acknowledgement: after a restart, a broken connection, or an engine that could not take them.
Status RedisIntake::State::read_backlog() {
    const std::string count = std::to_string(options.batch);
    const std::string_view words[] = {"XREADGROUP", "GROUP",   k_group, options.consumer, "COUNT",
                                      count,        "STREAMS", stream,  *backlog};
    HF_TRY(const RedisReply reply, ask(words));
    const RedisReply::Array* entries = nullptr;
    if (!reply.items().empty() && reply.items()[0].items().size() == 2) entries = &reply.items()[0].items()[1].items();
    if (entries == nullptr || entries->empty()) {
        backlog.reset();
        return {};
    }
    backlog = entries->back().items().empty() ? "0" : entries->back().items()[0].text();
    take(*entries);
    return {};
}

Status RedisIntake::State::claim() {
    const std::string count = std::to_string(options.batch);
    const std::string idle =
        std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(options.claim_idle).count());
    const std::string_view words[] = {"XAUTOCLAIM", stream,     k_group, options.consumer,
                                      idle,         claim_from, "COUNT", count};
    HF_TRY(const RedisReply reply, ask(words));
    const auto& parts = reply.items();
    if (parts.size() < 2) return fail(ErrorCode::corrupt, "XAUTOCLAIM was not understood");
    const std::size_t taken = take(parts[1].items());
    claim_from = parts[0].text();
    // The scan goes on at once until it is through.
    if (claim_from == "0-0") claim_at = clock.instant() + options.claim_every;
    const std::size_t gone = parts.size() > 2 ? parts[2].items().size() : 0;
    if (gone > 0)
        log_error("signals were removed from the stream before they were read: does something trim it?",
                  {{"stream", stream}, {"signals", std::to_string(gone)}});
    const std::scoped_lock lock(mutex);
    status.counts.claimed += taken;
    status.counts.vanished += gone;
    return {};
}

Status RedisIntake::State::read_new() {
    const std::string count = std::to_string(options.batch);
    bool busy = false;
    {
        const std::scoped_lock lock(mutex);
        busy = !in_flight.empty();
    }
    const std::string block = std::to_string((busy ? k_block_busy : k_block_idle).count());
    const std::string_view words[] = {"XREADGROUP", "GROUP", k_group,   options.consumer, "COUNT", count,
                                      "BLOCK",      block,   "STREAMS", stream,           ">"};
    HF_TRY(const RedisReply reply, ask(words));
    if (reply.items().empty() || reply.items()[0].items().size() != 2) return {};
    take(reply.items()[0].items()[1].items());
    return {};
}

// How many were handed on, or set aside.
std::size_t RedisIntake::State::take(const RedisReply::Array& entries) {
    std::size_t taken = 0;
    for (const RedisReply& entry : entries) {
        const auto& parts = entry.items();
        if (parts.empty()) continue;
        const std::string& id = parts[0].text();
        {
            const std::scoped_lock lock(mutex);
            if (!in_flight.insert(id).second) continue;
            status.in_flight = in_flight.size();
        }
        ++taken;
        if (parts.size() < 2 || parts[1].is_null()) {
            log_error("a signal was removed from the stream before it was read: does something trim it?",
                      {{"stream", stream}, {"id", id}});
            const std::scoped_lock lock(mutex);
            ++status.counts.vanished;
            done.push_back(id);
        } else {
            take_entry(id, parts[1].items());
        }
    }
    return taken;
}

void RedisIntake::State::take_entry(const std::string& id, const RedisReply::Array& fields) {
    std::vector<std::pair<std::string_view, std::string_view>> pairs;
    for (std::size_t i = 0; i + 1 < fields.size(); i += 2) pairs.emplace_back(fields[i].text(), fields[i + 1].text());
    auto signal = signal_from_fields(pairs);
    std::unique_lock lock(mutex);
    if (!signal) return set_aside_locked(id, signal.error().message, shown(fields));
    ++status.counts.handed_on;
    const std::uint64_t of = generation;
    lock.unlock();
    // Not later than its entry: what another instance may have begun before a takeover must not look newer than that.
    const Timestamp entered = time_of(id);
    if (signal->created_at.nanoseconds == 0 || signal->created_at > entered) signal->created_at = entered;
    submit({*signal, [self = weak_from_this(), of, id, signal = *signal](const Outcome& outcome) {
                if (const auto state = self.lock()) state->answered(of, id, signal, outcome);
            }});
}

void RedisIntake::State::set_aside_locked(std::string id, std::string why, std::string entry) {
    bad.push_back({std::move(id), std::move(why), std::move(entry)});
}

void RedisIntake::State::answered(std::uint64_t of, const std::string& id, const ledger::Signal& signal,
                                  const Outcome& outcome) {
    const std::scoped_lock lock(mutex);
    if (of != generation) return;    // it was, or will be, handed on once more
    switch (outcome.verdict) {
        case Outcome::Verdict::refused:
            return set_aside_locked(id, outcome.text, signal_json(signal));
        case Outcome::Verdict::unavailable:
            if (!std::exchange(waits, true)) log_warning("signals wait in Redis", {{"why", outcome.text}});
            in_flight.erase(id);
            status.in_flight = in_flight.size();
            again_at = clock.instant() + options.unavailable_wait;
            return;
        case Outcome::Verdict::duplicate:
            if (outcome.order && !asks_for(signal, *outcome.order))
                return set_aside_locked(id, "this UUID is that of another signal, which counts", signal_json(signal));
            break;
        case Outcome::Verdict::accepted:
            break;
    }
    waits = false;
    done.push_back(id);
    wake.notify_all();
}

RedisIntake::RedisIntake(RedisLink link, RedisIntakeOptions options, Submit submit, Clock& clock,
                         std::function<void(const LinkPolicy::Action&)> told)
    : state_(std::make_shared<State>(std::move(link), std::move(options), std::move(submit), clock, std::move(told))) {
    state_->thread = std::thread([state = state_.get()] { state->run(); });
}

RedisIntake::~RedisIntake() { stop(); }

RedisIntakeStatus RedisIntake::status() const {
    const std::scoped_lock lock(state_->mutex);
    return state_->status;
}

void RedisIntake::stop() {
    {
        const std::scoped_lock lock(state_->mutex);
        state_->stopping = true;
    }
    state_->wake.notify_all();
    if (state_->thread.joinable()) state_->thread.join();
}

}    // namespace holdfast::trade
