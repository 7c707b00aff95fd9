#include <quickfix/SocketInitiator.h>

#include "holdfast/broker/fix/session.hpp"

namespace holdfast {
namespace fix {

Wire::~Wire() = default;

std::unique_ptr<Wire> open_initiator(const Settings& settings, Events events, std::string& error) {
    return open_wire<FIX::SocketInitiator>(settings, std::move(events), error);
}

}    // namespace fix
}    // namespace holdfast
