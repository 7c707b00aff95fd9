#include "holdfast/testing/sim_disk.hpp"

#include <algorithm>
#include <set>

namespace holdfast::testing {
namespace {

constexpr std::size_t k_sector = 512;

std::unexpected<Error> no_power() { return fail(ErrorCode::cancelled, "the power is gone"); }

}    // namespace

struct SimDisk::Node {
    Bytes live, durable;
    std::set<std::size_t> dirty;    // sectors
};

class SimDisk::File final : public trade::JournalFile {
public:
    File(SimDisk& disk, std::shared_ptr<Node> node, bool writable)
        : disk_(&disk), node_(std::move(node)), epoch_(disk.epoch_), writable_(writable) {}

    Result<std::size_t> read(ByteSpan to, std::uint64_t offset) const override {
        if (!alive()) return no_power();
        const Bytes& bytes = node_->live;
        const std::size_t from = std::min<std::uint64_t>(offset, bytes.size());
        const std::size_t n = std::min(to.size(), bytes.size() - from);
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), n, to.begin());
        return n;
    }
    Status write(ByteView bytes, std::uint64_t offset) override {
        HF_ASSERT(writable_);
        if (!alive()) return no_power();
        const auto spent = disk_->spend();
        // The power may go in the middle of it.
        if (!spent) bytes = bytes.first(disk_->random_() % (bytes.size() + 1));
        if (offset + bytes.size() > node_->live.size()) HF_DO(grow(offset + bytes.size()));
        std::ranges::copy(bytes, node_->live.begin() + static_cast<std::ptrdiff_t>(offset));
        for (std::size_t s = offset / k_sector; s * k_sector < offset + bytes.size(); ++s) node_->dirty.insert(s);
        return spent;
    }
    Status sync() override {
        HF_ASSERT(writable_);
        if (!alive()) return no_power();
        HF_DO(disk_->spend());
        if (disk_->sync_failure_ > 0 && --disk_->sync_failure_ == 0) {
            // As Linux does: the pages are clean now, and gone once they leave memory.
            node_->dirty.clear();
            return fail(ErrorCode::io, "the simulated disk cannot sync");
        }
        Bytes& durable = node_->durable;
        durable.resize(node_->live.size(), std::byte{0});
        for (const std::size_t sector : node_->dirty) {
            const std::size_t at = sector * k_sector;
            if (at >= durable.size()) break;
            std::copy_n(node_->live.begin() + static_cast<std::ptrdiff_t>(at), std::min(k_sector, durable.size() - at),
                        durable.begin() + static_cast<std::ptrdiff_t>(at));
        }
        node_->dirty.clear();
        return {};
    }
    Status reserve(std::uint64_t size) override {
        HF_ASSERT(writable_);
        if (!alive()) return no_power();
        HF_DO(disk_->spend());
        return size > node_->live.size() ? grow(size) : Status();
    }
    Status truncate(std::uint64_t size) override {
        HF_ASSERT(writable_);
        if (!alive()) return no_power();
        HF_DO(disk_->spend());
        for (std::size_t s = size / k_sector; s * k_sector < node_->live.size(); ++s) node_->dirty.insert(s);
        node_->live.resize(size, std::byte{0});
        return {};
    }
    Result<std::uint64_t> size() const override {
        if (!alive()) return no_power();
        return node_->live.size();
    }

private:
    bool alive() const { return disk_->power_ && epoch_ == disk_->epoch_; }
    Status grow(std::uint64_t size) {
        if (disk_->used() + (size - node_->live.size()) > disk_->room_)
            return fail(ErrorCode::disk_full, "the simulated disk is full");
        node_->live.resize(size, std::byte{0});
        return {};
    }
    SimDisk* disk_;
    std::shared_ptr<Node> node_;
    std::uint64_t epoch_;
    bool writable_;
};

SimDisk::SimDisk(std::uint64_t seed) : random_(seed) {}
SimDisk::~SimDisk() = default;

Status SimDisk::spend() {
    ++calls_;
    if (power_left_ == 0) {
        power_ = false;
        return no_power();
    }
    --power_left_;
    return {};
}

std::uint64_t SimDisk::used() const {
    std::uint64_t sum = 0;
    for (const auto& [name, node] : names_) sum += node->live.size();
    return sum;
}

Result<std::vector<std::string>> SimDisk::list() const {
    if (!power_) return no_power();
    std::vector<std::string> names;
    for (const auto& [name, node] : names_) names.push_back(name);
    return names;
}

Result<std::unique_ptr<trade::JournalFile>> SimDisk::open(const std::string& name, bool writable) const {
    if (!power_) return no_power();
    const auto at = names_.find(name);
    if (at == names_.end()) return fail(ErrorCode::not_found, "there is no " + name);
    return std::make_unique<File>(const_cast<SimDisk&>(*this), at->second, writable);
}

Result<std::unique_ptr<trade::JournalFile>> SimDisk::create(const std::string& name) {
    if (!power_) return no_power();
    HF_DO(spend());
    past_names_.push_back(names_);
    auto node = std::make_shared<Node>();
    names_[name] = node;
    return std::make_unique<File>(*this, std::move(node), true);
}

Status SimDisk::rename(const std::string& from, const std::string& to) {
    if (!power_) return no_power();
    HF_DO(spend());
    const auto at = names_.find(from);
    if (at == names_.end()) return fail(ErrorCode::not_found, "there is no " + from);
    past_names_.push_back(names_);
    const auto node = at->second;
    names_.erase(at);
    names_[to] = node;
    return {};
}

Status SimDisk::remove(const std::string& name) {
    if (!power_) return no_power();
    HF_DO(spend());
    past_names_.push_back(names_);
    names_.erase(name);
    return {};
}

Status SimDisk::sync_names() {
    if (!power_) return no_power();
    HF_DO(spend());
    past_names_.clear();
    return {};
}

void SimDisk::crash() {
    if (!past_names_.empty()) {
        const std::size_t n = random_() % (past_names_.size() + 1);
        if (n < past_names_.size()) names_ = past_names_[n];
        past_names_.clear();
    }
    for (const auto& [name, node] : names_) {
        Bytes after = random_() % 2 ? node->live : node->durable;    // the length, for now
        for (std::size_t at = 0; at < after.size(); at += k_sector) {
            const std::size_t size = std::min(k_sector, after.size() - at);
            const bool fresh = node->dirty.contains(at / k_sector) && random_() % 2;
            const Bytes& from = fresh ? node->live : node->durable;
            const std::size_t there = at < from.size() ? std::min(size, from.size() - at) : 0;
            std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(std::min(at, from.size())), there,
                        after.begin() + static_cast<std::ptrdiff_t>(at));
            std::fill_n(after.begin() + static_cast<std::ptrdiff_t>(at + there), size - there, std::byte{0});
        }
        node->live = node->durable = std::move(after);
        node->dirty.clear();
    }
    kill();
}

void SimDisk::kill() {
    power_ = true;
    power_left_ = ~std::uint64_t{0};
    ++epoch_;
}

Bytes* SimDisk::content(const std::string& name) {
    const auto at = names_.find(name);
    return at == names_.end() ? nullptr : &at->second->live;
}

}    // namespace holdfast::testing
