#include "holdfast/testing/private_network.hpp"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "holdfast/os/fd.hpp"

namespace holdfast::testing {

Status enter_private_network() {
    // As an ordinary user a user namespace gives the right to make the other.
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        Error error = errno_error(errno, "cannot make a network namespace");
        error.hint = "run the tests as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)";
        return fail(std::move(error));
    }
    const os::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    if (!socket || ::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0)
        return fail(errno_error(errno, "cannot look at the loopback"));
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0)
        return fail(errno_error(errno, "cannot bring the loopback up"));
    return {};
}

}    // namespace holdfast::testing
