#include "holdfast/broker/fix.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "holdfast/base/json.hpp"
#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::broker {
namespace {

using fix::Message;

// Tags of FIX 4.4, volume 4 and appendix.
enum Tag : int {
    k_account = 1,
    k_avg_px = 6,
    k_cl_ord_id = 11,
    k_cum_qty = 14,
    k_exec_id = 17,
    k_handl_inst = 21,
    k_last_px = 31,
    k_last_qty = 32,
    k_order_id = 37,
    k_order_qty = 38,
    k_exec_ref_id = 19,
    k_ord_status = 39,
    k_ord_type = 40,
    k_orig_cl_ord_id = 41,
    k_price = 44,
    k_ref_seq_num = 45,
    k_side = 54,
    k_symbol = 55,
    k_text = 58,
    k_time_in_force = 59,
    k_transact_time = 60,
    k_stop_px = 99,
    k_ord_rej_reason = 103,
    k_exec_type = 150,
    k_ref_msg_type = 372,
    k_business_reject_ref_id = 379,
    k_business_reject_reason = 380,
    k_mass_status_req_id = 584,
    k_mass_status_req_type = 585,
    k_ord_status_req_id = 790,
};

constexpr std::size_t k_remembered_max = 200'000;    // executions; the oldest half leaves at the next start

std::string side_text(ledger::Side side) { return side == ledger::Side::buy ? "1" : "2"; }

Uuid random_uuid() {
    Uuid id;
    os::random_bytes(id.bytes);
    id.bytes[6] = (id.bytes[6] & std::byte{0x0f}) | std::byte{0x40};
    id.bytes[8] = (id.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
    return id;
}

// Differs after a restart of the machine; where it cannot be read, after each.
std::string boot_name() {
    static const std::string name = [] {
        const auto text = os::read_text("/proc/sys/kernel/random/boot_id");
        return text ? *text : random_uuid().text();
    }();
    return name;
}

// Brokers write "100.0" and "1e2" alike; what is no plain decimal is nothing.
Decimal decimal_of(const Message& message, int tag) {
    const std::string text = message.text(tag);
    if (text.empty()) return {};
    const auto value = Decimal::parse(text.starts_with('.') ? "0" + text : text);
    if (!value) {
        log_error("a number from the broker cannot be read", {{"tag", std::to_string(tag)}, {"value", text}});
        return {};
    }
    return *value;
}

// The order that a report is about: a report about a cancel names it as the original.
std::optional<Uuid> order_of(const Message& message) {
    if (const auto original = Uuid::parse(message.text(k_orig_cl_ord_id))) return original;
    return Uuid::parse(message.text(k_cl_ord_id));
}

json::Value line_of(const ledger::Execution& execution) {
    return json::Value::object({{"id", execution.id},
                                {"order", execution.order.text()},
                                {"symbol", execution.symbol},
                                {"side", ledger::name_of(execution.side)},
                                {"quantity", execution.quantity.text()},
                                {"price", execution.price.text()},
                                {"executed_at", execution.executed_at.nanoseconds}});
}

std::optional<Uuid> changed_of(std::string_view line) {
    const auto value = json::parse(line, "execution");
    if (!value || (*value)["changed"].is_null()) return std::nullopt;
    return Uuid::parse((*value)["order"].text());
}

std::optional<ledger::Execution> execution_of(std::string_view line) {
    const auto value = json::parse(line, "execution");
    if (!value) return std::nullopt;
    ledger::Execution execution;
    const auto order = Uuid::parse((*value)["order"].text());
    const auto side = ledger::side_of((*value)["side"].text());
    const auto quantity = Decimal::parse((*value)["quantity"].text()), price = Decimal::parse((*value)["price"].text());
    execution.id = (*value)["id"].text();
    if (!order || !side || !quantity || !price || execution.id.empty()) return std::nullopt;
    execution.order = *order;
    execution.side = *side;
    execution.quantity = *quantity;
    execution.price = *price;
    execution.symbol = (*value)["symbol"].text();
    execution.executed_at.nanoseconds = (*value)["executed_at"].integer();
    return execution;
}

}    // namespace

std::optional<Timestamp> parse_fix_time(std::string_view text) {
    if (text.size() < 17 || text[8] != '-') return std::nullopt;
    std::string rfc =
        fmt::format("{}-{}-{}T{}", text.substr(0, 4), text.substr(4, 2), text.substr(6, 2), text.substr(9));
    if (!rfc.ends_with('Z')) rfc += 'Z';
    const auto at = parse_rfc3339(rfc);
    if (!at) return std::nullopt;
    return *at;
}

std::string fix_time(Timestamp at) {
    const std::string rfc = to_rfc3339({at.nanoseconds / 1'000'000 * 1'000'000});
    std::string fraction = rfc.size() > 20 ? rfc.substr(20, rfc.size() - 21) : "";
    fraction.resize(3, '0');
    return fmt::format("{}{}{}-{}.{}", rfc.substr(0, 4), rfc.substr(5, 2), rfc.substr(8, 2), rfc.substr(11, 8),
                       fraction);
}

Result<std::unique_ptr<Broker>> FixBroker::create(FixOptions options, const Clock& clock) {
    const auto missing = [](std::string_view what) {
        return fail(ErrorCode::config, fmt::format("the FIX broker needs {}", what), "see docs/operations/brokers.md");
    };
    if (options.host.empty() || options.port == 0) return missing("host and port");
    if (options.sender.empty() || options.target.empty()) return missing("sender and target (CompIDs)");
    if (options.folder.empty()) return missing("a folder for its sequence numbers");
    if (options.session_start.empty() != options.session_end.empty())
        return missing("both ends of its session, or none");
    std::unique_ptr<FixBroker> broker(new FixBroker(std::move(options), clock));
    broker->run_ = random_uuid().text().substr(0, 8);
    return std::unique_ptr<Broker>(std::move(broker));
}

FixBroker::~FixBroker() { stop(); }

std::string FixBroker::name() const {
    return fmt::format("fix: {}->{} at {}:{}", options_.sender, options_.target, options_.host, options_.port);
}

// ---- what we were told

Status FixBroker::load() {
    const std::string path = options_.folder + "/executions.log";
    known_.clear();
    if (os::exists(path)) {
        HF_TRY(const Bytes bytes, os::read_file(path, std::uint64_t(1) << 32));
        std::vector<std::string_view> lines;
        const std::string_view text = as_text(bytes);
        std::size_t at = 0;
        for (std::size_t end; (end = text.find('\n', at)) != text.npos; at = end + 1)
            lines.push_back(text.substr(at, end - at));
        const std::size_t first = lines.size() > k_remembered_max ? lines.size() - k_remembered_max / 2 : 0;
        std::string kept;
        for (std::size_t i = first; i < lines.size(); ++i) {
            if (const auto order = changed_of(lines[i])) {
                known_[*order].changed = true;
                kept += std::string(lines[i]) + '\n';
                continue;
            }
            const auto execution = execution_of(lines[i]);
            if (!execution) continue;    // torn by a crash: the broker's count shows what it was
            Known& known = known_[execution->order];
            if (!known.ids.insert(execution->id).second) continue;
            known.sum += execution->quantity;
            known.executions.push_back(*execution);
            kept += std::string(lines[i]) + '\n';
        }
        if (kept.size() != text.size()) HF_DO(os::write_file(path, as_bytes(kept)));
    }
    HF_TRY(log_, os::open_file(path, O_WRONLY | O_CREAT | O_APPEND));
    return {};
}

// ---- sequence numbers

// QuickFIX's own files are right after a kill, but not after a power loss. In another boot ours begin beyond all that can have
// been used.
Status FixBroker::load_numbers() {
    number_min_ = 1;
    const std::string path = options_.folder + "/numbers";
    if (!os::exists(path)) return {};
    HF_TRY(const std::string text, os::read_text(path));
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < 1)
        return fail(ErrorCode::corrupt, path + " holds no sequence number",
                    "agree with the broker on a reset, remove the file and start once with reset_sequence");
    if (std::string_view(end, text.data() + text.size()) != " " + boot_name()) number_min_ = number;
    return {};
}

