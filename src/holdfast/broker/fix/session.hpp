#pragma once
// What both ends of a session share, on QuickFIX's types. C++14.

#include <quickfix/Application.h>
#include <quickfix/FileStore.h>
#include <quickfix/Session.h>
#include <quickfix/SessionSettings.h>

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "holdfast/broker/fix/wire.hpp"

namespace holdfast {
namespace fix {

constexpr int k_test_req_id = 112, k_password = 554, k_username = 553, k_new_password = 925;

inline Message plain(const FIX::Message& message) {
    Message out;
    const FIX::Header& header = message.getHeader();
    out.type = header.getField(35);
    if (header.isSetField(34)) out.sequence = FIX::IntConvertor::convert(header.getField(34));
    out.possible_duplicate = header.isSetField(43) && header.getField(43) == "Y";
    for (FIX::FieldMap::const_iterator field = message.begin(); field != message.end(); ++field)
        out.fields.push_back({field->getTag(), field->getString()});
    return out;
}

constexpr int k_block = 1000;    // numbers that are reserved at once

// Passwords are kept nowhere, and a session without hours never begins anew by itself.
//
// Nothing of FileStore is synced. After a power loss our numbers go on where nothing can have been used, and our gap fill explains
// the hole; of the broker's numbers we may know too few, and get again what we had. So one sync serves k_block messages.
class Store final : public FIX::FileStore {
public:
    Store(const Settings& settings, const FIX::SessionID& id)
        : FIX::FileStore(settings.folder, id),
          prefix_(settings.folder + "/" + prefix_of(id)),
          endless_(settings.session_start.empty()),
          reserve_(settings.reserve) {
        tighten();
        if (getNextSenderMsgSeqNum() < settings.number_min) FIX::FileStore::setNextSenderMsgSeqNum(settings.number_min);
        reserve();
    }

    void setNextSenderMsgSeqNum(int number) throw(FIX::IOException) override {
        FIX::FileStore::setNextSenderMsgSeqNum(number);
        reserve();
    }
    void incrNextSenderMsgSeqNum() throw(FIX::IOException) override {
        FIX::FileStore::incrNextSenderMsgSeqNum();
        reserve();
    }
    // What a power loss has torn counts as not there: it is covered by a gap fill like all the rest.
    void get(int begin, int end, std::vector<std::string>& texts) const throw(FIX::IOException) override {
        for (int number = begin; number <= end; ++number) {
            std::vector<std::string> found;
            try {
                FIX::FileStore::get(number, number, found);
                if (!found.empty() && plain(FIX::Message(found[0], true)).sequence == number) texts.push_back(found[0]);
            } catch (const std::exception&) {
                continue;
            }
        }
    }
    bool set(int sequence, const std::string& text) throw(FIX::IOException) override {
        try {
            FIX::Message message(text, false);
            if (message.getHeader().getField(35) != "A" || !message.isSetField(k_password))
                return FIX::FileStore::set(sequence, text);
            message.removeField(k_password);
            message.removeField(k_new_password);
            return FIX::FileStore::set(sequence, message.toString());
        } catch (const FIX::IOException&) {
            throw;
        } catch (const std::exception& error) {
            throw FIX::IOException(error.what());
        }
    }
    FIX::UtcTimeStamp getCreationTime() const throw(FIX::IOException) override {
        return endless_ ? FIX::UtcTimeStamp() : FIX::FileStore::getCreationTime();
    }

