#include "limits.hpp"

#include <fcntl.h>

#include <algorithm>
#include <chrono>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::bench {
namespace {

constexpr std::size_t k_piece = 2u << 20;

class Watch {
public:
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}    // namespace

double Limits::bytes_per_s() const { return std::min(disk, cores / (2 / hash + 1 / seal)); }

Result<Limits> measure_limits(const std::string& folder, std::uint64_t bytes) {
    Limits limits;
    limits.cores = os::processor_count();
    const std::uint64_t pieces = std::max<std::uint64_t>(1, bytes / k_piece);
    const auto total = static_cast<double>(pieces * k_piece);
    Bytes first, second, envelope;
    first.resize(k_piece);
    second.resize(k_piece);
    os::random_bytes(first);
    os::random_bytes(second);
    {
        // Two at a time, as the backup does it.
        const Watch watch;
        for (std::uint64_t i = 0; i < pieces; i += 2) static_cast<void>(format::sha256_of_two(first, second));
        limits.hash = total / watch.seconds();
    }
    {
        format::Key key;
        os::random_bytes(key.encrypt);
        format::Cipher cipher(key);
        std::array<std::byte, 16> nonce;
        os::random_bytes(nonce);
        const Watch watch;
        for (std::uint64_t i = 0; i < pieces; ++i) {
            envelope.clear();
            cipher.seal(first, nonce, envelope);
        }
        limits.seal = total / watch.seconds();
    }
    const std::string path = folder + "/limit";
    HF_TRY(const os::Fd fd, os::open_file(path, O_WRONLY | O_CREAT));
    const Watch watch;
    for (std::uint64_t i = 0; i < pieces; ++i) HF_DO(os::write_all(fd.get(), first));
    HF_DO(os::sync_fd(fd.get(), path));
    limits.disk = total / watch.seconds();
    HF_DO(os::remove_tree(path));
    return limits;
}

}    // namespace holdfast::bench
