#include "holdfast/trade/redis_sink.hpp"

#include <fmt/core.h>

#include <charconv>
#include <unordered_map>

#include "holdfast/trade/rows.hpp"

namespace holdfast::trade {
namespace {

using ledger::Change;
using ledger::Sequence;

// The version is part of the names: engines of two versions may work on one server while it is upgraded.
constexpr std::string_view k_function = "hf_trade_apply_2";

// keys  fence, mark, rtrs, then one for each order
// args  token, after, last, trim (0: nothing) | number of orders, for each: version, expiry (-1: remove, 0: none, else ms since
//       1970), number of fields, fields and values | number of results, for each: sequence, number of fields, fields and values
// Versions have 20 digits and are compared as texts: they are beyond what Lua can count to.
// The first write is a SET, which a server without memory refuses: then nothing has been written. After it, the server lets
// the rest of the call through.
constexpr std::string_view k_script = R"(
local function apply(keys, args)
  local token, after, last, trim = tonumber(args[1]), tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  local fence = tonumber(redis.call('GET', keys[1]) or '0')
  if token < fence then
    return redis.error_reply(string.format('HFSTALE the token %.0f is older than %.0f', token, fence))
  end
  local mark = tonumber(redis.call('GET', keys[2]) or '0')
  if mark < after then
    return redis.error_reply(string.format('HFGAP the store holds facts up to %.0f, not %.0f', mark, after))
  end
  if token > fence then redis.call('SET', keys[1], args[1]) end
  if mark >= last then return args[3] end
  redis.call('SET', keys[2], args[3])
  local at, orders = 6, tonumber(args[5])
  for i = 1, orders do
    local key, version, expiry, count = keys[3 + i], args[at], args[at + 1], tonumber(args[at + 2])
    at = at + 3
    if (redis.call('HGET', key, 'version') or '') < version then
      if expiry == '-1' then
        redis.call('DEL', key)
      else
        redis.call('HSET', key, 'version', version, unpack(args, at, at + count - 1))
        if expiry ~= '0' then redis.call('PEXPIREAT', key, expiry) end
      end
    end
    at = at + count
  end
  local results = tonumber(args[at])
  at = at + 1
  for i = 1, results do
    local sequence, count = args[at], tonumber(args[at + 1])
    at = at + 2
    if tonumber(sequence) > mark then
      -- By the token of the session that writes, which no entry is above. Refused when it is not above the newest one of this
      -- session: then it is there already, or was and has been trimmed.
      local added = redis.pcall('XADD', keys[3], args[1] .. '-' .. sequence, unpack(args, at, at + count - 1))
      if type(added) == 'table' and added.err and not string.find(added.err, 'equal or smaller', 1, true) then
        return added
      end
    end
    at = at + count
  end
  if trim > 0 then redis.call('XTRIM', keys[3], 'MINID', args[1] .. '-' .. args[4]) end
  return args[3]
end
)";

std::string library() {
    return fmt::format("#!lua name={0}\n{1}redis.register_function('{0}', apply)\n", k_function, k_script);
}
std::string script() { return std::string(k_script) + "return apply(KEYS, ARGV)\n"; }

bool says(const db::RedisReply& reply, std::string_view part) {
    return reply.refusal() != nullptr && reply.refusal()->text.find(part) != std::string::npos;
}

struct Fields {
    std::vector<std::string>& to;
    std::size_t count = 0;
    template <class T>
    void operator()(std::string_view name, const T& value) {
        to.emplace_back(name);
        to.push_back(text_of(value));
        count += 2;
    }
};

// Writes "count, fields" with the count filled in afterwards.
template <class Write>
void with_count(std::vector<std::string>& to, const Write& write) {
    const std::size_t at = to.size();
    to.emplace_back();
    Fields fields{to};
    write(fields);
    to[at] = std::to_string(fields.count);
}

}    // namespace

std::string redis_key(std::string_view account, std::string_view rest) {
    return fmt::format("hf:{{{}}}:{}", account, rest);
}

Result<db::RedisReply> RedisSink::call(std::span<const std::string> keys, std::span<const std::string> arguments) {
    const std::string count = std::to_string(keys.size());
    std::vector<std::string_view> words{"FCALL", k_function, count};
    words.insert(words.end(), keys.begin(), keys.end());
    words.insert(words.end(), arguments.begin(), arguments.end());
    if (functions_) {
        HF_TRY(db::RedisReply reply, link_.ask(words));
        if (says(reply, "Function not found")) {
            HF_DO(link_.command({"FUNCTION", "LOAD", "REPLACE", library()}));
            return link_.ask(words);
        }
        if (!says(reply, "unknown command")) return reply;
        functions_ = false;
    }
    HF_TRY(const db::RedisReply sha, link_.command({"SCRIPT", "LOAD", script()}));
    words[0] = "EVALSHA";
    words[1] = sha.text();
    return link_.ask(words);
}

Result<Sequence> RedisSink::watermark() {
    HF_ASSERT(!options_.journal.empty());
    HF_TRY(const db::RedisReply reply, link_.command({"GET", mark_key()}));
    Sequence mark = 0;
    const std::string text = reply.is_null() ? "0" : reply.text();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mark);
    if (error != std::errc() || end != text.data() + text.size())
        return fail(ErrorCode::corrupt, fmt::format("{} on {} is no sequence", mark_key(), link_.peer()),
                    "remove the key: the state is then written anew from the journal");
    if (!earlier_) earlier_ = mark;
    return mark;
}