bool FixBroker::reserve(int number) {
    const std::string path = options_.folder + "/numbers";
    const Status written = os::write_file(path, as_bytes(std::to_string(number) + " " + boot_name()));
    if (!written)
        log_error("nothing is sent to the broker: its sequence numbers cannot be noted",
                  {{"error", written.error().message}});
    return written.has_value();
}

// False: we were told before.
bool FixBroker::remember(const ledger::Execution& execution) {
    {
        const std::scoped_lock lock(mutex_);
        Known& known = known_[execution.order];
        if (!known.ids.insert(execution.id).second) return false;
        known.sum += execution.quantity;
        known.executions.push_back(execution);
    }
    note(line_of(execution));
    return true;
}

void FixBroker::note(const json::Value& line) {
    if (const auto written = os::write_all(log_.get(), as_bytes(json::dump(line) + '\n')); !written)
        log_error("an execution is reported but cannot be noted in the FIX folder",
                  {{"error", written.error().message}});
}

// ---- verbs

Status FixBroker::start(ReportSink sink) {
    HF_DO(os::make_folders(options_.folder));
    HF_DO(load());
    HF_DO(load_numbers());
    sink_ = std::move(sink);
    fix::Settings settings;
    settings.host = options_.host;
    settings.port = options_.port;
    settings.sender = options_.sender;
    settings.target = options_.target;
    settings.folder = options_.folder;
    settings.username = options_.username;
    settings.password = options_.password.reveal();
    settings.heartbeat_seconds = options_.heartbeat_seconds;
    settings.reconnect_seconds = options_.reconnect_seconds;
    settings.reset = options_.reset_sequence;
    settings.number_min = number_min_;
    settings.reserve = [this](int number) { return reserve(number); };
    settings.session_start = options_.session_start;
    settings.session_end = options_.session_end;
    fix::Events events;
    events.up = [this] {
        opened_->wait();    // wire_ is set, also for a Logon that is quicker than we are
        line_up();
    };
    events.down = [this](const std::string& why) { line_down(why); };
    events.refused = [this](const std::string& why) { line_refused(why); };
    events.received = [this](const Message& message) { received(message); };
    events.noted = [](const std::string& text) { log_debug("fix", {{"event", text}}); };
    std::string error;
    opened_.emplace(1);
    std::shared_ptr<fix::Wire> opened = fix::open_initiator(settings, std::move(events), error);
    {
        const std::scoped_lock lock(mutex_);
        wire_ = opened;
    }
    opened_->count_down();
    if (!opened) return fail(ErrorCode::config, fmt::format("{}: {}", name(), error));
    return {};
}

