#include "holdfast/source/duckdb_door.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "holdfast/format/sha256.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::source {
namespace {

constexpr const char* k_name = "door";

// By the open folder: a path of a socket may have 107 bytes only.
sockaddr_un address_in(const os::Fd& folder) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = fmt::format("/proc/self/fd/{}/{}", folder.get(), k_name);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

bool is_readable(int fd, Duration patience) {
    pollfd one{fd, POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
    return ::poll(&one, 1, static_cast<int>(left)) > 0;
}

}    // namespace

std::string duckdb_states_folder(std::string_view path, std::string_view root) {
    const std::string name = os::file_name(path);
    if (!root.empty()) return fmt::format("{}/{}-{}", root, name, format::sha256(as_bytes(path)).brief());
    const std::string parent = os::parent_folder(path);
    return fmt::format("{}/.holdfast/{}", parent == "/" ? "" : parent, name);
}

// Only the holder of the folder's lock opens it: what lies there is of one that was killed.
Result<DuckDbDoor> DuckDbDoor::open(const std::string& folder) {
    HF_TRY(const os::Fd place, os::open_file(folder, O_PATH | O_DIRECTORY));
    os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const std::string path = folder + "/" + k_name;
    ::unlink(path.c_str());
    const sockaddr_un address = address_in(place);
    if (fd.get() < 0 || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), 0600) != 0 || ::listen(fd.get(), 16) != 0)
        return fail(errno_error(errno, "cannot listen at " + path));
    return DuckDbDoor(folder, std::move(fd));
}

DuckDbDoor::~DuckDbDoor() {
    if (listening_.get() >= 0) ::unlink((folder_ + "/" + k_name).c_str());
}

bool DuckDbDoor::wait(Duration patience) {
    if (asking_.empty() && !is_readable(listening_.get(), patience)) return false;
    while (true) {
        os::Fd one(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (one.get() < 0) return !asking_.empty();
        asking_.push_back(std::move(one));
    }
}

void DuckDbDoor::answer(bool kept) {
    const char byte = kept ? '+' : '-';
    for (const os::Fd& one : asking_) (void)::send(one.get(), &byte, 1, MSG_NOSIGNAL);
    asking_.clear();
}

DoorAnswer ask_duckdb_keeper(const std::string& folder, Duration patience) {
    const auto place = os::open_file(folder, O_PATH | O_DIRECTORY);
    if (!place) return DoorAnswer::nobody;
    const os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_in(*place);
    if (fd.get() < 0 || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return errno == EAGAIN ? DoorAnswer::late : DoorAnswer::nobody;
    if (!is_readable(fd.get(), patience)) return DoorAnswer::late;
    char byte = 0;
    if (::recv(fd.get(), &byte, 1, 0) != 1) return DoorAnswer::nobody;    // it ended meanwhile
    return byte == '+' ? DoorAnswer::kept : DoorAnswer::failed;
}

}    // namespace holdfast::source