Status RedisSink::claim() {
    const std::string token = std::to_string(options_.token);
    const std::string keys[] = {key("fence"), mark_key(), key("rtrs")};
    const std::string arguments[] = {token, "0", "0", "0", "0", "0"};
    HF_TRY(const db::RedisReply reply, call(keys, arguments));
    return outcome(reply);
}

// What the function's own refusals mean.
Status RedisSink::outcome(const db::RedisReply& reply) const {
    const db::RedisRefusal* refusal = reply.refusal();
    if (refusal == nullptr) return {};
    if (says(reply, "HFSTALE"))
        return fail(ErrorCode::denied, fmt::format("{}: {}", link_.peer(), refusal->text),
                    "another instance trades this account now");
    if (says(reply, "HFGAP")) return fail(ErrorCode::changed, fmt::format("{}: {}", link_.peer(), refusal->text));
    return fail(db::refusal_error(*refusal, "FCALL on " + link_.peer()));
}

Status RedisSink::apply(Sequence after, std::span<const Change> changes) {
    if (changes.empty()) return {};
    HF_ASSERT(changes.size() <= batch_max() && !options_.journal.empty());
    if (!earlier_) earlier_ = after;
    // Trimming takes all that earlier sessions wrote, so they wait for the last of it.
    const Sequence trim_from = std::max(options_.trim_after, *earlier_);
    std::unordered_map<ledger::Uuid, std::size_t> last_of;
    Sequence trim = 0;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        if (changes[i].order) last_of[changes[i].order->id] = i;
        const auto* confirmed = std::get_if<ledger::SinkConfirmed>(&changes[i].fact.data);
        if (confirmed && confirmed->sink == ledger::Sink::clickhouse && confirmed->sequence >= trim_from)
            trim = std::max(trim, confirmed->sequence + 1);
    }
    std::vector<std::string> keys{key("fence"), mark_key(), key("rtrs")};
    std::vector<std::string> arguments{std::to_string(options_.token), std::to_string(after),
                                       std::to_string(changes.back().sequence), std::to_string(trim)};
    arguments.push_back(std::to_string(last_of.size()));
    for (std::size_t i = 0; i < changes.size(); ++i) {
        if (!changes[i].order || last_of[changes[i].order->id] != i) continue;
        const ledger::Order& order = *changes[i].order;
        keys.push_back(key("rts:" + order.id.text()));
        arguments.push_back(fmt::format("{:020}", changes[i].version));
        if (order.state == ledger::OrderState::failed) {
            arguments.insert(arguments.end(), {"-1", "0"});
            continue;
        }
        // By the fact's own time, so that the same facts give the same keys whenever they are applied.
        const std::int64_t until = (order.changed_at + options_.closed_kept).nanoseconds / 1'000'000;
        arguments.push_back(is_closed(order.state) ? std::to_string(std::max<std::int64_t>(until, 1)) : "0");
        with_count(arguments, [&](Fields& fields) { columns(fields, order); });
    }
    const std::size_t results_at = arguments.size();
    std::size_t results = 0;
    arguments.emplace_back();
    for (const Change& change : changes) {
        const auto* executed = std::get_if<ledger::OrderExecuted>(&change.fact.data);
        if (executed == nullptr && !(change.order && is_closed(change.order->state))) continue;
        ++results;
        arguments.push_back(std::to_string(change.sequence));
        with_count(arguments, [&](Fields& fields) {
            fields("kind", std::string(kind_of(change.fact)));
            fields("at", change.fact.at);
            if (executed != nullptr) {
                columns(fields, executed->execution);
            } else {
                fields("order_id", change.order->id);
                fields("signal_id", change.order->signal);
            }
            if (!change.order) return;
            fields("state", change.order->state);
            fields("filled", change.order->filled);
            fields("reason", change.order->reason);
        });
    }
    arguments[results_at] = std::to_string(results);

    HF_TRY(const db::RedisReply reply, call(keys, arguments));
    return outcome(reply);
}

// In one step: a hash whose time to live was lost with a crash would say for ever that an instance lives.
Status RedisSink::set_fields(const std::string& name, const std::map<std::string, std::string>& fields, Duration kept) {
    constexpr std::string_view k_set =
        "redis.call('HSET', KEYS[1], unpack(ARGV, 2)) return redis.call('PEXPIRE', KEYS[1], ARGV[1])";
    const std::string milliseconds = std::to_string(std::chrono::ceil<std::chrono::milliseconds>(kept).count());
    std::vector<std::string_view> words{"EVAL", k_set, "1", name, milliseconds};
    for (const auto& [field, value] : fields) words.insert(words.end(), {field, value});
    HF_TRY(const db::RedisReply set, link_.ask(words));
    if (set.refusal()) return fail(db::refusal_error(*set.refusal(), "EVAL on " + link_.peer()));
    return {};
}

Status RedisSink::beat(std::string_view instance, const std::map<std::string, std::string>& facts, Duration kept) {
    return set_fields(key("ris:" + std::string(instance)), facts, kept);
}

Result<std::map<std::string, std::string>> RedisSink::preferences() {
    HF_TRY(const db::RedisReply reply, link_.command({"HGETALL", key("prefs")}));
    std::map<std::string, std::string> found;
    for (std::size_t i = 0; i + 1 < reply.items().size(); i += 2)
        found[reply.items()[i].text()] = reply.items()[i + 1].text();
    return found;
}

Status RedisSink::set_preference(std::string_view name, std::string_view value) {
    return set_fields(key("prefs"), {{std::string(name), std::string(value)}}, std::chrono::hours(24 * 30));
}

}    // namespace holdfast::trade