    void reset() throw(FIX::IOException) override {
        FIX::FileStore::reset();    // new files
        tighten();
        reserved_ = 0;
        reserve();
    }

private:
    static std::string prefix_of(const FIX::SessionID& id) {
        return id.getBeginString().getValue() + "-" + id.getSenderCompID().getValue() + "-" +
               id.getTargetCompID().getValue();
    }
    // QuickFIX leaves it to the umask, which is the whole process's.
    void tighten() {
        for (const char* part : {".body", ".header", ".seqnums", ".session"}) ::chmod((prefix_ + part).c_str(), 0600);
    }
    void reserve() {
        const int next = getNextSenderMsgSeqNum();
        if (!reserve_ || next < reserved_) return;
        if (!reserve_(next + k_block)) throw FIX::IOException("the sequence numbers cannot be made durable");
        reserved_ = next + k_block;
    }
    const std::string prefix_;
    const bool endless_;
    const std::function<bool(int)> reserve_;
    int reserved_ = 0;    // smaller numbers may be used
};

class StoreFactory final : public FIX::MessageStoreFactory {
public:
    explicit StoreFactory(const Settings& settings) : settings_(settings) {}
    FIX::MessageStore* create(const FIX::SessionID& id) override { return new Store(settings_, id); }
    void destroy(FIX::MessageStore* store) override { delete store; }

private:
    const Settings& settings_;
};

// Events only: messages carry passwords and what people trade.
class EventLog final : public FIX::Log {
public:
    explicit EventLog(const Events& events) : events_(events) {}
    void clear() override {}
    void backup() override {}
    void onIncoming(const std::string&) override {}
    void onOutgoing(const std::string&) override {}
    void onEvent(const std::string& text) override {
        if (!events_.noted) return;
        std::string clean = text;
        for (const char* tag : {"\001554=", "\001925="}) {
            const std::size_t at = clean.find(tag);
            if (at == std::string::npos) continue;
            const std::size_t from = at + 5, to = std::min(clean.find('\001', from), clean.size());
            clean.replace(from, to - from, "***");
        }
        for (char& c : clean)
            if (c == '\001') c = '|';
        events_.noted(clean);
    }

private:
    const Events& events_;
};

class EventLogFactory final : public FIX::LogFactory {
public:
    explicit EventLogFactory(const Events& events) : events_(events) {}
    FIX::Log* create() override { return new EventLog(events_); }
    FIX::Log* create(const FIX::SessionID&) override { return new EventLog(events_); }
    void destroy(FIX::Log* log) override { delete log; }

private:
    const Events& events_;
};

// Asks the other side by TestRequests, until one is answered, whether it has read all that we ever sent.
//
// After a bad end it asks for what it has missed up to the newest message, and our gap fill covers all that we have sent by
// then: what it has read of that out of sequence, it throws away. A TestRequest is thrown away like everything else, so
// the answer to one proves that it was read in sequence: all before it has been read or is given up, and what comes after it
// finds no gap any more. Hence a new one after each gap fill of ours; and one in a while, as our own request for what WE have
// missed may swallow the answer.
class Probe {
public:
    explicit Probe(std::function<void(const std::string& id)> ask) : ask_(std::move(ask)) {}
    ~Probe() { stop(); }

    void start() {
        thread_ = std::thread([this] { run(); });
    }
    void stop() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            ending_ = true;
        }
        changed_.notify_all();
        if (thread_.joinable()) thread_.join();
    }
    /// What was asked before this counts no more.
    void begin() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            asking_ = true;
            first_ = last_ + 1;
            due_ = Clock::now();
            pause_ = std::chrono::seconds(1);
        }
        changed_.notify_all();
    }
    void end() {
        const std::lock_guard<std::mutex> lock(mutex_);
        asking_ = false;
    }
    /// True: that was what begin() waits for.
    bool answered(const std::string& id) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (std::uint64_t number = first_; asking_ && number <= last_; ++number)
            if (id == name_of(number)) {
                asking_ = false;
                return true;
            }
        return false;
    }

private:
    using Clock = std::chrono::steady_clock;
    std::string name_of(std::uint64_t number) const { return "HF-" + run_ + "-" + std::to_string(number); }

    // A thread of its own: QuickFIX calls nobody after its gap fill. It sends without our lock, since QuickFIX calls us under
    // its own, and under that one no gap fill comes between the number that a message gets and its way to the socket.
    void run() {
        std::unique_lock<std::mutex> lock(mutex_);
        while (!ending_) {
            if (!asking_) {
                changed_.wait(lock);
            } else if (Clock::now() < due_) {
                changed_.wait_until(lock, due_);
            } else {
                const std::string id = name_of(++last_);
                due_ = Clock::now() + pause_;
                pause_ = std::min<Clock::duration>(pause_ * 2, std::chrono::seconds(30));
                lock.unlock();
                ask_(id);
                lock.lock();
            }
        }
    }

    const std::function<void(const std::string& id)> ask_;
    const std::string run_ = std::to_string(std::chrono::system_clock::now().time_since_epoch().count());
    std::mutex mutex_;    // nothing is called under it
    std::condition_variable changed_;
    bool asking_ = false, ending_ = false;
    std::uint64_t first_ = 1, last_ = 0;
    Clock::time_point due_;
    Clock::duration pause_{};
    std::thread thread_;
};

