// All of libholdfast_fix.so, which fix_library.cpp loads.

#include <quickfix/SocketInitiator.h>

#include "holdfast/broker/fix/session.hpp"

namespace fix = holdfast::fix;

extern "C" __attribute__((visibility("default"))) fix::Wire* hf_fix_open_initiator(const fix::Settings& settings,
                                                                                   fix::Events& events,
                                                                                   std::string& error) {
    return fix::open_wire<FIX::SocketInitiator>(settings, std::move(events), error).release();
}