void FixBroker::stop() {
    if (const auto open = wire()) open->stop();
}

std::shared_ptr<fix::Wire> FixBroker::wire() {
    const std::scoped_lock lock(mutex_);
    return wire_;
}

bool FixBroker::send_out(const Message& message) {
    const auto open = wire();
    return open && open->send(message);
}

bool FixBroker::send(const ledger::Order& order) {
    Message out;
    out.type = "D";
    out.fields = {{k_cl_ord_id, order.id.text()},
                  {k_handl_inst, "1"},
                  {k_symbol, order.symbol},
                  {k_side, side_text(order.side)},
                  {k_transact_time, fix_time(clock_.now())},
                  {k_order_qty, order.quantity.text()},
                  {k_ord_type, std::to_string(static_cast<int>(order.type))}};    // 1 market, 2 limit, 3 stop
    if (!options_.account.empty()) out.fields.push_back({k_account, options_.account});
    if (order.type != ledger::OrderType::market) {
        out.fields.push_back({order.type == ledger::OrderType::limit ? k_price : k_stop_px, order.price.text()});
        out.fields.push_back({k_time_in_force, "1"});    // good till cancelled
    }
    {
        const std::scoped_lock lock(mutex_);
        if (const auto asked = questions_.find(order.id); asked != questions_.end())
            for (Question& question : asked->second) question.sent_since = true;
    }
    return send_out(out);
}

bool FixBroker::cancel(const ledger::Order& order) {
    Message out;
    out.type = "F";
    out.fields = {{k_orig_cl_ord_id, order.id.text()},
                  {k_cl_ord_id, random_uuid().text()},
                  {k_symbol, order.symbol},
                  {k_side, side_text(order.side)},
                  {k_transact_time, fix_time(clock_.now())},
                  {k_order_qty, order.quantity.text()}};
    if (!order.broker_id.empty()) out.fields.push_back({k_order_id, order.broker_id});
    return send_out(out);
}

