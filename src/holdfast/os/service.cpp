#include "holdfast/os/service.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "holdfast/os/fd.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::os {

void tell_service_manager(std::string_view words) {
    const auto name = environment("NOTIFY_SOCKET");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (!name || name->size() >= sizeof address.sun_path || (name->front() != '/' && name->front() != '@')) return;
    std::memcpy(address.sun_path, name->data(), name->size());
    if (name->front() == '@') address.sun_path[0] = '\0';    // Linux's abstract names
    const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd) return;
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name->size());
    ::sendto(fd.get(), words.data(), words.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length);
}

}    // namespace holdfast::os