class Line final : public FIX::Application {
public:
    Line(const Settings& settings, const Events& events)
        : settings_(settings),
          events_(events),
          accepts_(settings.host.empty()),
          probe_([this](const std::string& id) { test(id); }),
          reset_(settings.reset) {
        if (!accepts_) probe_.start();
    }

    void onCreate(const FIX::SessionID& id) override { id_ = id; }
    void onLogon(const FIX::SessionID&) override {
        reset_ = false;
        if (!accepts_) probe_.begin();
    }
    void onLogout(const FIX::SessionID&) override {
        probe_.end();
        if (!in_step_ && !reason_.empty() && !quiet_ && events_.refused) events_.refused(reason_);
        down(reason_.empty() ? "the connection ended" : reason_);
        reason_.clear();
    }
    void toAdmin(FIX::Message& message, const FIX::SessionID&) override {
        if (accepts_) return;
        const std::string& type = message.getHeader().getField(35);
        if (type == "4") {
            // Under the session's lock: nothing can be sent between our gap fill and the end of being in step.
            down("messages are missing at the other side");
            probe_.begin();
        }
        if (type != "A") return;
        if (!settings_.username.empty()) message.setField(k_username, settings_.username);
        if (!settings_.password.empty()) message.setField(k_password, settings_.password);
        if (reset_) message.setField(141, "Y");
    }
    void toApp(FIX::Message& message, const FIX::SessionID&) throw(FIX::DoNotSend) override {
        // Called under the session's lock, so it stays in step until the bytes are handed to the socket. Not stored when
        // we throw: QuickFIX would otherwise keep the message and send it after the next Logon.
        if (accepts_) return;
        const bool again = message.getHeader().isSetField(43);    // an order must not leave a second time
        if (again || !in_step_) throw FIX::DoNotSend();
    }
    void fromAdmin(const FIX::Message& message,
                   const FIX::SessionID&) throw(FIX::FieldNotFound, FIX::IncorrectDataFormat, FIX::IncorrectTagValue,
                                                FIX::RejectLogon) override {
        const std::string& type = message.getHeader().getField(35);
        if (type == "0" && message.isSetField(k_test_req_id) && probe_.answered(message.getField(k_test_req_id))) {
            in_step_ = true;
            if (!quiet_ && events_.up) events_.up();
        }
        if (type == "5" && message.isSetField(58)) {
            reason_ = "logged out: " + message.getField(58);
            if (events_.noted) events_.noted("the other side " + reason_);
        }
        if (type == "3") hand_on(message);
    }
    void fromApp(const FIX::Message& message, const FIX::SessionID&) throw(FIX::FieldNotFound, FIX::IncorrectDataFormat,
                                                                           FIX::IncorrectTagValue,
                                                                           FIX::UnsupportedMessageType) override {
        hand_on(message);
    }
    /// No event and no message of ours comes after it.
    void silence() {
        quiet_ = true;
        in_step_ = false;
        probe_.stop();
    }

private:
    void hand_on(const FIX::Message& message) {
        if (!quiet_ && events_.received) events_.received(plain(message));
    }
    void down(const std::string& why) {
        if (in_step_.exchange(false) && !quiet_ && events_.down) events_.down(why);
    }
    void test(const std::string& id) {
        try {
            FIX::Message request;
            request.getHeader().setField(35, "1");
            request.setField(k_test_req_id, id);
            FIX::Session::sendToTarget(request, id_);
        } catch (const std::exception& thrown) {
            if (events_.noted) events_.noted(std::string("sending a TestRequest: ") + thrown.what());
        }
    }
    const Settings& settings_;
    const Events& events_;
    const bool accepts_;
    FIX::SessionID id_;
    Probe probe_;
    std::atomic<bool> reset_, in_step_{false}, quiet_{false};
    std::string reason_;    // only QuickFIX's thread writes it
};

template <class Runner>    // FIX::SocketInitiator or FIX::SocketAcceptor
class QuickWire final : public Wire {
public:
    QuickWire(const Settings& settings, Events events)
        : settings_(settings),
          events_(std::move(events)),
          id_("FIX.4.4", settings.sender, settings.target),
          stores_(settings_),
          logs_(events_),
          line_(settings_, events_) {}
    ~QuickWire() override { stop(); }