bool FixBroker::query(const ledger::Order& order, std::uint64_t question) {
    {
        const std::scoped_lock lock(mutex_);
        questions_[order.id].push_back({question, order.filled, false});
    }
    if (ask(order.id, order.symbol, side_text(order.side), question)) return true;
    const std::scoped_lock lock(mutex_);
    const auto asked = questions_.find(order.id);
    if (asked != questions_.end())
        std::erase_if(asked->second, [&](const Question& q) { return q.number == question; });
    return false;
}

bool FixBroker::ask(const Uuid& order, const std::string& symbol, const std::string& side, std::uint64_t question) {
    Message out;
    out.type = "H";
    out.fields = {{k_cl_ord_id, order.text()},
                  {k_symbol, symbol},
                  {k_side, side},
                  {k_ord_status_req_id, fmt::format("{}-{}", run_, question)}};
    if (!options_.account.empty()) out.fields.push_back({k_account, options_.account});
    return send_out(out);
}

// ---- reports

void FixBroker::tell(ReportKind kind, const Uuid& order, const Message& message) {
    Report report;
    report.kind = kind;
    report.order = order;
    report.broker_id = message.text(k_order_id);
    if (report.broker_id == "NONE") report.broker_id.clear();
    if (kind == ReportKind::cancelled) report.cumulative = decimal_of(message, k_cum_qty);
    report.text = message.text(k_text);
    if (report.text.empty() && kind == ReportKind::rejected)
        report.text = "rejected, reason " + message.text(k_ord_rej_reason);
    sink_(std::move(report));
}

void FixBroker::line_up() {
    refusal_told_ = false;
    options_.reset_sequence = false;    // also for a later start
    Report report;
    report.kind = ReportKind::link_up;
    sink_(std::move(report));
    if (!options_.mass_status) return;
    Message out;
    out.type = "AF";
    out.fields = {{k_mass_status_req_id, random_uuid().text()}, {k_mass_status_req_type, "7"}};    // all orders
    if (!options_.account.empty()) out.fields.push_back({k_account, options_.account});
    (void)send_out(out);
}

void FixBroker::line_down(const std::string& why) {
    {
        const std::scoped_lock lock(mutex_);
        questions_.clear();
        gaps_.clear();
    }
    Report report;
    report.kind = ReportKind::link_down;
    report.text = why;
    sink_(std::move(report));
}

void FixBroker::line_refused(const std::string& why) {
    if (std::exchange(refusal_told_, true)) return;    // it is tried again every few seconds
    log_error("the broker does not let us in",
              {{"session", name()},
               {"reason", why},
               {"remedy", why.find("too low") == why.npos
                              ? "see docs/operations/brokers.md"
                              : "agree with the broker on a reset, then start once with reset_sequence"}});
}

// The question that a report answers; nothing for one that nobody waits for.
std::optional<FixBroker::Question> FixBroker::question_of(const Message& message, const Uuid& order) {
    const std::string name = message.text(k_ord_status_req_id);
    const std::scoped_lock lock(mutex_);
    const auto asked = questions_.find(order);
    if (asked == questions_.end() || asked->second.empty()) return std::nullopt;
    // A broker that does not repeat the name answers in order, but may have lost some: all questions that were put after the last
    // sending prove the same, so the answer to any of them is the answer to the newest.
    auto question = asked->second.begin();
    Question found = question->sent_since ? *question : asked->second.back();
    if (!name.empty()) {
        question = std::ranges::find_if(
            asked->second, [&](const Question& q) { return name == fmt::format("{}-{}", run_, q.number); });
        if (question == asked->second.end()) return std::nullopt;
        found = *question;
    }
    asked->second.erase(question);
    if (asked->second.empty()) questions_.erase(asked);
    return found;
}

void FixBroker::received(const Message& message) {
    if (message.type == "8") return execution_report(message);
    if (message.type == "3" || message.type == "j") return refused(message);
    if (message.type == "9") {
        // OrderCancelReject
        if (const auto order = order_of(message)) tell(ReportKind::cancel_refused, *order, message);
        return;
    }
    log_debug("a FIX message that nobody reads", {{"type", message.type}});
}

