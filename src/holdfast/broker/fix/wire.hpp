#pragma once
/// A FIX session on QuickFIX, as plain text fields: what a message means is said elsewhere (broker/fix.cpp).
///
///   shape    standard types only; no exception and no type of QuickFIX passes here, because QuickFIX does not compile
///            beyond C++14 and the rest of holdfast is C++23
///   resend   no application message ever leaves twice: whatever the other side asks to have sent again is answered by a gap
///            fill. send() is false when the message certainly never leaves, not now and not after a reconnect
///   step     send() is refused before events.up: the other side throws away what it reads while it waits for a gap to be filled
///   folder   sequence numbers and messages, so that a session goes on where it was after a kill -9; passwords are cut out
///   threads  one wire's calls from any thread; events come on QuickFIX's thread or, for down, on a caller's. An event
///            may call send(); it must not wait for a lock under which send() or stop() is called

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {
namespace fix {

struct Field {
    int tag;
    std::string value;
};

struct Message {
    std::string type;    // MsgType: "D", "8"
    std::vector<Field> fields;    // of the body, flat
    int sequence = 0;    // received ones
    bool possible_duplicate = false;    // PossDupFlag of received ones

    /// The first of that tag; null without.
    const std::string* find(int tag) const {
        for (const Field& field : fields)
            if (field.tag == tag) return &field.value;
        return nullptr;
    }
    std::string text(int tag) const {
        const std::string* value = find(tag);
        return value == nullptr ? std::string() : *value;
    }
};

struct Settings {
    std::string host;    // empty: accept (tests only: QuickFIX listens on all addresses)
    int port = 0;
    std::string sender, target;    // CompIDs
    std::string folder;    // private to this session
    std::string username, password;    // of the Logon; empty: not sent
    int heartbeat_seconds = 30, reconnect_seconds = 2;
    bool reset = false;    // ask for new sequence numbers with the first Logon, once
    int number_min = 1;    // our sequence numbers begin here at least: smaller ones may have been used
    /// Makes durable that all numbers below this one may have been used; called before one is. False: it is not used.
    std::function<bool(int number)> reserve;
    /// "HH:MM:SS" in UTC, both or none: outside there is no session, and each begins with new sequence numbers. None:
    /// sequence numbers go on for ever.
    std::string session_start, session_end;
};

struct Events {
    /// Logged on and in step: the other side has read all that it will ever read of what was sent before. Never said by an acceptor.
    std::function<void()> up;
    std::function<void(const std::string& why)> down;    // after an up
    std::function<void(const std::string& why)> refused;    // the other side logged us out before an up
    std::function<void(const Message&)> received;    // application messages, and Reject ("3")
    std::function<void(const std::string& text)> noted;    // for the log; without passwords
};

class Wire {
public:
    virtual ~Wire() = default;
    virtual bool send(const Message& message) = 0;
    /// A message of ours, by its number; false: not known (any more).
    virtual bool sent(int sequence, Message& message) = 0;
    /// Logs out; no event comes after it.
    virtual void stop() = 0;
};

/// Null, with `error` filled in, when the settings or the folder are not usable. An unreachable host is no error: it is
/// tried again and again.
std::unique_ptr<Wire> open_initiator(const Settings& settings, Events events, std::string& error);
/// For tests; its own library.
std::unique_ptr<Wire> open_acceptor(const Settings& settings, Events events, std::string& error);

}    // namespace fix
}    // namespace holdfast