    bool start(std::string& error) {
        try {
            FIX::SessionSettings settings;
            FIX::Dictionary defaults, session;
            const bool accepts = settings_.host.empty();
            session.setString(FIX::CONNECTION_TYPE, accepts ? "acceptor" : "initiator");
            session.setString(FIX::USE_DATA_DICTIONARY, "N");
            session.setString(FIX::START_TIME, settings_.session_start.empty() ? "00:00:00" : settings_.session_start);
            session.setString(FIX::END_TIME, settings_.session_end.empty() ? "00:00:00" : settings_.session_end);
            session.setInt(FIX::HEARTBTINT, settings_.heartbeat_seconds);
            session.setString(FIX::VALIDATE_LENGTH_AND_CHECKSUM, "Y");
            session.setString(FIX::CHECK_LATENCY, "N");    // our clock may be wrong; what the broker executed counts
            if (accepts) {
                session.setInt(FIX::SOCKET_ACCEPT_PORT, settings_.port);
                session.setString(FIX::SOCKET_REUSE_ADDRESS, "Y");
            } else {
                session.setString(FIX::SOCKET_CONNECT_HOST, settings_.host);
                session.setInt(FIX::SOCKET_CONNECT_PORT, settings_.port);
            }
            // These two QuickFIX reads from the defaults alone, and takes 30 s where it finds nothing.
            defaults.setInt(FIX::RECONNECT_INTERVAL, settings_.reconnect_seconds);
            defaults.setString(FIX::SOCKET_NODELAY, "Y");
            settings.set(defaults);
            settings.set(id_, session);
            runner_.reset(new Runner(line_, stores_, settings, logs_));
            runner_->start();
            return true;
        } catch (const std::exception& thrown) {
            error = thrown.what();
            runner_.reset();
            return false;
        }
    }

    bool send(const Message& message) override {
        bool handed_over = false;    // set when QuickFIX may have stored it
        try {
            FIX::Message out;
            out.getHeader().setField(35, message.type);
            for (const Field& field : message.fields) out.setField(field.tag, field.value);
            const std::shared_lock<std::shared_timed_mutex> lock(open_);
            if (!runner_) return false;
            handed_over = true;
            return FIX::Session::sendToTarget(out, id_);
        } catch (const FIX::SessionNotFound&) {
            return false;
        } catch (const std::exception& thrown) {
            if (events_.noted) events_.noted(std::string("sending: ") + thrown.what());
            return handed_over;
        }
    }

    bool sent(int sequence, Message& message) override {
        try {
            const std::shared_lock<std::shared_timed_mutex> lock(open_);
            if (!runner_) return false;
            FIX::Session* session = FIX::Session::lookupSession(id_);
            std::vector<std::string> texts;
            if (session != nullptr) session->getStore()->get(sequence, sequence, texts);
            if (texts.empty()) return false;
            message = plain(FIX::Message(texts[0], false));
            return true;
        } catch (const std::exception&) {
            return false;
        }
    }

    void stop() override {
        if (!runner_) return;
        try {
            FIX::Session* session = FIX::Session::lookupSession(id_);
            if (session != nullptr && session->isLoggedOn()) {
                session->logout();
                // The other side says goodbye, too; it need not.
                for (int i = 0; i < 100 && session->isLoggedOn(); ++i)
                    std::this_thread::sleep_for(std::chrono::milliseconds(20));
            }
            line_.silence();
            runner_->stop(true);
        } catch (const std::exception& thrown) {
            if (events_.noted) events_.noted(std::string("stopping: ") + thrown.what());
        }
        const std::lock_guard<std::shared_timed_mutex> lock(open_);
        runner_.reset();
    }

private:
    const Settings settings_;
    const Events events_;
    const FIX::SessionID id_;
    StoreFactory stores_;
    EventLogFactory logs_;
    Line line_;
    std::shared_timed_mutex open_;    // the session goes only while nobody sends
    std::unique_ptr<Runner> runner_;
};

template <class Runner>
std::unique_ptr<Wire> open_wire(const Settings& settings, Events events, std::string& error) {
    try {
        std::unique_ptr<QuickWire<Runner>> wire(new QuickWire<Runner>(settings, std::move(events)));
        if (!wire->start(error)) return nullptr;
        return std::unique_ptr<Wire>(std::move(wire));
    } catch (const std::exception& thrown) {
        error = thrown.what();
        return nullptr;
    }
}

}    // namespace fix
}    // namespace holdfast