void FixBroker::execution_report(const Message& message) {
    const auto order = order_of(message);
    const std::string type = message.text(k_exec_type);
    if (!order) {
        log_warning("the broker reports an order that is not from here", {{"ClOrdID", message.text(k_cl_ord_id)}});
        return;
    }
    switch (type.empty() ? '\0' : type[0]) {
        case '0':    // new
            return tell(ReportKind::acked, *order, message);
        case 'F':    // trade
        case '1':    // partial fill, fill: before FIX 4.3
        case '2':
            return executed(message, *order);
        case '3':    // done for the day
        case '4':    // cancelled
        case 'C':    // expired
            return tell(ReportKind::cancelled, *order, message);
        case '8':
            // An answer to a question may come as a rejection. And a doubled ID says nothing against the order that has it.
            if (message.find(k_ord_status_req_id) != nullptr || message.text(k_ord_rej_reason) == "5")
                return status(message, *order);
            if (message.text(k_ord_rej_reason) == "6") {
                (void)ask(*order, message.text(k_symbol), message.text(k_side), 0);
                return;
            }
            return tell(ReportKind::rejected, *order, message);
        case 'I':
            return status(message, *order);
        case 'G':
            return changed(message, *order, false);
        case 'H':
            return changed(message, *order, true);
        default:    // pending, suspended, restated: the order goes on
            return;
    }
}

void FixBroker::executed(const Message& message, const Uuid& order) {
    Report report;
    report.kind = ReportKind::executed;
    report.order = order;
    report.broker_id = message.text(k_order_id);
    ledger::Execution& execution = report.execution;
    execution.id = message.text(k_exec_id);
    if (execution.id.size() > 64) execution.id = execution.id.substr(execution.id.size() - 64);
    execution.order = order;
    execution.symbol = message.text(k_symbol);
    execution.side = message.text(k_side) == "1" ? ledger::Side::buy : ledger::Side::sell;
    execution.quantity = decimal_of(message, k_last_qty);
    execution.price = decimal_of(message, k_last_px);
    execution.executed_at = parse_fix_time(message.text(k_transact_time)).value_or(clock_.now());
    if (execution.id.empty() || !execution.quantity.positive()) {
        log_error("an execution that cannot be read: the broker's count will show it",
                  {{"order", order.text()}, {"ExecID", execution.id}});
        return;
    }
    (void)remember(execution);
    sink_(std::move(report));    // also when it is a repetition: the engine may have died before it noted the first
}

// The execution that we reported stays in the journal and in the stores: they hold what happened when it did, and no later
// report is counted against it.
void FixBroker::changed(const Message& message, const Uuid& order, bool cancelled) {
    {
        const std::scoped_lock lock(mutex_);
        known_[order].changed = true;
    }
    note(json::Value::object({{"changed", message.text(k_exec_id)}, {"order", order.text()}}));
    Report report;
    report.kind = ReportKind::changed;
    report.order = order;
    report.broker_id = message.text(k_order_id);
    report.text = fmt::format("the broker has {} the execution {} afterwards", cancelled ? "cancelled" : "corrected",
                              message.text(k_exec_ref_id));
    if (!cancelled) report.text += fmt::format(", to {} at {}", message.text(k_last_qty), message.text(k_last_px));
    if (const std::string text = message.text(k_text); !text.empty()) report.text += " (" + text + ")";
    report.text += ": settle it by hand";
    log_error("a trade was changed", {{"order", order.text()}, {"text", report.text}});
    sink_(std::move(report));
}

