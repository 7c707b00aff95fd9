#pragma once
// Words to the service manager that started us.

#include <string_view>

namespace holdfast::os {

/// "READY=1", "STOPPING=1", "STATUS=…" to systemd, as sd_notify(3) sends them; nothing happens when nobody listens
/// (NOTIFY_SOCKET is not set).
void tell_service_manager(std::string_view words);

}    // namespace holdfast::os
