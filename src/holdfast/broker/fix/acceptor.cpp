#include <quickfix/SocketAcceptor.h>

#include "holdfast/broker/fix/session.hpp"

namespace holdfast {
namespace fix {

std::unique_ptr<Wire> open_acceptor(const Settings& settings, Events events, std::string& error) {
    return open_wire<FIX::SocketAcceptor>(settings, std::move(events), error);
}

}    // namespace fix
}    // namespace holdfast
