#include "holdfast/broker/broker.hpp"

namespace holdfast::broker {

Broker::~Broker() = default;

}    // namespace holdfast::broker