// What FIX says about an order is its count, not its executions; those we have noted. All that was executed before this
// answer has come before it, in sequence, unless the session was begun anew in between.
void FixBroker::status(const Message& message, const Uuid& order) {
    const auto question = question_of(message, order);
    const std::string state = message.text(k_ord_status);
    if (state == "8" && message.text(k_ord_rej_reason) == "5") {
        // Stale answers, also of an earlier process, prove nothing.
        if (!question || message.possible_duplicate) return;
        Report report;
        report.kind = ReportKind::unknown;
        report.order = order;
        report.question = question->number;
        report.text = message.text(k_text);
        return sink_(std::move(report));
    }
    const Decimal cumulative = decimal_of(message, k_cum_qty);
    std::vector<ledger::Execution> executions;
    {
        const std::scoped_lock lock(mutex_);
        const Known& known = known_[order];
        executions = known.executions;
        const std::pair now{cumulative, known.sum};
        if (known.sum >= cumulative || message.possible_duplicate || !question || question->filled > known.sum ||
            known.changed) {
            if (question && question->filled > known.sum && cumulative > question->filled)
                log_error(
                    "the broker counts more than was reported, and this folder does not know what was: settle by hand",
                    {{"order", order.text()}, {"filled", cumulative.text()}});
            gaps_.erase(order);
        } else if (const auto gap = gaps_.find(order); gap == gaps_.end() || gap->second != now) {
            gaps_[order] = now;    // a careless broker answers before it reports: look again
        } else {
            // The reports are lost, the fill is not: one execution for all that is missing, at the price that explains the average.
            ledger::Execution missing;
            missing.id = fmt::format("S-{}-{}", order.text(), cumulative.text());
            missing.order = order;
            missing.symbol = message.text(k_symbol);
            missing.side = message.text(k_side) == "1" ? ledger::Side::buy : ledger::Side::sell;
            missing.quantity = cumulative - known.sum;
            __extension__ using Wide = __int128;
            Wide value = static_cast<Wide>(decimal_of(message, k_avg_px).units) * cumulative.units;
            for (const ledger::Execution& one : known.executions)
                value -= static_cast<Wide>(one.price.units) * one.quantity.units;
            missing.price.units = static_cast<std::int64_t>(std::max<Wide>(value / missing.quantity.units, 0));
            missing.executed_at = parse_fix_time(message.text(k_transact_time)).value_or(clock_.now());
            executions.push_back(missing);
            gaps_.erase(order);
        }
    }
    if (!executions.empty() && remember(executions.back()))
        log_warning("executions whose reports are lost are taken over from the broker's count",
                    {{"order", order.text()}, {"quantity", executions.back().quantity.text()}});
    for (const ledger::Execution& execution : executions) {
        Report report;
        report.kind = ReportKind::executed;
        report.order = order;
        report.broker_id = message.text(k_order_id);
        report.execution = execution;
        sink_(std::move(report));
    }
    switch (state.empty() ? '\0' : state[0]) {
        case '2':    // filled: its executions are the answer
            return;
        case '3':
        case '4':
        case 'C':
            return tell(ReportKind::cancelled, order, message);
        case '8':
            return tell(ReportKind::rejected, order, message);
        default:
            return tell(ReportKind::acked, order, message);
    }
}

// Reject and BusinessMessageReject: which message of ours it was is in our own store.
void FixBroker::refused(const Message& message) {
    int sequence = 0;
    const std::string number = message.text(k_ref_seq_num);
    std::from_chars(number.data(), number.data() + number.size(), sequence);
    Message ours;
    const auto open = wire();
    const bool found = sequence > 0 && open && open->sent(sequence, ours);
    const std::string type = message.text(k_ref_msg_type), ref = message.text(k_business_reject_ref_id);
    std::string named = found ? ours.text(k_cl_ord_id) : ref;
    const std::string of_type = found ? ours.type : type;
    const auto id = found && of_type == "F" ? Uuid::parse(ours.text(k_orig_cl_ord_id)) : Uuid::parse(named);
    const bool fits = id && (type.empty() || type == of_type) &&
                      (ref.empty() || !found || ref == named || ref == ours.text(k_orig_cl_ord_id));
    if (fits && of_type == "D") return tell(ReportKind::rejected, *id, message);
    if (fits && of_type == "F") return tell(ReportKind::cancel_refused, *id, message);
    if (fits && of_type == "H" && message.type == "j" && message.text(k_business_reject_reason) == "1" &&
        !message.possible_duplicate) {
        if (const auto question = question_of(found ? ours : message, *id)) {
            Report report;
            report.kind = ReportKind::unknown;
            report.order = *id;
            report.question = question->number;
            report.text = message.text(k_text);
            sink_(std::move(report));
        }
        return;
    }
    log_warning("the broker refused a message", {{"type", of_type}, {"text", message.text(k_text)}});
}

}    // namespace holdfast::broker
