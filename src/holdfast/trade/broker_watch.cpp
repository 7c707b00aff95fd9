#include "holdfast/trade/broker_watch.hpp"

#include <algorithm>

namespace holdfast::trade {

using watch::LinkPolicy;

class BrokerWatch::Watched final : public broker::Broker {
public:
    Watched(std::unique_ptr<broker::Broker> broker, BrokerWatch& watch) : broker_(std::move(broker)), watch_(watch) {}

    Status start(broker::ReportSink sink) override {
        watch_.begun_ = true;
        return broker_->start([this, sink = std::move(sink)](ledger::Report report) {
            if (report.kind == ledger::ReportKind::link_up || report.kind == ledger::ReportKind::link_down)
                watch_.told(report.kind == ledger::ReportKind::link_up);
            sink(std::move(report));
        });
    }
    bool send(const ledger::Order& order) override { return broker_->send(order); }
    bool cancel(const ledger::Order& order) override { return broker_->cancel(order); }
    bool query(const ledger::Order& order, std::uint64_t question) override { return broker_->query(order, question); }
    void stop() override {
        broker_->stop();
        watch_.begun_ = false;
        watch_.told(false);
    }
    std::string name() const override { return broker_->name(); }

private:
    const std::unique_ptr<broker::Broker> broker_;
    BrokerWatch& watch_;
};

std::unique_ptr<broker::Broker> BrokerWatch::watched(std::unique_ptr<broker::Broker> broker) {
    return std::make_unique<Watched>(std::move(broker), *this);
}

std::optional<LinkPolicy::Action> BrokerWatch::next(Instant now) {
    // Without a session there is no link that could fail: a standby has none.
    if (!begun_ && !policy_up_) return std::nullopt;
    for (;;) {
        const bool up = up_;
        if (policy_up_ && !up) {
            policy_up_ = false;
            policy_.failed(*attempt_, now);
            attempt_.reset();
        } else if (!policy_up_ && attempt_ && up) {
            policy_up_ = true;
            policy_.connected(*attempt_, now);
        } else if (!policy_up_ && attempt_ && now - attempt_at_ >= rules_.first_wait) {
            policy_.failed(*attempt_, now);
            attempt_.reset();
        } else if (policy_up_) {
            policy_.heartbeat(*attempt_, now);    // the adapter itself notices a silent line
        }
        const auto action = policy_.next(now);
        if (const auto* connect = std::get_if<LinkPolicy::Connect>(&action)) {
            attempt_ = connect->attempt;
            attempt_at_ = now;
            continue;
        }
        if (std::holds_alternative<LinkPolicy::WaitUntil>(action)) return std::nullopt;
        if (std::holds_alternative<LinkPolicy::Drop>(action)) continue;
        return action;
    }
}

}    // namespace holdfast::trade
