#include <algorithm>

#include "holdfast/storage/ssh_channel.hpp"

namespace holdfast::storage {
namespace {

class PacedChannel final : public SshChannel {
public:
    PacedChannel(std::unique_ptr<SshChannel> below, Paces pace) : below_(std::move(below)), pace_(std::move(pace)) {}

    Status write(ByteView bytes) override {
        if (!pace_.up) return below_->write(bytes);
        while (!bytes.empty()) {
            const ByteView piece = bytes.first(std::min(bytes.size(), Pace::k_piece));
            HF_DO(pace_.up->pay(piece.size()));
            HF_DO(below_->write(piece));
            bytes = bytes.subspan(piece.size());
        }
        return {};
    }
    Result<std::size_t> read(ByteSpan to) override {
        if (!pace_.down) return below_->read(to);
        HF_TRY(const std::size_t n, below_->read(to.first(std::min(to.size(), Pace::k_piece))));
        HF_DO(pace_.down->pay(n));
        return n;
    }

private:
    const std::unique_ptr<SshChannel> below_;
    const Paces pace_;
};

}    // namespace

std::unique_ptr<SshChannel> paced_channel(std::unique_ptr<SshChannel> channel, Paces pace) {
    if (!pace.up && !pace.down) return channel;
    return std::make_unique<PacedChannel>(std::move(channel), std::move(pace));
}

}    // namespace holdfast::storage
